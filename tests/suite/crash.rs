//! Killing the process without warning while it is written to: whatever was acknowledged is there after the
//! restart, nothing is half done, and every invite gets its mail, twice at most.
//!
//! `USHER_CRASH_CYCLES` sets how often it is killed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Client;
use serde_json::json;

use crate::support::{
    CLINIC, Invited, Kind::Workspace, Person, Setup, TestServer, acme_owner, both_engines, client::Call,
    eventually, person, rounds,
};

both_engines!(a_killed_process_loses_nothing_it_has_acknowledged => Setup::new().smtp().process());

/// What the server has acknowledged.
#[derive(Default)]
struct Ledger {
    created: Vec<(String, String)>,
    accepted: Vec<(String, Person)>,
}

/// Invites and accepts until the server is gone.
async fn write(client: Client, base: String, writer: String, ledger: Arc<Mutex<Ledger>>) {
    let owner = acme_owner();
    for at in 0.. {
        let who = person(&format!("w{writer}x{at}@example.com"));
        let url = format!("{base}/api/v1/workspaces/{CLINIC}/invites");
        let create =
            Call::new(&client, reqwest::Method::POST, url).json(&json!({ "email": who.email() })).by(&owner);
        let Ok(answer) = create.send().await else { return };
        if answer.status != 201 {
            assert_eq!(answer.status, 503, "{}", answer.text());
            continue;
        }
        let invited = Invited::read(Workspace, &answer.json());
        ledger.lock().unwrap().created.push((invited.id.clone(), who.email().to_owned()));
        if at % 2 == 0 {
            let url = format!("{base}{}/accept", Workspace.token(&invited.token));
            let accept = Call::new(&client, reqwest::Method::POST, url).json(&json!({})).by(&who);
            let Ok(answer) = accept.send().await else { return };
            match answer.status {
                200 => ledger.lock().unwrap().accepted.push((invited.id, who)),
                status => assert_eq!(status, 503, "{}", answer.text()),
            }
        }
    }
}

async fn a_killed_process_loses_nothing_it_has_acknowledged(mut server: TestServer) {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let cycles = rounds("USHER_CRASH_CYCLES", 3);
    for cycle in 0..cycles {
        let base = format!("http://{}", server.addr());
        let writers: Vec<_> = (0..8)
            .map(|at| {
                let writer = format!("{cycle}x{at}");
                tokio::spawn(write(server.client.clone(), base.clone(), writer, ledger.clone()))
            })
            .collect();
        // the fault comes at any moment: 50 to 650 ms into the writing
        let moment = 50 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * 600 / 255;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let written = || ledger.lock().unwrap().created.len();
        eventually("something to lose", async || (written() > cycle * 2).then_some(())).await;
        server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        let since = std::time::Instant::now();
        server.serve();
        assert!(since.elapsed() < Duration::from_secs(5), "back after {:?}", since.elapsed());
        let (created, accepted) = {
            let ledger = ledger.lock().unwrap();
            (ledger.created.clone(), ledger.accepted.clone())
        };
        check(&server, &created, &accepted).await;
    }
    let created = ledger.lock().unwrap().created.clone();
    assert!(created.len() > cycles, "the writers wrote: {}", created.len());
    settle(&server, &created, cycles).await;
    server.inspect().await.assert_nobody_missing().await;
}

/// Everything acknowledged is in the database, whole.
async fn check(server: &TestServer, created: &[(String, String)], accepted: &[(String, Person)]) {
    let rows = server.inspect().await;
    rows.assert_sound().await;
    for (id, email) in created {
        let found = format!("SELECT count(*) AS n FROM invites WHERE id = {}", rows.id(id));
        assert_eq!(rows.count(&found).await, 1, "{email} was acknowledged");
        let owed = format!("SELECT count(*) AS n FROM outbox WHERE invite_id = {}", rows.id(id));
        assert_eq!(rows.count(&owed).await, 1, "{email} is owed a mail");
    }
    for (id, who) in accepted {
        let accepted =
            format!("SELECT count(*) AS n FROM invites WHERE id = {} AND status = 'accepted'", rows.id(id));
        assert_eq!(rows.count(&accepted).await, 1, "{} has accepted", who.email());
        let member =
            format!("SELECT count(*) AS n FROM workspace_members WHERE user_id = '{}'", who.user_id());
        assert_eq!(rows.count(&member).await, 1, "{} is a member", who.email());
    }
}

/// Every mail owed leaves; none more often than once and once per kill.
async fn settle(server: &TestServer, created: &[(String, String)], kills: usize) {
    let rows = server.inspect().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while rows.count("SELECT count(*) AS n FROM outbox WHERE state IN ('queued', 'leased')").await > 0 {
        assert!(std::time::Instant::now() < deadline, "mails stay behind");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let letters = server.letters();
    for (id, email) in created {
        let theirs: Vec<_> = letters.iter().filter(|letter| letter.to == *email).collect();
        let cancelled = format!(
            "SELECT count(*) AS n FROM outbox WHERE state = 'cancelled' AND invite_id = {}",
            rows.id(id)
        );
        if rows.count(&cancelled).await == 0 {
            assert!(!theirs.is_empty(), "{email} got no mail");
        }
        assert!(theirs.len() <= 1 + kills, "{email} got {}", theirs.len());
        assert!(
            theirs.iter().all(|one| one.link == theirs[0].link && one.message_id == theirs[0].message_id)
        );
    }
    let extra = letters.len().saturating_sub(created.len());
    // at most the mails in flight at each kill, eight a relay
    assert!(extra <= 8 * kills + kills, "{extra} mails more than invites");
}
