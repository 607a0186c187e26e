//! Answers that never arrive: the caller hangs up, or the server is killed between the commit and the answer. Whoever
//! asks again with the same `Idempotency-Key` is told what was done, and it was done once.

use std::{io::Write, net::TcpStream, time::Duration};

use serde_json::json;

use crate::support::{
    Credential, Invited, Kind::Workspace, Setup, TestServer, acme_owner, both_engines, client::Call,
    eventually, rounds,
};

both_engines!(
    a_request_repeated_after_a_kill_is_done_once => Setup::new().smtp().process(),
    a_caller_who_hung_up_asks_again_and_it_was_done_once,
);

fn create(server: &TestServer, email: &str, key: &str) -> Call {
    let body = json!({ "email": email, "role": "member" });
    server.post(&Workspace.collection(), &body).by(&acme_owner()).header("idempotency-key", key)
}

/// Asks until it is answered, as a client does.
async fn insist(server: &TestServer, email: &str, key: &str) -> Invited {
    let answer = eventually("an answer", async || {
        let answer = create(server, email, key).send().await.ok()?;
        assert!([201, 503].contains(&answer.status), "{}", answer.text());
        (answer.status == 201).then_some(answer)
    });
    Invited::read(Workspace, &answer.await.expect(201))
}

/// Each address has one invite, made once and mailed once, and nothing was made anew.
async fn assert_done_once(server: &TestServer, count: usize) {
    let rows = server.inspect().await;
    let count = i64::try_from(count).unwrap();
    for (what, sql) in [
        ("invites", "SELECT count(*) AS n FROM invites"),
        ("their making", "SELECT count(*) AS n FROM events WHERE kind = 'invite.created'"),
        ("mails owed", "SELECT count(*) AS n FROM outbox"),
        ("answers kept", "SELECT count(*) AS n FROM idempotency_records"),
    ] {
        assert_eq!(rows.count(sql).await, count, "{what}");
    }
    assert_eq!(rows.count("SELECT count(*) AS n FROM events WHERE kind = 'invite.reissued'").await, 0);
    rows.assert_sound().await;
}

async fn a_request_repeated_after_a_kill_is_done_once(mut server: TestServer) {
    let kills = rounds("USHER_CRASH_CYCLES", 6).min(100);
    server.get("/api/v1/workspaces").by(&acme_owner()).await.expect(200);
    for kill in 0..kills {
        let (email, key) = (format!("bob{kill}@example.com"), format!("key-{kill}"));
        let asking = tokio::spawn(create(&server, &email, &key).send());
        // at any moment of it: before, in the middle of, and after the commit
        tokio::time::sleep(Duration::from_millis((kill as u64 * 5) % 30)).await;
        server.kill();
        let first = asking.await.unwrap().ok().filter(|answer| answer.status == 201);
        server.serve();
        let invited = insist(&server, &email, &key).await;
        if let Some(first) = first {
            assert_eq!(Invited::read(Workspace, &first.expect(201)).url, invited.url);
        }
        assert_eq!(insist(&server, &email, &key).await.url, invited.url);
    }
    assert_done_once(&server, kills).await;
}

async fn a_caller_who_hung_up_asks_again_and_it_was_done_once(server: TestServer) {
    let owner = acme_owner().bearer();
    for call in 0..10 {
        let (email, key) = (format!("bob{call}@example.com"), format!("key-{call}"));
        let body = json!({ "email": email, "role": "member" }).to_string();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {owner}\r\nIdempotency-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            Workspace.collection(),
            body.len()
        );
        for _ in 0..3 {
            TcpStream::connect(server.addr()).unwrap().write_all(request.as_bytes()).unwrap();
        }
        let invited = insist(&server, &email, &key).await;
        assert_eq!(insist(&server, &email, &key).await.url, invited.url);
    }
    assert_done_once(&server, 10).await;
}
