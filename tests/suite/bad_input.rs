//! Whatever anybody sends: only documented refusals of the client's fault, never a fault of ours, and no log
//! line above `warn`. The server runs as its own process, so that its whole log is at hand.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use reqwest::Method;

use crate::support::{
    ACME, ACME_HOST, CLINIC, Credential,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
};

both_engines!(
    malformed_bodies_are_the_clients_fault => Setup::new().process(),
    malformed_paths_and_queries_are_the_clients_fault => Setup::new().process(),
    malformed_credentials_are_the_clients_fault => Setup::new().process(),
    malformed_requests_are_the_clients_fault => Setup::new().process(),
);

/// What a call may be answered with when it is wrong.
const DOCUMENTED: [u16; 13] = [400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 421, 422, 429];

/// Fails if the log has a line above `warn`, in either format, and shows it.
fn assert_quiet(server: &TestServer) {
    for line in server.log().lines() {
        let level = serde_json::from_str::<serde_json::Value>(line)
            .ok()
            .and_then(|line| line["level"].as_str().map(str::to_owned))
            .unwrap_or_else(|| line.to_owned());
        assert!(!level.contains("ERROR"), "{line}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

async fn malformed_bodies_are_the_clients_fault(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let deep = |open: &str, close: &str| format!("{{\"email\":{}{}}}", open.repeat(200), close.repeat(200));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\0".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"\xef\xbb\xbf{\"email\":\"a@example.com\"}".to_vec(),
        b"{\"email\":\"\xc3\x28@example.com\"}".to_vec(),
        b"{\"email\":\"\\ud800@example.com\"}".to_vec(),
        b"{\"email\":\"a\\u0000@example.com\"}".to_vec(),
        b"{\"email\":\"a@example.com\",\"role\":\"member\\u0000\"}".to_vec(),
        b"{\"email\":\"a@example.com\",\"message\":\"\\u0000\"}".to_vec(),
        b"{\"email\":\"a@example.com\",\"message\":7}".to_vec(),
        b"{\"email\":\"a@example.com\",\"locale\":\"\\u0000\"}".to_vec(),
        b"{\"email\":\"a@example.com\",\"locale\":\"../../etc/passwd\"}".to_vec(),
        b"{\"email\":\"a@example.com\",\"expires_in\":1e400}".to_vec(),
        b"{\"email\":\"a@example.com\",\"expires_in\":99999999999999999999999}".to_vec(),
        b"{\"email\":\"a@example.com\",\"expires_in\":\"NaN\"}".to_vec(),
        b"{\"email\":\"a@example.com\",\"send_email\":\"yes\"}".to_vec(),
        b"{\"email\":NaN}".to_vec(),
        b"{\"email\":'a'}".to_vec(),
        b"{\"role\":[[]],\"email\":[[]]}".to_vec(),
        b"[".repeat(30_000),
        b"{\"a\":".repeat(5_000),
        deep("[", "]").into_bytes(),
        deep("{\"a\":", "}").into_bytes(),
        format!("{{\"email\":\"{}@example.com\"}}", "a".repeat(50_000)).into_bytes(),
    ];
    let item = Workspace.item(&invited.id);
    for body in bodies {
        for (method, path) in [
            (Method::POST, Org.collection()),
            (Method::POST, Workspace.collection()),
            (Method::PATCH, item.clone()),
            (Method::POST, format!("{item}/resend")),
            (Method::POST, format!("{}/accept", Workspace.token("garbage"))),
            (Method::POST, format!("{}/decline", Org.token("garbage"))),
            (Method::POST, "/api/v1/workspaces".to_owned()),
        ] {
            let call = server.call(method.clone(), &path).by(&acme_owner());
            let answer = call.body("application/json", body.clone()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            // an empty body is a good one for a resend
            let fine = answer.status == 200 && path.ends_with("resend");
            assert!(
                fine || DOCUMENTED.contains(&answer.status),
                "{method} {path} {shown}: {}",
                answer.status
            );
            answer.json();
        }
    }
    assert_quiet(&server);
}

async fn malformed_paths_and_queries_are_the_clients_fault(server: TestServer) {
    let ids = [
        "0",
        "-1",
        "1",
        "null",
        "undefined",
        "%00",
        "%ff",
        "%C0%AE",
        "..%2f..%2fetc%2fpasswd",
        // the client itself would take a lone `%2e%2e` as a step up
        "%2e%2e%2f%2e%2e",
        "{id}",
        "'--",
        "01900000-0000-7000-8000-00000000acdg",
        "01900000000070008000000000000000",
        "{01900000-0000-7000-8000-00000000acde}",
        "urn:uuid:01900000-0000-7000-8000-00000000acde",
        "%20",
        "a%0d%0aX-Evil:%201",
        "%F0%9F%92%A9",
    ];
    let long = "x".repeat(7_000);
    for id in ids.iter().copied().chain([long.as_str()]) {
        for path in [
            format!("/api/v1/workspaces/{id}"),
            format!("/api/v1/workspaces/{id}/invites"),
            format!("/api/v1/workspaces/{CLINIC}/invites/{id}"),
            format!("/api/v1/tenants/{id}/invites"),
            format!("/api/v1/tenants/{ACME}/invites/{id}"),
            format!("/api/v1/workspace-invites/{id}"),
            format!("/api/v1/invites/{id}"),
            format!("/workspace-invites/{id}"),
            format!("/invites/{id}"),
        ] {
            for method in [Method::GET, Method::DELETE, Method::HEAD] {
                let answer = server.call(method.clone(), &path).by(&acme_owner()).on(ACME_HOST).await;
                assert!(
                    DOCUMENTED.contains(&answer.status) || answer.status == 414,
                    "{method} {path}: {}",
                    answer.status
                );
                assert_eq!(answer.header("x-evil"), "");
            }
        }
    }
    for query in [
        "limit=-1",
        "limit=1e9",
        "limit=99999999999999999999",
        "limit=%00",
        "cursor=garbage",
        "cursor=%ff",
        "page=-1",
        "page_size=abc",
        "status=%27%20OR%201=1",
        "email=%25",
        "include=total",
        "a=b&a=c",
        "=",
        "%",
        "&&&",
        "limit[]=1",
    ] {
        for path in [Org.collection(), Workspace.collection(), "/api/v1/workspaces".to_owned()] {
            let answer = server.get(&format!("{path}?{query}")).by(&acme_owner()).await;
            let fine = answer.status == 200 || DOCUMENTED.contains(&answer.status);
            assert!(fine, "{path}?{query}: {} {}", answer.status, answer.text());
        }
    }
    assert_quiet(&server);
}

async fn malformed_credentials_are_the_clients_fault(server: TestServer) {
    let jwt = acme_owner().bearer();
    let long = format!("Bearer {}", "a".repeat(6_000));
    let swollen = format!("Bearer {}", acme_owner().with("padding", "x".repeat(5_000)).bearer());
    for credential in [
        "Bearer",
        "Bearer  ",
        "bearer x",
        "Basic Og==",
        "Bearer eyJ",
        "Bearer eyJ.eyJ.",
        "Bearer ..",
        "Bearer \u{e9}",
        "Bearer msk_u_",
        "Bearer msk_u_\u{1f4a9}",
        "Digest username=\"x\"",
        "Bearer null",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        &long,
        &swollen,
    ] {
        for (method, path) in [
            (Method::GET, Org.collection()),
            (Method::POST, Workspace.collection()),
            (Method::GET, "/api/v1/workspaces".into()),
        ] {
            let answer = server.call(method, &path).header("authorization", credential).await;
            assert!([400, 401, 431].contains(&answer.status), "{credential}: {}", answer.status);
        }
    }
    // two of them are none
    let twice = server.get(&Org.collection()).bearer(&jwt).header("authorization", "Bearer other").await;
    assert_eq!(twice.status, 401);
    for tenant in ["", " ", "\u{e9}", "acme,globex", "00000000-0000-0000-0000-000000000000", "../acme"] {
        let answer = server.get(&Org.collection()).bearer(&jwt).header("x-miosa-tenant", tenant).await;
        assert!(
            answer.status == 200 && tenant.trim().is_empty() || DOCUMENTED.contains(&answer.status),
            "{tenant:?}"
        );
    }
    assert_quiet(&server);
}

async fn malformed_requests_are_the_clients_fault(server: TestServer) {
    let many: String = (0..150).map(|at| format!("X-H{at}: y\r\n")).collect();
    let wide = format!("X-Wide: {}\r\n", "y".repeat(200_000));
    for request in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/v1/workspaces HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GARBAGE\u{0}\u{1}\u{2}",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}",
        &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{wide}\r\n"),
        &format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(200_000)),
    ] {
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // the server may close while we still write
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status: u16 = answer.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(400);
        assert!(status < 500, "{request:.80}: {answer:.200}");
    }
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_quiet(&server);
}
