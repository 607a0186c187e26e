//! Reading fields of request bodies with the codes that clients know, and the shape of every error.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::domain::{EmailAddress, Refusal, role::Role};

/// Tells a field that is absent (outer `None`) from one that is null (inner `None`).
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// The required `email`.
///
/// # Errors
/// [`Refusal::MissingEmail`], or [`Refusal::Validation`] saying what is wrong with it.
pub fn email(text: Option<&str>) -> Result<EmailAddress, Refusal> {
    let text = text.filter(|text| !text.trim_matches(' ').is_empty()).ok_or(Refusal::MissingEmail)?;
    EmailAddress::parse(text).map_err(|why| Refusal::field("email", why))
}

/// An optional `role`: absent means `member`; null or empty is missing.
///
/// # Errors
/// As the reader of roles.
pub fn role_or_member(
    role: Option<&Option<String>>,
    read: fn(&str) -> Result<Role, Refusal>,
) -> Result<Role, Refusal> {
    match role {
        None => Ok(Role::Member),
        Some(None) => Err(Refusal::MissingRole),
        Some(Some(text)) => read(text),
    }
}

/// Plain text for people: no control characters but line breaks, none that turn text around, at most so many
/// characters. Empty becomes none.
///
/// # Errors
/// [`Refusal::Validation`].
pub fn text(field: &'static str, value: Option<String>, most: usize) -> Result<Option<String>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    if value.chars().count() > most {
        return Err(Refusal::field(field, format!("must have at most {most} characters")));
    }
    if value.chars().any(is_refused) {
        return Err(Refusal::field(field, "has control characters"));
    }
    let value = value.trim();
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// Control characters besides the line break and tab, and those that reorder, hide or split text. The joiners
/// stay: Persian and family emoji need them.
fn is_refused(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A name for people: one line, 1 to 64 characters, nothing that could pass for a link.
///
/// # Errors
/// [`Refusal::Validation`].
pub fn name(field: &'static str, value: Option<String>) -> Result<String, Refusal> {
    let value = text(field, value, 64)?.ok_or_else(|| Refusal::field(field, "is required"))?;
    if value.contains(['\n', '\t']) {
        return Err(Refusal::field(field, "must be one line"));
    }
    if value.contains("://") || value.to_ascii_lowercase().contains("www.") {
        return Err(Refusal::field(field, "must not contain a link"));
    }
    Ok(value)
}

/// A personal message: nobody phishes through us.
///
/// # Errors
/// [`Refusal::Validation`].
pub fn message(value: Option<String>) -> Result<Option<String>, Refusal> {
    let value = text("message", value, 500)?;
    if value.as_ref().is_some_and(|text| text.contains("://")) {
        return Err(Refusal::field("message", "must not contain a link"));
    }
    Ok(value)
}

/// A language tag.
///
/// # Errors
/// [`Refusal::Validation`].
pub fn locale(value: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let fine = value.len() <= 35
        && value
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if fine {
        Ok(Some(value))
    } else {
        Err(Refusal::field("locale", "must be a language tag such as de or pt-BR"))
    }
}

/// A body whose fields, if any, do not matter.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Empty {}

/// Every error: the same facts nested and flat, since clients read either.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// Nested.
    pub error: ErrorInner,
    /// Stable code; compare without regard to case.
    pub code: String,
    /// For people.
    pub message: String,
    /// Also in the header `X-Request-Id`.
    pub request_id: String,
    /// Always false; only in the family `/api/v1/invitations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// By field, for validation errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<serde_json::Map<String, serde_json::Value>>,
    /// Whole seconds to wait, for 429 and 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether trying again can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

/// The nested facts of an error.
#[derive(Serialize, ToSchema)]
pub struct ErrorInner {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
    /// Also in the header `X-Request-Id`.
    pub request_id: String,
    /// Further facts.
    pub details: serde_json::Map<String, serde_json::Value>,
    /// Whole seconds to wait, for 429 and 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether trying again can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Result<String, Refusal> {
        name("name", Some(text.to_owned()))
    }

    #[test]
    fn names_of_every_script_pass() {
        for fine in [
            "Dr. Smith Clinic",
            "O'Neil & Sons <3",
            "Booking.com desk",
            "קליניקה",
            "قسم الطوارئ",
            "می\u{200c}خواهم",
            "👩\u{200d}⚕\u{fe0f}",
            "{{7*7}}",
            &"x".repeat(64),
        ] {
            assert_eq!(named(fine).as_deref(), Ok(fine), "{fine}");
        }
        assert_eq!(named("  Night Shift ").as_deref(), Ok("Night Shift"));
    }

    #[test]
    fn names_that_turn_text_around_or_pass_for_a_link_are_refused() {
        for bad in [
            "",
            " ",
            "a\nb",
            "a\tb",
            "a\0b",
            "a\u{85}b",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200f}b",
            "a\u{200b}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "a\u{feff}b",
            "a\u{ad}b",
            "Win at https://evil.test",
            "WWW.evil.test",
            &"x".repeat(65),
        ] {
            assert!(matches!(named(bad), Err(Refusal::Validation(_))), "{bad:?}");
        }
        assert!(name("name", None).is_err());
    }

    #[test]
    fn a_message_may_have_lines_but_no_link() {
        let kept = message(Some("Hello,\n\nsee you at example.com".into()));
        assert_eq!(kept.unwrap().as_deref(), Some("Hello,\n\nsee you at example.com"));
        assert!(message(Some("see http://evil.test".into())).is_err());
        assert!(message(Some("x".repeat(501))).is_err());
        assert_eq!(message(Some("  ".into())), Ok(None));
    }
}
