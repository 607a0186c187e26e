//! A relay that fails in every way there is. While it does, everything but the mails goes on, and each invite shows
//! where its mail stands; when it is over, every mail still wanted leaves by itself, once. Only where the relay took a
//! message and did not say so may it come a second time: with the same Message-ID and the same link.
//!
//! A relay that cannot be used at all is left alone and looked at now and then (the circuit); what it says of one
//! mail, or leaves unsaid, is never held against another.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::alive;
use crate::support::{
    Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, eventually, person,
    smtp_sink::{Certificate, Ending, Failing, SmtpSink},
    within,
};

both_engines!(
    a_relay_that_refuses_connections_loses_nothing => unreachable(),
    a_relay_that_greets_in_another_language_loses_nothing => impatient(),
    a_relay_that_takes_connections_and_says_nothing_loses_nothing => impatient(),
    a_relay_that_refuses_the_login_loses_nothing => demanding("usher:open-sesame@", "none"),
    a_relay_that_offers_no_tls_where_it_is_required_gets_nothing => demanding("", "required"),
    a_relay_with_a_certificate_that_has_expired_gets_nothing => demanding("", "required"),
    a_relay_with_the_certificate_of_another_host_gets_nothing => demanding("", "required"),
    a_message_that_ends_badly_is_its_own_trouble_alone => impatient(),
    only_a_relay_that_cannot_be_used_is_given_a_pause => impatient().process(),
    a_message_that_nobody_answered_for_comes_again_as_the_same => impatient(),
    a_relay_down_for_hours_gets_what_is_still_wanted_when_it_is_back => unreachable(),
);

/// One attempt takes a second at most.
fn impatient() -> Setup {
    Setup::new().smtp().server("mail.timeout", "1s")
}

/// Nobody listens yet.
fn unreachable() -> Setup {
    let sink = SmtpSink::closed();
    let url = sink.url();
    Setup::new().mailed_by(sink, &url)
}

/// A login before the host, and what is asked for of TLS.
fn demanding(login: &str, tls: &str) -> Setup {
    let sink = SmtpSink::start();
    let url = sink.url_with(login, tls);
    Setup::new().mailed_by(sink, &url).server("mail.ca_file", Certificate::root().to_str().unwrap())
}

fn sink(server: &TestServer) -> &SmtpSink {
    server.setup.sink.as_ref().unwrap()
}

async fn invite(server: &TestServer, name: &str) -> Invited {
    server.invite(Workspace, &acme_owner(), &format!("{name}@example.com"), "member").await
}

async fn shown(server: &TestServer, invited: &Invited) -> Value {
    server.show(invited, &acme_owner()).await.expect(200)["data"].clone()
}

async fn delivery(server: &TestServer, invited: &Invited, wanted: &str) -> Value {
    within(Duration::from_secs(60), &format!("delivery {wanted}"), async || {
        let data = shown(server, invited).await;
        (data["delivery"] == wanted).then_some(data)
    })
    .await
}

/// All that concerns no mail: inviting, looking, accepting, revoking, listing.
async fn everything_else_goes_on(server: &TestServer, round: usize) {
    let bob = person(&format!("bob{round}@example.com"));
    let invited = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    server.preview(&invited).await.expect(200);
    server.accept(&invited, &bob).await.expect(200);
    let other = server.invite(Org, &acme_owner(), &format!("dora{round}@example.com"), "member").await;
    server.revoke(&other, &acme_owner()).await.expect(200);
    server.preview(&other).await.refused(404, "invalid_token");
    assert_eq!(server.admin("/readyz").await.status, 200);
    alive(server).await;
}

