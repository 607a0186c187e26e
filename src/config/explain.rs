//! What `config show` prints: every value in force and where it came from, secrets masked. Masking goes by
//! key, on the tree, before anything leaves this module.

use serde::Serialize;

use crate::config::tree::{Node, Value};

/// One value in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Dotted key; a tenant's begin with `tenants.<slug>`.
    pub key: String,
    /// The value as TOML, `***` in place of secrets.
    pub value: String,
    /// `default`, `file:line`, a variable or a flag.
    pub from: String,
}

/// The leaves of a tree under a name.
pub(super) fn show(tree: &Node, under: &str, into: &mut Vec<Shown>) {
    match &tree.value {
        Value::Table(table) => {
            for (key, node) in table {
                let path = if under.is_empty() { key.clone() } else { format!("{under}.{key}") };
                show(node, &path, into);
            }
        }
        Value::List(elements) if elements.iter().any(|node| matches!(node.value, Value::Table(_))) => {
            for (index, node) in elements.iter().enumerate() {
                show(node, &format!("{under}.{index}"), into);
            }
        }
        _ => into.push(Shown {
            key: under.to_owned(),
            value: masked(under, tree),
            from: tree.origin.to_string(),
        }),
    }
}

fn masked(key: &str, node: &Node) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    match last {
        "secret" | "hs256_secret" => "***".to_owned(),
        "url" => match node.raw.as_deref().or(text(node)) {
            Some(url) => quoted(&without_password(url)),
            None => "***".to_owned(),
        },
        _ => plain(node),
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn plain(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Other => "?".to_owned(),
        Value::List(elements) => {
            let elements: Vec<String> = elements.iter().map(plain).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Table(_) => "{…}".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's
    serde_json::to_string(text).unwrap_or_else(|_| "***".to_owned())
}

/// A URL whose password, in user info or parameters, is masked. User info counts up to the last `@` of the
/// whole text, since a password may hold a raw `@`, `/` or `?`.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    let (user_info, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
    let user = match user_info.split_once(':') {
        Some((user, _)) => format!("{user}:***@"),
        None if user_info.is_empty() => String::new(),
        None => format!("{user_info}@"),
    };
    let rest = match rest.split_once('?') {
        Some((rest, query)) if query.contains("password") => format!("{rest}?***"),
        _ => rest.to_owned(),
    };
    format!("{scheme}://{user}{rest}")
}
