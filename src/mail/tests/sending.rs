//! The transports alone: what each misbehaviour of a relay means, connections kept, bytes unharmed.

use super::{
    relay::{FaultyRelay, Mode},
    *,
};
use crate::{
    config::settings::{Mail, Relay, RelayTls, Transport},
    mail::{
        letter::{self, Letter, Sender},
        render::Rendered,
        transport::{Outcome, smtp::SmtpRelay},
    },
};

fn letter() -> Letter {
    let text = ".\n..\n.MAIL FROM:<x@evil.test>\nlast";
    let content = Rendered { subject: "Hello".into(), text: text.into(), html: "<p>.</p>\n.\n".into() };
    let sender = Sender { from: "Acme <invites@acme.test>", reply_to: None };
    letter::write(
        OutboxId::new(),
        sender,
        "alice@example.com",
        "https://x.test/invites/t",
        content,
        Millis(0),
    )
    .unwrap()
}

fn relay_at(sink: &FaultyRelay, tls: RelayTls, credentials: Option<(String, String)>) -> SmtpRelay {
    let address = sink.address();
    let relay =
        Relay { host: address.ip().to_string(), port: address.port(), tls, credentials, ca_file: None };
    SmtpRelay::new(relay, "usher.test".into())
}

const LIMIT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn each_misbehaviour_of_a_relay_has_its_class() {
    for (mode, outcome) in [
        (Mode::Accept, Outcome::Sent),
        (Mode::Unavailable, Outcome::RelayDown("greeting")),
        (Mode::SilentGreeting, Outcome::RelayDown("connect_timeout")),
        (Mode::RefuseLogin, Outcome::RelayDown("auth_required")),
        (Mode::AtRecipient(450), Outcome::Deferred("recipient_deferred")),
        (Mode::AtRecipient(421), Outcome::Deferred("recipient_deferred")),
        (Mode::AtRecipient(550), Outcome::Refused("recipient_refused")),
        (Mode::AtRecipient(530), Outcome::Deferred("auth_required")),
        (Mode::AtMessage(451), Outcome::Deferred("message_deferred")),
        (Mode::AtMessage(554), Outcome::Refused("message_refused")),
        (Mode::SilentAfterData, Outcome::Ambiguous("timeout_after_data")),
        (Mode::DropAfterDot, Outcome::Ambiguous("dropped_after_data")),
    ] {
        let sink = FaultyRelay::start(mode.clone()).await;
        assert_eq!(relay_at(&sink, RelayTls::None, None).send(&letter(), LIMIT).await, outcome, "{mode:?}");
    }
}

#[tokio::test]
async fn a_bad_login_a_missing_starttls_and_a_closed_port_are_the_relay_not_the_mail() {
    let sink = FaultyRelay::start(Mode::RefuseLogin).await;
    let login = Some(("user".to_owned(), "wrong".to_owned()));
    let outcome = relay_at(&sink, RelayTls::None, login).send(&letter(), LIMIT).await;
    assert_eq!(outcome, Outcome::RelayDown("auth"));

    let plain = FaultyRelay::start(Mode::Accept).await;
    let outcome = relay_at(&plain, RelayTls::Required, None).send(&letter(), LIMIT).await;
    assert_eq!(outcome, Outcome::RelayDown("tls"));
    let outcome = relay_at(&plain, RelayTls::Wrapped, None).send(&letter(), LIMIT).await;
    assert!(matches!(outcome, Outcome::RelayDown(_)), "{outcome:?}");
    assert!(plain.recipients().is_empty(), "nothing was sent in the clear");
    let outcome = relay_at(&plain, RelayTls::Opportunistic, None).send(&letter(), LIMIT).await;
    assert_eq!(outcome, Outcome::Sent);

    let gone = FaultyRelay::start(Mode::Accept).await;
    let relay = relay_at(&gone, RelayTls::None, None);
    drop(gone);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(relay.send(&letter(), LIMIT).await, Outcome::RelayDown("connect"));
}

#[tokio::test]
async fn connections_are_kept_also_after_a_refused_recipient_and_no_mail_waits_for_an_acknowledgement() {
    let sink = FaultyRelay::start(Mode::Accept).await;
    let relay = relay_at(&sink, RelayTls::None, None);
    assert_eq!(relay.send(&letter(), LIMIT).await, Outcome::Sent);
    sink.set_mode(Mode::AtRecipient(550));
    assert_eq!(relay.send(&letter(), LIMIT).await, Outcome::Refused("recipient_refused"));
    sink.set_mode(Mode::Accept);
    let mut fastest = LIMIT;
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(relay.send(&letter(), LIMIT).await, Outcome::Sent);
        fastest = fastest.min(begun.elapsed());
    }
    assert_eq!(sink.connections(), 1);
    // a delayed acknowledgement takes 40 ms, and every mail would wait for one
    assert!(fastest < Duration::from_millis(40), "{fastest:?}");
}

#[tokio::test]
async fn a_connection_that_the_relay_closed_meanwhile_costs_no_attempt() {
    let sink = FaultyRelay::start(Mode::CloseIdle(Duration::from_millis(30))).await;
    let relay = relay_at(&sink, RelayTls::None, None);
    for _ in 0..3 {
        assert_eq!(relay.send(&letter(), LIMIT).await, Outcome::Sent);
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    assert_eq!(sink.connections(), 3);
}

#[tokio::test]
async fn lines_that_are_dots_arrive_as_they_were_and_start_no_other_mail() {
    let sink = FaultyRelay::start(Mode::Accept).await;
    let letter = letter();
    assert_eq!(relay_at(&sink, RelayTls::None, None).send(&letter, LIMIT).await, Outcome::Sent);
    let mails = sink.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(sink.recipients(), ["alice@example.com"]);
    assert_eq!(mails[0].from, "invites@acme.test");
    assert_eq!(mails[0].text().trim_end(), String::from_utf8(letter.raw.clone()).unwrap().trim_end());
    assert!(mails[0].text().contains("\r\n\r\n.\r\n..\r\n.MAIL FROM:<x@evil.test>\r\nlast\r\n"));
}

#[tokio::test]
async fn files_are_whole_and_named_after_their_row_and_the_mailbox_is_decoded() {
    let folder = std::env::temp_dir().join(format!("usher-eml-{}", uuid::Uuid::now_v7()));
    let mailbox = Mailbox::default();
    let transports = Transports::new("usher.test".into(), mailbox.clone());
    let mut mail = Mail {
        transport: Transport::File(folder.join("mail")),
        from: "Acme <invites@acme.test>".into(),
        reply_to: None,
        concurrency: 8,
        timeout: LIMIT,
    };
    let letter = letter();
    for _ in 0..2 {
        assert_eq!(transports.send(&mail, &letter).await, Outcome::Sent);
    }
    let files: Vec<_> =
        std::fs::read_dir(folder.join("mail")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files, [folder.join("mail").join(format!("{}.eml", letter.id))]);
    assert_eq!(std::fs::read(&files[0]).unwrap(), letter.raw);
    std::fs::remove_dir_all(&folder).unwrap();

    mail.transport = Transport::Memory;
    assert_eq!(transports.send(&mail, &letter).await, Outcome::Sent);
    let kept = mailbox.list();
    assert_eq!((kept[0].to.as_str(), kept[0].subject.as_str()), ("alice@example.com", "Hello"));
    assert_eq!(kept[0].link, "https://x.test/invites/t");
}