/// The relay cannot be used, for this reason; then it can.
async fn unusable(server: &TestServer, class: &str, mend: impl FnOnce(&SmtpSink)) {
    let mut waiting = Vec::new();
    for at in 0..12 {
        waiting.push(invite(server, &format!("ann{at}")).await);
    }
    eventually("the reason to be shown", async || {
        let data = shown(server, &waiting[0]).await;
        (data["delivery"] == "retrying" && data["delivery_detail"] == class).then_some(())
    })
    .await;
    for round in 0..3 {
        everything_else_goes_on(server, round).await;
    }
    for invited in &waiting {
        let data = shown(server, invited).await;
        assert!(["queued", "retrying"].contains(&data["delivery"].as_str().unwrap()), "{data}");
    }
    let rows = server.inspect().await;
    eventually("every attempt to be given back", async || {
        let tried = "SELECT count(*) AS n FROM outbox WHERE state <> 'cancelled' AND (attempts > 0 OR state <> 'queued')";
        (rows.count(tried).await == 0).then_some(())
    })
    .await;
    assert!(sink(server).asked().is_empty(), "no address was told");
    assert!(sink(server).connections() <= 24, "{} connections: it is left alone", sink(server).connections());
    mend(sink(server));
    for invited in &waiting {
        delivery(server, invited, "sent").await;
    }
    each_left_once(server, &waiting);
}

/// These mails have left, each once and with its link, and no other.
#[track_caller]
fn each_left_once(server: &TestServer, invites: &[Invited]) {
    let letters = server.letters();
    let links: BTreeSet<&str> = letters.iter().map(|letter| letter.link.as_str()).collect();
    let ids: BTreeSet<&str> = letters.iter().map(|letter| letter.message_id.as_str()).collect();
    assert_eq!(links, invites.iter().map(|invited| invited.url.as_str()).collect());
    assert_eq!((letters.len(), ids.len()), (invites.len(), invites.len()));
}

async fn a_relay_that_refuses_connections_loses_nothing(server: TestServer) {
    unusable(&server, "connect", SmtpSink::open).await;
}

async fn a_relay_that_greets_in_another_language_loses_nothing(server: TestServer) {
    sink(&server).greet("HTTP/1.1 400 Bad Request");
    unusable(&server, "greeting", SmtpSink::take_all).await;
}

async fn a_relay_that_takes_connections_and_says_nothing_loses_nothing(server: TestServer) {
    sink(&server).fail(Failing::Silent);
    unusable(&server, "connect_timeout", SmtpSink::take_all).await;
}

async fn a_relay_that_refuses_the_login_loses_nothing(server: TestServer) {
    sink(&server).fail(Failing::NoLogin);
    unusable(&server, "auth", SmtpSink::take_all).await;
}

async fn a_relay_that_offers_no_tls_where_it_is_required_gets_nothing(server: TestServer) {
    unusable(&server, "tls", |sink| sink.show(Certificate::Good)).await;
}

async fn a_relay_with_a_certificate_that_has_expired_gets_nothing(server: TestServer) {
    sink(&server).show(Certificate::Expired);
    unusable(&server, "tls", |sink| sink.show(Certificate::Good)).await;
}

async fn a_relay_with_the_certificate_of_another_host_gets_nothing(server: TestServer) {
    sink(&server).show(Certificate::OtherName);
    unusable(&server, "tls", |sink| sink.show(Certificate::Good)).await;
}

/// What the invite shows of a mail whose message ended so, and whether it is tried again.
const ENDINGS: [(&str, Ending, &str, &str); 5] = [
    ("deaf", Ending::NoGoAhead, "retrying", "timeout_before_data"),
    ("busy", Ending::Says("451 4.3.0 try later"), "retrying", "message_deferred"),
    ("full", Ending::Says("452 4.3.1 out of storage"), "retrying", "message_deferred"),
    ("spam", Ending::Says("554 5.7.1 looks like spam"), "bounced", "message_refused"),
    ("lost", Ending::Lost, "retrying", "dropped_after_data"),
];

