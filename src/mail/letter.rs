//! From words to bytes: headers, encoding, envelope. Everything that could inject a header is refused before
//! the builder sees it, and the builder runs fenced, since it panics where it should refuse. The text part of
//! an all-ASCII mail is written as it is, because quoted-printable would tear the link apart.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, UNIX_EPOCH},
};

use entity::{Millis, OutboxId};
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue},
    },
};

use super::render::{Rendered, Unfit, plain};
use crate::domain::EmailAddress;

/// Longest line that may travel unencoded, without its CRLF (RFC 5322 allows 998).
const LONGEST_LINE: usize = 990;

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// `Name <address>` or an address.
    pub from: &'a str,
    /// Where answers go.
    pub reply_to: Option<&'a str>,
}

/// A mail ready to be handed over.
#[derive(Clone)]
pub struct Letter {
    /// Row of the outbox it is.
    pub id: OutboxId,
    /// Address of the sender, for the envelope.
    pub from: Address,
    /// The one recipient.
    pub to: Address,
    /// `<outbox id@sender's domain>`: the same at every attempt.
    pub message_id: String,
    /// What it says.
    pub content: Rendered,
    /// The link in it.
    pub link: String,
    /// The whole message, lines ended by CRLF.
    pub raw: Vec<u8>,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({})", self.id)
    }
}

/// Writes the mail of an outbox row. `date` is the wall clock's time.
///
/// # Errors
/// [`Unfit`]: this row can never be sent.
pub fn write(
    id: OutboxId,
    sender: Sender<'_>,
    to: &str,
    link: &str,
    content: Rendered,
    date: Millis,
) -> Result<Letter, Unfit> {
    catch_unwind(AssertUnwindSafe(|| build(id, sender, to, link, content, date))).unwrap_or(Err(Unfit::Build))
}

fn build(
    id: OutboxId,
    sender: Sender<'_>,
    to: &str,
    link: &str,
    content: Rendered,
    date: Millis,
) -> Result<Letter, Unfit> {
    let from = mailbox(sender.from)?;
    let reply_to = sender.reply_to.map(mailbox).transpose()?;
    let to = address(to)?;
    let message_id = format!("<{id}@{}>", from.email.domain());
    let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(date.0).unwrap_or_default());
    let mut message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(plain(&content.subject)?)
        .date(date)
        .message_id(Some(message_id.clone()))
        .header(AutoSubmitted)
        .header(UsherId(id));
    if let Some(reply_to) = reply_to {
        message = message.reply_to(reply_to);
    }
    let parts = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, &content.text))
        .singlepart(part(ContentType::TEXT_HTML, &ascii_html(&content.html)));
    let raw = message.multipart(parts).map_err(|_| Unfit::Build)?.formatted();
    Ok(Letter { id, from: from.email, to, message_id, content, link: link.to_owned(), raw })
}

fn mailbox(text: &str) -> Result<Mailbox, Unfit> {
    let read: Mailbox = plain(text)?.parse().map_err(|_| Unfit::Address)?;
    Ok(Mailbox::new(read.name, address(read.email.as_ref())?))
}

/// An address by our own grammar: the builder's lets some through that it later fails on, and writes a domain of
/// another script as it stands, which no relay has to take.
fn address(text: &str) -> Result<Address, Unfit> {
    EmailAddress::parse(text).ok().and_then(|address| address.as_str().parse().ok()).ok_or(Unfit::Address)
}

fn part(kind: ContentType, text: &str) -> SinglePart {
    let builder = SinglePart::builder().header(kind);
    if text.is_ascii() && text.lines().all(|line| line.len() <= LONGEST_LINE) {
        let crlf = text.lines().flat_map(|line| [line, "\r\n"]).collect::<String>();
        let encoding = ContentTransferEncoding::SevenBit;
        builder.body(lettre::message::Body::dangerous_pre_encoded(crlf.into_bytes(), encoding))
    } else {
        builder.body(text.to_owned())
    }
}

/// The same page with every other character as a reference, so that it can travel unencoded.
fn ascii_html(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    for c in html.chars() {
        if c.is_ascii() { out.push(c) } else { out.push_str(&format!("&#x{:x};", u32::from(c))) }
    }
    out
}

/// `Auto-Submitted: auto-generated` (RFC 3834): keeps out-of-office replies away.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// `X-Usher-Id`: the row of the outbox, for operators who search a relay's log.
#[derive(Clone)]
struct UsherId(OutboxId);

