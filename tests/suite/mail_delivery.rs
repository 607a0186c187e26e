//! How mails leave: once each, through a real SMTP conversation, with the state visible on the invite; a bad
//! one holds up no other, a refused one is tried again or given up as the relay's answer deserves.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::support::{
    Engine, Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, eventually,
    invites::KINDS,
    smtp_sink::SmtpSink,
    within,
};

both_engines!(
    a_mail_taken_by_the_relay_is_sent => Setup::new().smtp(),
    an_address_refused_for_good_bounces => Setup::new().smtp(),
    an_address_refused_for_now_is_tried_again_with_the_same_id => Setup::new().smtp(),
    bad_mails_hold_up_no_others => Setup::new().smtp(),
    what_ends_before_its_mail_leaves_is_not_mailed => Setup::new().smtp(),
    a_relay_that_is_down_loses_nothing => Setup::new().smtp(),
    a_mail_goes_to_the_stored_address_alone => Setup::new().smtp(),
    each_mail_leaves_once_from_however_many_servers => Setup::new().smtp(),
    a_mail_owed_at_the_stop_leaves_after_the_start => Setup::new().smtp(),
    the_operator_sees_and_retries_mails => Setup::new().smtp(),
);

fn sink(server: &TestServer) -> &SmtpSink {
    server.setup.sink.as_ref().unwrap()
}

async fn invite(server: &TestServer, email: &str) -> Invited {
    server.invite(Workspace, &acme_owner(), email, "member").await
}

/// Waits until the delivery of an invite stands so.
async fn delivery(server: &TestServer, invited: &Invited, wanted: &str) {
    eventually(&format!("delivery {wanted}"), async || {
        let data = server.show(invited, &acme_owner()).await.expect(200)["data"].clone();
        (data["delivery"] == wanted).then_some(())
    })
    .await;
}

async fn a_mail_taken_by_the_relay_is_sent(server: TestServer) {
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com");
        let invited = server.invite(kind, &acme_owner(), &email, "member").await;
        let letters = server.letters_to(&email, 1).await;
        assert_eq!(letters[0].link, invited.url);
        delivery(&server, &invited, "sent").await;
    }
    let listed = server.pending(Org, &acme_owner()).await;
    assert_eq!(listed[0]["delivery"], "sent");
}

async fn an_address_refused_for_good_bounces(server: TestServer) {
    sink(&server).answer("gone", "550 5.1.1 no such user");
    let invited = invite(&server, "gone@example.com").await;
    delivery(&server, &invited, "bounced").await;
    for _ in 0..3 {
        server.advance(Duration::from_secs(24 * 3600));
        let next = invite(&server, &format!("n{}@example.com", server.now())).await;
        delivery(&server, &next, "sent").await;
    }
    let asked = sink(&server).asked().iter().filter(|address| address.starts_with("gone")).count();
    assert_eq!(asked, 1, "given up at once");
}

async fn an_address_refused_for_now_is_tried_again_with_the_same_id(server: TestServer) {
    sink(&server).answer("busy", "451 4.7.1 greylisted, try again");
    let invited = invite(&server, "busy@example.com").await;
    delivery(&server, &invited, "retrying").await;
    sink(&server).take_all();
    server.advance(Duration::from_secs(3 * 3600));
    delivery(&server, &invited, "sent").await;
    let letters = server.letters_to("busy@example.com", 1).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].link, invited.url);
    let ids = server.inspect().await.count("SELECT count(*) AS n FROM outbox").await;
    assert_eq!(ids, 1, "one row, so one Message-ID over all tries");
}

async fn bad_mails_hold_up_no_others(server: TestServer) {
    sink(&server).answer("poison", "550 5.1.1 never");
    sink(&server).answer("slow", "451 4.3.0 later");
    for at in 0..20 {
        let kind = if at % 2 == 0 { "poison" } else { "slow" };
        invite(&server, &format!("{kind}{at}@example.com")).await;
    }
    let good = invite(&server, "good@example.com").await;
    server.invite_to_globex(Org, "globex@example.com").await;
    delivery(&server, &good, "sent").await;
    server.letters_to("globex@example.com", 1).await;
}

async fn what_ends_before_its_mail_leaves_is_not_mailed(server: TestServer) {
    sink(&server).answer("busy", "451 4.3.0 later");
    let invited = invite(&server, "busy@example.com").await;
    delivery(&server, &invited, "retrying").await;
    server.revoke(&invited, &acme_owner()).await.expect(200);
    delivery(&server, &invited, "cancelled").await;
    sink(&server).take_all();
    server.advance(Duration::from_secs(24 * 3600));
    invite(&server, "next@example.com").await;
    server.letters_to("next@example.com", 1).await;
    assert!(server.letters().iter().all(|letter| letter.to != "busy@example.com"));
}

