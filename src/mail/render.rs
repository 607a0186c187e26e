//! What an invitation mail says: subject, text part and HTML part from plain facts. Owns the layout of both
//! parts and what names may do in them. Names are other people's text: they are escaped in the HTML part,
//! and whatever in them a mail program would turn into a link is broken up, so that the one link of the mail
//! is ours.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::{Millis, Role};
use minijinja::{Environment, UndefinedBehavior, context, syntax::SyntaxConfig};

use super::words::{Words, fill};

/// Button colour of a tenant that names none.
const DEFAULT_COLOR: &str = "#1f5fd1";
/// Longest name shown, in characters.
const LONGEST_NAME: usize = 64;
/// Longest personal message shown, in characters.
const LONGEST_MESSAGE: usize = 1000;

/// The facts of one invitation mail.
#[derive(Clone, Copy, Debug)]
pub struct Invitation<'a> {
    /// The invited address.
    pub to: &'a str,
    /// The whole link.
    pub link: &'a str,
    /// Name of the tenant.
    pub tenant: &'a str,
    /// Name of the workspace, if it is for one.
    pub workspace: Option<&'a str>,
    /// Name of who invites, if there is one to give; never an address.
    pub inviter: Option<&'a str>,
    /// Role to be given.
    pub role: Role,
    /// End of the link's life.
    pub expires_at: Millis,
    /// Personal message, plain text.
    pub message: Option<&'a str>,
    /// Language asked for, such as `de-AT`.
    pub locale: Option<&'a str>,
    /// The tenant's looks.
    pub look: Look<'a>,
}

/// A tenant's looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look<'a> {
    /// Logo on one of the tenant's own domains; the caller has checked that.
    pub logo_url: Option<&'a str>,
    /// `#rrggbb`.
    pub primary_color: Option<&'a str>,
    /// Address or page where invitees ask for help.
    pub support: Option<&'a str>,
}

/// A mail in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Subject line.
    pub subject: String,
    /// Text part, lines ended by `\n`.
    pub text: String,
    /// HTML part.
    pub html: String,
}

/// Why a mail cannot be made of these facts; trying again will not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A name holds a line break, NUL, another control character or a bidi override.
    #[error("control_character")]
    ControlCharacter,
    /// The link is none of ours.
    #[error("bad_link")]
    Link,
    /// An address that mail cannot be sent to or from.
    #[error("bad_address")]
    Address,
    /// The template or the message builder refused or panicked.
    #[error("cannot_build")]
    Build,
}

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // escaping goes by the ending of the name
    environment.add_template("invite.txt", include_str!("templates/invite.txt"))?;
    environment.add_template("invite.html", include_str!("templates/invite.html"))?;
    Ok(environment)
});

/// Renders an invitation.
///
/// # Errors
/// [`Unfit`] for names or links that do not belong into a mail.
pub fn render(facts: &Invitation<'_>) -> Result<Rendered, Unfit> {
    if !is_link(facts.link) {
        return Err(Unfit::Link);
    }
    let words = Words::of(facts.locale);
    // the operator chose the tenant's name, so it may well be a domain; the others are anybody's
    let tenant = short(plain(facts.tenant)?, LONGEST_NAME);
    let workspace = facts.workspace.map(name).transpose()?;
    let inviter = facts.inviter.map(name).transpose()?.filter(|name| !name.is_empty());
    let email = plain(facts.to)?;
    let expires = until(facts.expires_at);
    let support = facts.look.support.map(plain).transpose()?;
    let mut gaps = vec![
        ("tenant", tenant.as_str()),
        ("email", email),
        ("role", words.role(facts.role)),
        ("expires", expires.as_str()),
        ("place", workspace.as_deref().unwrap_or(&tenant)),
        ("support", support.unwrap_or_default()),
    ];
    gaps.extend(workspace.as_deref().map(|name| ("workspace", name)));
    gaps.extend(inviter.as_deref().map(|name| ("inviter", name)));
    let intro = match (&workspace, &inviter) {
        (None, Some(_)) => words.intro_org,
        (Some(_), Some(_)) => words.intro_workspace,
        (None, None) => words.intro_org_unnamed,
        (Some(_), None) => words.intro_workspace_unnamed,
    };
    let message_title = if inviter.is_some() { words.message_from } else { words.message };
    let color = facts.look.primary_color.filter(|color| is_color(color)).unwrap_or(DEFAULT_COLOR);
    let subject = fill(words.subject, &gaps);
    let facts = context! {
        lang => words.tag,
        subject => subject.as_str(),
        tenant => tenant.as_str(),
        heading => fill(words.heading, &gaps),
        intro => fill(intro, &gaps),
        message => facts.message.map(lines).filter(|lines| !lines.is_empty()),
        message_title => fill(message_title, &gaps),
        action => words.action,
        button => words.button,
        link => facts.link,
        expiry => fill(words.expiry, &gaps),
        ignore => words.ignore,
        support => support.map(|_| fill(words.support, &gaps)),
        logo => facts.look.logo_url.map(plain).transpose()?,
        color => color,
        on_color => readable_on(color),
    };
    let part = |name: &str| {
        let environment = TEMPLATES.as_ref().ok()?;
        environment.get_template(name).ok()?.render(&facts).ok()
    };
    let (text, html) = part("invite.txt").zip(part("invite.html")).ok_or(Unfit::Build)?;
    Ok(Rendered { subject, text, html })
}

