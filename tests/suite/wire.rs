//! Bytes rather than calls: clients that are slow, fall silent, lie about lengths or hide a second request in the
//! first. Whoever holds a connection holds nobody else up, and is let go of.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use reqwest::Method;
use serde_json::json;

use crate::support::{
    Credential,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines, person,
};

both_engines!(
    whoever_is_slow_is_let_go_and_holds_up_nobody,
    a_request_hidden_in_another_is_never_answered,
    a_refusal_that_needs_no_body_leaves_the_connection_to_the_next_request,
    a_compressed_body_is_not_unpacked,
    an_answer_that_nobody_reads_holds_up_nobody,
);

/// The head of a POST that would create an invite, without what says where its body ends.
fn head(owner: &str) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {owner}\r\nContent-Type: application/json\r\n",
        Org.collection()
    )
}

/// Sends the first bytes at once and then one of the others twice a second, as long as anybody listens; gives what
/// came back when the other side has closed.
fn drip(server: &TestServer, first: String, then: &'static [u8]) -> JoinHandle<String> {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    thread::spawn(move || {
        stream.write_all(first.as_bytes()).unwrap();
        let (mut writing, over) = (stream.try_clone().unwrap(), std::sync::Arc::new(AtomicBool::new(false)));
        let read = over.clone();
        let writer = thread::spawn(move || {
            for byte in then.iter().cycle() {
                thread::sleep(Duration::from_millis(500));
                if read.load(Ordering::Relaxed) || writing.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        });
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        over.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        // a reset is an end too; running into our own patience is none
        let waited = closed.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waited, "still open: {}", String::from_utf8_lossy(&answer));
        String::from_utf8_lossy(&answer).into_owned()
    })
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn whoever_is_slow_is_let_go_and_holds_up_nobody(server: TestServer) {
    let owner = acme_owner().bearer();
    let length = format!("{}Content-Length: 60\r\n\r\n", head(&owner));
    let chunked = format!("{}Transfer-Encoding: chunked\r\n\r\n", head(&owner));
    let nobody = "POST /api/v1/workspaces HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let nobody = nobody.to_owned();
    let mut slow = vec![
        ("says nothing", drip(&server, String::new(), &[])),
        ("stops in the middle of a line", drip(&server, "GET / HTT".into(), &[])),
        ("never ends its head", drip(&server, "GET / HTTP/1.1\r\nHost: localhost\r\n".into(), b"x: y\r\n")),
        ("sends a head and no body", drip(&server, length.clone(), &[])),
        ("sends a body byte by byte", drip(&server, length.clone(), b" ")),
        ("never ends a chunk", drip(&server, format!("{chunked}ffff\r\n"), b" ")),
        ("never ends its chunks", drip(&server, chunked.clone(), b"1\r\n \r\n")),
        ("has no credential and never ends its chunks", drip(&server, nobody, b"1\r\n \r\n")),
    ];
    slow.extend((0..200).map(|_| ("is one of many", drip(&server, length.clone(), &[]))));
    // everybody else goes on meanwhile
    for at in 0..20 {
        let body = json!({ "email": format!("bob{at}@example.com"), "role": "member" });
        server.post(&Workspace.collection(), &body).by(&acme_owner()).await.expect(201);
    }
    let answers = tokio::task::spawn_blocking(move || {
        slow.into_iter().map(|(what, one)| (what, one.join().unwrap())).collect::<Vec<_>>()
    });
    for (what, answer) in answers.await.unwrap() {
        let early = ["says nothing", "stops in the middle of a line", "never ends its head"].contains(&what);
        match status(&answer) {
            0 | 408 if early => {}
            401 => assert!(what.starts_with("has no credential"), "who {what}: {answer}"),
            status => assert!(status == 408 && answer.contains("REQUEST_TIMEOUT"), "who {what}: {answer}"),
        }
    }
    assert_eq!(server.pending(Org, &acme_owner()).await.len(), 0);
    assert_eq!(server.get("/healthz").await.status, 200);
}

/// Everything that comes back for these bytes, until the other side closes.
fn sent(server: &TestServer, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // it may close while we still write
    let _ = stream.write_all(bytes.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let _ = stream.shutdown(Shutdown::Both);
    String::from_utf8_lossy(&answer).into_owned()
}

async fn a_request_hidden_in_another_is_never_answered(server: TestServer) {
    let owner = acme_owner().bearer();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let length = hidden.len();
    for lengths in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("Content-Length: 0, {length}\r\n\r\n{hidden}"),
        format!("Content-Length: +{length}\r\n\r\n{hidden}"),
        format!("Content-Length: -1\r\n\r\n{hidden}"),
        format!("Content-Length: 0x0\r\n\r\n{hidden}"),
        format!("Content-Length : {length}\r\n\r\n{hidden}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: identity, chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("X: y\r\n Content-Length: {length}\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n{hidden}"),
    ] {
        let (server, request) = (&server, format!("{}{lengths}", head(&owner)));
        let answer = sent(server, &request);
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lengths:?}: {answer}");
        assert_eq!(status(&answer), 400, "{lengths:?}: {answer}");
    }
    // what is not HTTP/1.1 is not spoken
    let preface = sent(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(status(&preface) < 500, "{preface}");
    assert!(server.pending(Org, &acme_owner()).await.is_empty());
}

async fn a_refusal_that_needs_no_body_leaves_the_connection_to_the_next_request(server: TestServer) {
    let body = json!({ "email": "dan@example.com" });
    for (path, refused) in [(Org.collection().as_str(), 401), ("/api/v1/nothing", 404)] {
        let answer = server.post(path, &body).await;
        assert_eq!((answer.status, answer.header("connection")), (refused, ""));
    }
    // a body that is still to come is not waited for
    let answer = sent(&server, &format!("{}Content-Length: 2000\r\n\r\n{{", head("nonsense")));
    assert!(status(&answer) == 401 && answer.contains("connection: close"), "{answer}");
}

async fn a_compressed_body_is_not_unpacked(server: TestServer) {
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        // the beginning of any of them is no JSON; a little of it could be gigabytes of spaces
        let body = [&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"[..], &[0xed; 1000]].concat();
        let call = server.call(Method::POST, &Org.collection()).by(&acme_owner());
        let answer = call.header("content-encoding", encoding).body("application/json", body).await;
        answer.refused(400, "BAD_REQUEST");
    }
}

async fn an_answer_that_nobody_reads_holds_up_nobody(server: TestServer) {
    let owner = acme_owner().bearer();
    let many =
        format!("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {owner}\r\n\r\n");
    let silent: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(server.addr()).unwrap();
            stream.set_nonblocking(true).unwrap();
            // far more answers than the buffers of a socket hold
            for _ in 0..100 {
                if stream.write_all(many.as_bytes()).is_err() {
                    break;
                }
            }
            stream
        })
        .collect();
    let bob = person("bob@example.com");
    let invited = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    server.preview(&invited).await.expect(200);
    server.accept(&invited, &bob).await.expect(200);
    drop(silent);
}