async fn a_relay_that_is_down_loses_nothing(mut server: TestServer) {
    sink(&server).greet("421 4.3.2 shutting down");
    let mut waiting = Vec::new();
    for at in 0..5 {
        waiting.push(invite(&server, &format!("bob{at}@example.com")).await);
    }
    for invited in &waiting {
        let data = server.show(invited, &acme_owner()).await.expect(200)["data"].clone();
        assert!(["queued", "retrying"].contains(&data["delivery"].as_str().unwrap()), "{data}");
    }
    // a new start does not wait out the pause that the old one gave the relay
    server.stop();
    sink(&server).take_all();
    server.serve();
    for invited in &waiting {
        eventually("the relay's return to be noticed", async || {
            server.advance(Duration::from_secs(60));
            let data = server.show(invited, &acme_owner()).await.expect(200)["data"].clone();
            (data["delivery"] == "sent").then_some(())
        })
        .await;
    }
    let ids: BTreeSet<String> = server.letters().into_iter().map(|letter| letter.message_id).collect();
    assert_eq!((ids.len(), server.letters().len()), (5, 5), "each once");
}

async fn a_mail_goes_to_the_stored_address_alone(server: TestServer) {
    for kind in KINDS {
        let body = json!({
            "email": format!("bob-{kind:?}@example.com"), "cc": "spy@evil.test", "bcc": ["spy@evil.test"],
            "to": "spy@evil.test", "reply_to": "spy@evil.test",
        });
        server.invite_with(kind, &acme_owner(), body).await;
        server.letters_to(&format!("bob-{kind:?}@example.com"), 1).await;
    }
    for bad in [
        json!(["a@example.com", "b@example.com"]),
        json!({ "address": "a@example.com" }),
        json!(7),
        json!(true),
        json!("a@example.com;b@example.com"),
        json!("<a@example.com>b@example.com"),
    ] {
        let answer = server.post(&Org.collection(), &json!({ "email": bad })).by(&acme_owner()).await;
        assert!([400, 422].contains(&answer.status), "{bad}: {}", answer.text());
    }
    let asked = sink(&server).asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
}

async fn each_mail_leaves_once_from_however_many_servers(server: TestServer) {
    let count = crate::support::rounds("USHER_MAIL_COUNT", 60);
    let further = match server.engine {
        Engine::Sqlite => Vec::new(),
        Engine::Postgres => vec![server.replica(), server.replica()],
    };
    let servers: Vec<&TestServer> = std::iter::once(&server).chain(&further).collect();
    let all = stream::iter(0..count).map(|at| {
        let server = servers[at % servers.len()];
        let body = json!({ "email": format!("bob{at}@example.com") });
        async move {
            let asked = server.post(&Workspace.collection(), &body).by(&acme_owner());
            asked.patiently().await.expect(201);
        }
    });
    all.buffer_unordered(60).collect::<Vec<()>>().await;
    let rows = server.inspect().await;
    within(Duration::from_secs(300), "every mail to be settled", async || {
        let open = rows.count("SELECT count(*) AS n FROM outbox WHERE state <> 'sent'").await;
        (open == 0).then_some(())
    })
    .await;
    let letters = server.letters();
    let ids: BTreeSet<&str> = letters.iter().map(|letter| letter.message_id.as_str()).collect();
    println!(
        "{:?}: {} mails, {} Message-IDs, {} servers",
        server.engine,
        letters.len(),
        ids.len(),
        servers.len()
    );
    assert_eq!((letters.len(), ids.len()), (count, count));
}

async fn a_mail_owed_at_the_stop_leaves_after_the_start(mut server: TestServer) {
    sink(&server).answer("busy", "451 4.3.0 later");
    let invited = invite(&server, "busy@example.com").await;
    delivery(&server, &invited, "retrying").await;
    server.stop();
    sink(&server).take_all();
    server.serve();
    server.advance(Duration::from_secs(3 * 3600));
    delivery(&server, &invited, "sent").await;
    assert_eq!(server.letters_to("busy@example.com", 1).await[0].link, invited.url);
}

async fn the_operator_sees_and_retries_mails(server: TestServer) {
    sink(&server).answer("gone", "550 5.1.1 no such user");
    let invited = invite(&server, "gone@example.com").await;
    delivery(&server, &invited, "bounced").await;
    let listed = server.cli(&["mail", "list", "--json"]).await.json();
    assert!(listed.to_string().contains(&invited.id), "{listed}");
    assert!(!listed.to_string().contains("eyJ"), "{listed}");
    let rows = listed.as_array().or_else(|| listed["data"].as_array()).unwrap();
    let mail = rows[0]["id"].as_str().unwrap();
    sink(&server).take_all();
    server.cli(&["mail", "retry", mail]).await.data();
    delivery(&server, &invited, "sent").await;
}
