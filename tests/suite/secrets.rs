//! What must not be anywhere after a run: no usable link, key or credential in the database, its file, the log
//! or the metrics; no full address in the log.

use serde_json::json;

use crate::support::{
    ACME_HOST, Credential, Engine,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
    invites::{KINDS, token_of},
    person,
};

both_engines!(no_secret_is_left_behind => Setup::new().smtp().process());

async fn no_secret_is_left_behind(mut server: TestServer) {
    let owner = acme_owner();
    let mut secrets = vec![owner.bearer()];
    let mut addresses = vec![owner.email().to_owned()];
    let key = ["api-key", "create", "--tenant", "acme", "--service", "--role", "admin", "--name", "ci"];
    let key = server.cli(&key).await.data();
    for kind in KINDS {
        for (at, what) in
            ["accept", "decline", "revoke", "expire", "refuse", "garble"].into_iter().enumerate()
        {
            let who = person(&format!("invitee{at}-{kind:?}@example.com"));
            let by = if at % 2 == 0 { owner.bearer() } else { key.clone() };
            let invited = server.invite(kind, &by, who.email(), "member").await;
            server.preview(&invited).on(ACME_HOST).await.expect(200);
            assert_eq!(server.get(&kind.page(&invited.token)).on(ACME_HOST).await.status, 200);
            let once = format!("a-key-of-the-caller-{kind:?}-{at}");
            let rotated = server.resend(&invited, &by, &json!({ "rotate": true }));
            let rotated = rotated.header("idempotency-key", &once).await.expect(200);
            secrets.push(once);
            let url = rotated["invite_url"].as_str().unwrap();
            let live = crate::support::Invited { token: token_of(url), ..invited.clone() };
            match what {
                "accept" => drop(server.accept(&live, &who).await.expect(200)),
                "decline" => drop(server.decline(&live, &who).await.expect(200)),
                "revoke" => drop(server.revoke(&live, &by).await.expect(200)),
                "refuse" => drop(
                    server.accept(&live, &person("other@example.com")).await.refused(422, "EMAIL_MISMATCH"),
                ),
                "garble" => {
                    // errors must not repeat what they could not read
                    let garbled = format!("{}x", live.token);
                    let answer = server.get(&kind.token(&garbled)).await;
                    assert!(!answer.text().contains(&garbled));
                    let path = format!("{}/{}", kind.collection(), live.token);
                    assert!(!server.get(&path).by(&by).await.text().contains(&live.token));
                    let answer = server.get(&kind.collection()).bearer(&garbled).await;
                    assert!(!answer.text().contains(&garbled));
                    let stray = server.get(&format!("/nothing/{}?token={}", live.token, live.token)).await;
                    assert!(!stray.text().contains(&live.token));
                }
                _ => {}
            }
            secrets.extend([invited.token, live.token, who.bearer()]);
            addresses.push(who.email().to_owned());
        }
    }
    secrets.push(key.clone());
    for address in &addresses[1..] {
        server.letters_to(address, 1).await;
    }
    let listed = server.get(&Org.collection()).by(&owner).await.text()
        + &server.get(&Workspace.collection()).by(&owner).await.text()
        + &server.admin("/metrics").await.text();
    let rows = server.inspect().await;
    let dump = rows.dump().await;
    assert!(dump.contains("invitee0"), "the dump shows what is there");
    server.terminate();
    let log = server.log();
    assert!(log.lines().count() > 20, "requests are logged: {log}");
    let file = match server.engine {
        Engine::Sqlite => {
            String::from_utf8_lossy(&std::fs::read(server.data_dir().join("usher.db")).unwrap()).into_owned()
        }
        Engine::Postgres => String::new(),
    };
    for secret in &secrets {
        // of a token the signature alone would do, of a key the part after its prefix
        let essence = secret.rsplit('.').next().unwrap();
        let essence = essence.strip_prefix("msk_u_").unwrap_or(essence);
        for (place, text) in [("dump", &dump), ("file", &file), ("log", &log), ("lists and metrics", &listed)]
        {
            assert!(!text.contains(essence), "{secret} in the {place}");
        }
    }
    for address in &addresses {
        assert!(!log.contains(address.as_str()), "{address} in the log");
    }
    for configured in ["a-test-secret-that-is", "MDEyMzQ1Njc4OWFiY2RlZj"] {
        assert!(!log.contains(configured) && !dump.contains(configured));
    }
}