/// Whether this is a link as we make them: an http(s) address of characters that need no escaping anywhere.
fn is_link(link: &str) -> bool {
    (link.starts_with("https://") || link.starts_with("http://"))
        && link.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]".contains(&b))
}

/// A text for one line: refused if it holds a character that would break out of the line or turn it around.
pub(super) fn plain(text: &str) -> Result<&str, Unfit> {
    if text.chars().any(is_forbidden) { Err(Unfit::ControlCharacter) } else { Ok(text.trim()) }
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}')
}

/// A name that other people chose.
fn name(text: &str) -> Result<String, Unfit> {
    Ok(defanged(&short(plain(text)?, LONGEST_NAME)))
}

fn short(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((cut, _)) => format!("{}...", text.get(..cut).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

/// The lines of a personal message. Line breaks are its own; other control characters are dropped.
fn lines(message: &str) -> Vec<String> {
    let message = short(message.trim(), LONGEST_MESSAGE);
    let clean = |line: &str| defanged(&line.chars().filter(|c| !is_forbidden(*c)).collect::<String>());
    message.lines().map(clean).collect()
}

/// Breaks up what mail programs turn into links: `evil.com` becomes `evil[.]com`, `://` becomes `[:]//`.
fn defanged(text: &str) -> String {
    let text = text.replace("://", "[:]//");
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let mut after = text.get(at + c.len_utf8()..).unwrap_or_default().chars();
        let host_like = c == '.'
            && before.is_some_and(char::is_alphanumeric)
            && after.next().is_some_and(char::is_alphabetic)
            && after.next().is_some_and(char::is_alphanumeric);
        if host_like { out.push_str("[.]") } else { out.push(c) }
    }
    out
}

fn until(at: Millis) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn is_color(color: &str) -> bool {
    color.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Black or white, whichever reads better on this colour.
fn readable_on(color: &str) -> &'static str {
    let channel = |at: usize| {
        color.get(at..at + 2).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or_default()
    };
    let brightness = (channel(1) * 299 + channel(3) * 587 + channel(5) * 114) / 1000;
    if brightness > 150 { "#1a1d21" } else { "#ffffff" }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const LINK: &str =
        "https://app.acme.test/workspace-invites/eyJhbGciOiJIUzI1NiJ9.eyJpIjoiMDE5In0.c2ln";

    fn facts() -> Invitation<'static> {
        Invitation {
            to: "alice@example.com",
            link: LINK,
            tenant: "Acme Corp",
            workspace: Some("Dr. Smith Clinic"),
            inviter: Some("Bob Jones"),
            role: Role::Admin,
            expires_at: Millis(1_767_323_045_999),
            message: None,
            locale: None,
            look: Look { primary_color: Some("#0a7d5a"), support: Some("help@acme.test"), logo_url: None },
        }
    }

    fn hrefs(html: &str) -> Vec<&str> {
        html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn the_text_part_reads_like_this() {
        let mail = render(&Invitation { message: Some("Welcome!\nSee you."), ..facts() }).unwrap();
        assert_eq!(mail.subject, "Invitation to join Acme Corp");
        assert_eq!(
            mail.text,
            format!(
                "You are invited to join Dr. Smith Clinic\n\n\
                 Bob Jones invites alice@example.com to join the workspace \"Dr. Smith Clinic\" at Acme Corp as admin.\n\n\
                 Bob Jones writes:\n\n> Welcome!\n> See you.\n\n\
                 Open this link to see the invitation, and to accept or decline it:\n\n{LINK}\n\n\
                 The link works until 2026-01-02 03:04 UTC and only for alice@example.com.\n\n\
                 You did not expect this? Ignore this mail: nothing happens unless you accept.\n\n\
                 Questions? help@acme.test\n\nAcme Corp"
            )
        );
    }

    #[test]
    fn the_html_part_names_everything_and_holds_one_link_only() {
        let mail = render(&facts()).unwrap();
        for named in
            ["alice@example.com", "Acme Corp", "Dr. Smith Clinic", "Bob Jones", "admin", "2026-01-02"]
        {
            assert!(mail.html.contains(named), "{named}");
        }
        assert!(hrefs(&mail.html).iter().all(|href| *href == LINK), "one identical link");
        assert!(mail.html.contains("#0a7d5a") && mail.html.contains(&format!(">{LINK}<")));
        assert!(!mail.html.contains("<img"));
    }

    #[test]
    fn markup_in_names_and_messages_is_text_in_the_html_part() {
        let evil = "</h1><a href=https://evil.test>x</a>";
        let mail = render(&Invitation {
            workspace: Some(evil),
            inviter: Some("\"><script>alert(1)</script>"),
            message: Some("<img src=x onerror=alert(1)>\nhttps://evil.test/invites/abc"),
            ..facts()
        })
        .unwrap();
        assert!(hrefs(&mail.html).iter().all(|href| *href == LINK));
        for tag in ["<script", "<img", "<a href=https", "evil.test"] {
            assert!(!mail.html.contains(tag), "{tag}");
            assert!(
                tag.starts_with('<') || !mail.text.contains(tag),
                "{tag} would become a link in the text part"
            );
        }
        assert_eq!(mail.text.matches("://").count(), 1, "no other address in the text part");
    }

    #[test]
    fn line_breaks_control_characters_and_bidi_overrides_in_names_are_refused() {
        for bad in
            ["a\r\nBcc: x@y.test", "a\nb", "a\0b", "a\u{202e}b", "a\u{2066}b", "a\u{feff}b", "a\u{85}b"]
        {
            for facts in [
                Invitation { workspace: Some(bad), ..facts() },
                Invitation { inviter: Some(bad), ..facts() },
                Invitation { tenant: bad, ..facts() },
                Invitation { to: bad, ..facts() },
            ] {
                assert_eq!(render(&facts), Err(Unfit::ControlCharacter), "{bad:?}");
            }
        }
        for fine in ["קליניקה", "عيادة", "Ünïcödé 👩\u{200d}⚕\u{fe0f}", "O'Neil & Sons"] {
            assert!(render(&Invitation { workspace: Some(fine), ..facts() }).unwrap().text.contains(fine));
        }
    }

    #[test]
    fn a_link_of_another_alphabet_is_refused() {
        for bad in [
            "javascript:alert(1)",
            "https://x.test/\"onclick=",
            "https://x.test/a b",
            "https://x.test/?a=1&b",
        ] {
            assert_eq!(render(&Invitation { link: bad, ..facts() }), Err(Unfit::Link), "{bad}");
        }
    }

    #[test]
    fn names_are_cut_and_host_names_in_them_broken_up() {
        let long = "x".repeat(70);
        let mail =
            render(&Invitation { workspace: Some(&long), inviter: Some("Win at evil.com"), ..facts() });
        let text = mail.unwrap().text;
        assert!(text.contains(&format!("{}...", "x".repeat(64))) && text.contains("evil[.]com"));
        assert_eq!(defanged("v2.0 by Dr. No, e.g. this"), "v2.0 by Dr. No, e.g. this");
    }

    #[test]
    fn other_languages_are_spoken_when_asked_for() {
        let mail = render(&Invitation { locale: Some("de"), ..facts() }).unwrap();
        assert_eq!(mail.subject, "Einladung zu Acme Corp");
        assert!(mail.text.contains("Administrator") && mail.html.contains("<html lang=\"de\">"));
        for locale in ["fr", "es"] {
            let mail = render(&Invitation { locale: Some(locale), ..facts() }).unwrap();
            assert!(!mail.text.contains('{') && mail.text.contains("alice@example.com"), "{}", mail.text);
        }
    }

    #[test]
    fn a_bad_colour_is_ignored_and_the_button_stays_readable() {
        let mail = render(&Invitation {
            look: Look { primary_color: Some("red;}</style>"), ..Look::default() },
            ..facts()
        });
        assert!(mail.unwrap().html.contains(DEFAULT_COLOR));
        assert_eq!((readable_on("#ffe066"), readable_on("#0a7d5a")), ("#1a1d21", "#ffffff"));
    }
}