impl Header for UsherId {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("X-Usher-Id")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.parse()?))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;

    const LINK: &str = "https://app.acme.test/workspace-invites/eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiaW52In0.eyJpIjoiMDE5MDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwIiwidiI6MX0.c2lnbmF0dXJl";
    const SENDER: Sender<'static> =
        Sender { from: "Acme Corp <invites@acme.test>", reply_to: Some("help@acme.test") };

    fn content(name: &str) -> Rendered {
        super::super::render::render(&super::super::render::Invitation {
            to: "alice@example.com",
            link: LINK,
            tenant: "Acme Corp",
            workspace: Some(name),
            inviter: None,
            role: entity::Role::Member,
            expires_at: Millis(1_767_323_045_999),
            message: Some(".\nA line that is a dot, then one that begins so:\n.hidden"),
            locale: None,
            look: Default::default(),
        })
        .unwrap()
    }

    fn letter(sender: Sender<'_>, to: &str, content: Rendered) -> Result<Letter, Unfit> {
        write(OutboxId::new(), sender, to, LINK, content, Millis(1_767_323_045_999))
    }

    #[test]
    fn headers_say_who_what_and_that_a_machine_wrote_it() {
        let letter = letter(SENDER, "alice@example.com", content("Clinic")).unwrap();
        let parsed = MessageParser::default().parse(&letter.raw).unwrap();
        assert_eq!(parsed.from().unwrap().first().unwrap().address(), Some("invites@acme.test"));
        assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Acme Corp"));
        assert_eq!(parsed.to().unwrap().as_list().unwrap().len(), 1);
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("alice@example.com"));
        assert_eq!(parsed.reply_to().unwrap().first().unwrap().address(), Some("help@acme.test"));
        assert_eq!(parsed.message_id(), Some(format!("{}@acme.test", letter.id).as_str()));
        assert_eq!(parsed.header("Auto-Submitted").unwrap().as_text(), Some("auto-generated"));
        assert_eq!(parsed.header("X-Usher-Id").unwrap().as_text(), Some(letter.id.to_string().as_str()));
        assert_eq!(parsed.date().unwrap().to_rfc3339(), "2026-01-02T03:04:05Z");
        assert_eq!(parsed.subject(), Some("Invitation to join Acme Corp"));
    }

    #[test]
    fn the_link_stands_unbroken_and_alone_on_a_raw_line() {
        let letter = letter(SENDER, "alice@example.com", content("Clinic")).unwrap();
        let raw = String::from_utf8(letter.raw).unwrap();
        assert_eq!(raw.split("\r\n").filter(|line| *line == LINK).count(), 1, "{raw}");
        assert!(!raw.replace("\r\n", "").contains(['\r', '\n']), "every line ends with CRLF");
        assert_eq!(raw.matches(LINK).count(), 4, "text, button, address below it twice");
    }

    #[test]
    fn a_name_of_another_script_leaves_the_link_whole_in_the_html_part_and_decodable_in_the_text_part() {
        let letter = letter(SENDER, "alice@example.com", content("Кліника Ünï")).unwrap();
        let parsed = MessageParser::default().parse(&letter.raw).unwrap();
        assert!(parsed.body_text(0).unwrap().lines().any(|line| line.trim_end() == LINK));
        assert!(parsed.body_text(0).unwrap().contains("Кліника Ünï"));
        assert!(String::from_utf8(letter.raw.clone()).unwrap().contains(&format!("href=\"{LINK}\"")));
    }

    #[test]
    fn an_address_of_another_script_is_written_as_its_a_label_wherever_it_stands() {
        let sender = Sender { from: "Acme <a@bücher.example>", reply_to: Some("b@bücher.example") };
        let letter = letter(sender, "c@bücher.example", content("Clinic")).unwrap();
        assert!(letter.raw.is_ascii());
        let raw = String::from_utf8(letter.raw).unwrap();
        for header in ["From: Acme <a@", "Reply-To: b@", "To: c@"] {
            assert!(raw.contains(&format!("{header}xn--bcher-kva.example")), "{header} in {raw}");
        }
        assert!(letter.message_id.ends_with("@xn--bcher-kva.example>"));
    }

    #[test]
    fn header_injection_by_any_name_is_refused_before_the_builder_can_panic() {
        for evil in ["Acme\r\nBcc: x@evil.test <a@acme.test>", "Acme\0 <a@acme.test>", "Acme\n <a@acme.test>"]
        {
            let sender = Sender { from: evil, reply_to: None };
            assert_eq!(
                letter(sender, "alice@example.com", content("Clinic")).unwrap_err(),
                Unfit::ControlCharacter
            );
        }
        for evil in [
            "alice@example.com\r\nBcc: x@evil.test",
            "a@b",
            "\"a b\"@x.test",
            "=?utf-8?q?x=40y.com=3e?=@b.com",
        ] {
            assert_eq!(letter(SENDER, evil, content("Clinic")).unwrap_err(), Unfit::Address, "{evil}");
        }
        let mut subject = content("Clinic");
        subject.subject = "Hello\r\nBcc: x@evil.test".into();
        assert_eq!(letter(SENDER, "alice@example.com", subject).unwrap_err(), Unfit::ControlCharacter);
    }
}