async fn a_message_that_ends_badly_is_its_own_trouble_alone(server: TestServer) {
    let mut all = Vec::new();
    for (name, ending, ..) in ENDINGS {
        sink(&server).end(name, ending);
        all.push(invite(&server, name).await);
    }
    for (invited, (name, _, stands, class)) in all.iter().zip(ENDINGS) {
        let data = delivery(&server, invited, stands).await;
        assert_eq!(data["delivery_detail"], class, "{name}");
    }
    // the relay itself is not given up: the next mails leave without a pause, the clock standing still
    everything_else_goes_on(&server, 0).await;
    let good = invite(&server, "good").await;
    delivery(&server, &good, "sent").await;
    sink(&server).take_all();
    server.advance(Duration::from_secs(3600));
    let mut left = vec![good];
    for (invited, (_, _, stands, _)) in all.into_iter().zip(ENDINGS) {
        if stands == "retrying" {
            delivery(&server, &invited, "sent").await;
            left.push(invited);
        } else {
            assert_eq!(shown(&server, &invited).await["delivery"], stands, "not tried again");
        }
    }
    // bob's of the meantime may have left before he accepted
    let letters = server.letters();
    for invited in &left {
        let copies = letters.iter().filter(|letter| letter.link == invited.url).count();
        assert_eq!(copies, 1, "{}", invited.url);
    }
    assert!(letters.iter().all(|letter| letter.to != "spam@example.com"));
}

async fn only_a_relay_that_cannot_be_used_is_given_a_pause(server: TestServer) {
    let said = "a relay cannot be used; its mails wait";
    let paused = async || server.admin("/metrics").await.text().contains("usher_mail_circuit_open 1");
    for (name, ending, stands, _) in ENDINGS {
        sink(&server).end(name, ending);
        let invited = invite(&server, name).await;
        delivery(&server, &invited, stands).await;
    }
    assert!(!server.log().contains(said) && !paused().await, "{}", server.log());
    sink(&server).greet("421 4.3.2 closing");
    invite(&server, "next").await;
    eventually("the pause", async || (server.log().contains(said) && paused().await).then_some(())).await;
}

async fn a_message_that_nobody_answered_for_comes_again_as_the_same(server: TestServer) {
    let endings =
        [("hung", Ending::HangsUp, "dropped_after_data"), ("mute", Ending::NoAnswer, "timeout_after_data")];
    let mut all = Vec::new();
    for (name, ending, _) in endings {
        sink(&server).end(name, ending);
        all.push(invite(&server, name).await);
    }
    for (invited, (name, _, class)) in all.iter().zip(endings) {
        let data = delivery(&server, invited, "retrying").await;
        assert_eq!(data["delivery_detail"], class, "{name}");
    }
    let good = invite(&server, "good").await;
    delivery(&server, &good, "sent").await;
    sink(&server).take_all();
    // the relay may yet deliver it: not before five minutes
    server.advance(Duration::from_secs(290));
    let later = invite(&server, "later").await;
    delivery(&server, &later, "sent").await;
    for (name, ..) in endings {
        assert_eq!(server.letters_to(&format!("{name}@example.com"), 1).await.len(), 1, "{name}: too early");
    }
    server.advance(Duration::from_secs(20));
    for (invited, (name, ..)) in all.iter().zip(endings) {
        delivery(&server, invited, "sent").await;
        let letters = server.letters_to(&format!("{name}@example.com"), 2).await;
        assert_eq!(letters.len(), 2, "once more and no more");
        assert_eq!(letters[0].message_id, letters[1].message_id);
        assert!(letters.iter().all(|letter| letter.link == invited.url));
    }
}

async fn a_relay_down_for_hours_gets_what_is_still_wanted_when_it_is_back(server: TestServer) {
    let owner = acme_owner();
    let (mut wanted, mut expired) = (Vec::new(), Vec::new());
    for hour in 0..6 {
        for at in 0..10 {
            wanted.push(invite(&server, &format!("ann{hour}x{at}")).await);
        }
        let body = json!({ "email": format!("eve{hour}@example.com"), "expires_in": 1800 });
        expired.push(server.invite_with(Workspace, &owner, body).await);
        everything_else_goes_on(&server, hour).await;
        server.advance(Duration::from_secs(3600));
    }
    sink(&server).open();
    for invited in &wanted {
        delivery(&server, invited, "sent").await;
    }
    for invited in &expired {
        delivery(&server, invited, "cancelled").await;
    }
    each_left_once(&server, &wanted);
    let rows = server.inspect().await;
    let more = "SELECT count(*) AS n FROM outbox WHERE state = 'sent' AND attempts <> 1";
    assert_eq!(rows.count(more).await, 0, "hours without a relay cost no attempt");
    rows.assert_sound().await;
    rows.assert_told().await;
}
