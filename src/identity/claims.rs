//! Reading the two JSON parts of a token strictly (a repeated name is an error at any depth, since two readers
//! would choose differently), finding a claim by its configured name, and cleaning what people will see.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Longest display name kept, in characters.
const MAX_NAME: usize = 64;

/// The claims (or header fields) of one part of a token.
pub(super) type Object = Map<String, Value>;

/// Decodes one part: canonical base64url, then one JSON object without repeated names.
pub(super) fn object(part: &str) -> Option<Object> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    match serde_json::from_slice::<Strict>(&json).ok()?.0 {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The `iss` of a token that is not verified yet, if it is one text. Nothing else is decoded.
pub(super) fn issuer_of(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlyIssuer {
        iss: String,
    }
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    // a struct would also be filled from an array
    let first = json.iter().find(|byte| !byte.is_ascii_whitespace())?;
    (*first == b'{').then(|| serde_json::from_slice::<OnlyIssuer>(&json).ok().map(|only| only.iss)).flatten()
}

/// Finds a claim by name. The whole name is tried first, as `https://x/email` needs; then each of its dots may
/// lead into an object, so `user.email` and `https://x.example/claims.email` work too. `Some(null)` is a claim
/// that is there.
pub(super) fn find<'a>(claims: &'a Object, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    name.match_indices('.').find_map(|(dot, _)| {
        let (outer, inner) = (name.get(..dot)?, name.get(dot + 1..)?);
        find(claims.get(outer)?.as_object()?, inner)
    })
}

/// Whether a claim is this text, or a list that contains it. A boolean counts by its word.
pub(super) fn says(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Bool(yes) => wanted == if *yes { "true" } else { "false" },
        Value::Array(list) => list.iter().any(|item| item.as_str() == Some(wanted)),
        _ => false,
    }
}

/// A display name without control and direction characters, on one line, cut to 64 characters; `None` if
/// nothing is left.
pub(super) fn display_name(claim: &Value) -> Option<String> {
    let mut name = String::new();
    for word in claim.as_str()?.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word: String = word.chars().filter(|c| !is_unseen(*c)).collect();
        if !word.is_empty() && !name.is_empty() {
            name.push(' ');
        }
        name.push_str(&word);
    }
    let name: String = name.chars().take(MAX_NAME).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Characters that turn the direction of text around or hide in it. The joiners stay: several scripts cannot
/// be written without them.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A JSON value in which no object repeats a name.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(Value::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = from.next_element()? {
            list.push(item);
        }
        Ok(Strict(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = from.next_entry::<String, Strict>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is repeated"));
            }
        }
        Ok(Strict(Value::Object(object)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    fn as_object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_repeated_name_is_refused_at_any_depth() {
        assert!(object(&part(r#"{"a":1,"b":{"c":[2.5,null,true,-1]}}"#)).is_some());
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
            "[1]",
            "1",
            "",
            "{} ",
        ] {
            assert_eq!(object(&part(bad)).is_none(), bad != "{} ", "{bad}");
        }
        assert!(object("e30=").is_none(), "padding");
        assert!(object("e31").is_none(), "a last character with spare bits set");
    }

    #[test]
    fn only_a_single_text_is_an_issuer() {
        assert_eq!(issuer_of(&part(r#"{"iss":"https://a","x":1}"#)), Some("https://a".into()));
        for bad in
            [r#"{"iss":["https://a"]}"#, r#"["https://a"]"#, r#"{"iss":"a","iss":"b"}"#, r#"{"iss":1}"#, "{}"]
        {
            assert_eq!(issuer_of(&part(bad)), None, "{bad}");
        }
    }

    #[test]
    fn the_whole_name_of_a_claim_comes_first_then_dots_descend() {
        let claims = as_object(json!({
            "a.b": 1, "a": {"b": 2, "c": {"d": 3}, "n": null},
            "https://x.example/email": "whole", "https://x.example/claims": {"email": "inner"},
        }));
        assert_eq!(find(&claims, "a.b"), Some(&json!(1)));
        assert_eq!(find(&claims, "a.c.d"), Some(&json!(3)));
        assert_eq!(find(&claims, "a.n"), Some(&Value::Null), "null is there");
        assert_eq!(find(&claims, "https://x.example/email"), Some(&json!("whole")));
        assert_eq!(find(&claims, "https://x.example/claims.email"), Some(&json!("inner")));
        for absent in ["a.x", "a.b.c", "x", "", ".", "a."] {
            assert_eq!(find(&claims, absent), None, "{absent}");
        }
    }

    #[test]
    fn a_claim_says_a_word_alone_or_in_a_list() {
        assert!(says(&json!("admin"), "admin"));
        assert!(says(&json!(["a", "admin"]), "admin"));
        assert!(says(&json!(true), "true"));
        for not in [
            json!("administrator"),
            json!("a admin"),
            json!(["x"]),
            json!({"admin": 1}),
            json!(1),
            Value::Null,
        ] {
            assert!(!says(&not, "admin"), "{not}");
        }
    }

    #[test]
    fn display_names_lose_what_could_deceive_and_stay_short() {
        assert_eq!(
            display_name(&json!("  Ann\r\n\u{202e}Lee\u{0} \u{200b}\u{2066} B ")),
            Some("Ann Lee B".into())
        );
        assert_eq!(display_name(&json!("علی\u{200c}رضا")), Some("علی\u{200c}رضا".into()));
        assert_eq!(display_name(&json!("x".repeat(200))).unwrap().len(), 64);
        for none in [json!(""), json!(" \u{202e} "), json!(5), json!(["a"]), Value::Null] {
            assert_eq!(display_name(&none), None, "{none}");
        }
    }
}
