//! Mails. Whatever names and messages hold, a mail that is made has the headers we wrote and no others, one
//! recipient, one link, which is ours, whole and alone on its line, and no markup of anybody else's.

use arbitrary::{Arbitrary, Unstructured};
use entity::{Millis, OutboxId, Role};
use mail_parser::MessageParser;
use usher::{
    domain::EmailAddress,
    mail::{
        letter::{Sender, write},
        render::{Invitation, Look, Unfit, render},
    },
};
use uuid::Uuid;

const LINK: &str = "https://app.acme.test/workspace-invites/eyJhbGciOiJIUzI1NiJ9.eyJpIjoiMDE5In0.c2ln";
const HEADERS: [&str; 10] = [
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Usher-Id",
    "MIME-Version",
    "Content-Type",
];

#[derive(Arbitrary, Debug)]
struct Facts {
    to: String,
    tenant: String,
    workspace: Option<String>,
    inviter: Option<String>,
    message: Option<String>,
    locale: Option<String>,
    color: Option<String>,
    support: Option<String>,
    sender: Option<String>,
    role: u8,
    at: i64,
}

pub fn run(data: &[u8]) {
    let Ok(facts) = Facts::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let to =
        EmailAddress::parse(&facts.to).map_or("alice@example.com".to_owned(), |to| to.as_str().to_owned());
    let invitation = Invitation {
        to: &to,
        link: LINK,
        tenant: &facts.tenant,
        workspace: facts.workspace.as_deref(),
        inviter: facts.inviter.as_deref(),
        role: [Role::Viewer, Role::Member, Role::Admin, Role::Owner][usize::from(facts.role % 4)],
        expires_at: Millis(facts.at),
        message: facts.message.as_deref(),
        locale: facts.locale.as_deref(),
        look: Look {
            logo_url: None,
            primary_color: facts.color.as_deref(),
            support: facts.support.as_deref(),
        },
    };
    let content = match render(&invitation) {
        Ok(content) => content,
        Err(unfit) => return assert_eq!(unfit, Unfit::ControlCharacter),
    };
    assert_eq!(content.text.lines().filter(|line| *line == LINK).count(), 1, "{}", content.text);
    for link in content.html.split("href=\"").skip(1) {
        assert!(link.starts_with(&format!("{LINK}\"")), "a link of somebody else's: {}", content.html);
    }
    let lower = content.html.to_lowercase();
    for tag in ["<script", "<img", "<iframe", "<svg", "<form", "<object", "javascript:"] {
        // names are text: `javascript:` may be said, but in no attribute
        assert!(!lower.contains(tag) || tag.ends_with(':'), "{tag} in {}", content.html);
    }
    let own = facts.sender.unwrap_or_else(|| "Acme Corp <invites@acme.test>".into());
    let sender = Sender { from: &own, reply_to: Some("help@acme.test") };
    let (subject, text) = (content.subject.clone(), content.text.clone());
    let letter =
        match write(OutboxId(Uuid::nil()), sender, &to, LINK, content, Millis(facts.at.max(0) % (1 << 45))) {
            Ok(letter) => letter,
            Err(unfit) => {
                return assert!(
                    unfit == Unfit::ControlCharacter || own != "Acme Corp <invites@acme.test>",
                    "{unfit}"
                );
            }
        };
    let parsed = MessageParser::default().parse(&letter.raw).expect("a mail");
    for header in parsed.headers() {
        assert!(HEADERS.iter().any(|known| header.name().eq_ignore_ascii_case(known)), "{}", header.name());
    }
    let recipients = parsed.to().unwrap().as_list().unwrap();
    assert_eq!((recipients.len(), recipients[0].address()), (1, Some(to.as_str())));
    assert_eq!(letter.to.to_string(), to);
    let shown: String = parsed.subject().unwrap_or_default().split_whitespace().collect();
    assert_eq!(shown, subject.split_whitespace().collect::<String>(), "the subject is read as another");
    let read = parsed.body_text(0).unwrap();
    assert_eq!(read.lines().filter(|line| line.trim_end() == LINK).count(), 1, "{read}");
    assert_eq!(read.split_whitespace().collect::<String>(), text.split_whitespace().collect::<String>());
    let raw = String::from_utf8(letter.raw).expect("ASCII");
    assert!(raw.is_ascii() && !raw.replace("\r\n", "").contains(['\r', '\n']), "a bare line end");
    assert!(raw.split("\r\n").all(|line| line.len() <= 998), "a line that is too long");
}
