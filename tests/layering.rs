//! The shape of the code, kept by a test: imports point down only, every file says what it owns and stays
//! short, all SQL is in `store`, and what a refusal's status is stands in one place.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The modules from top to bottom. A module may use those of the lines below its own; modules of one line are
/// siblings and do not know of each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    // the command line starts the development server
    &["dev"],
    &["app"],
    &["http"],
    // initialises logs and metrics; knows of nothing
    &["telemetry"],
    &["invites", "members", "workspaces", "tenants", "keys"],
    &["actors", "mail", "janitor"],
    &["identity", "tenancy"],
    &["store"],
    &["config"],
    // priorities of threads; knows of nothing
    &["domain", "priority"],
];

/// Longest file, with a little air above the 400 lines that are aimed at.
const MAX_LINES: usize = 420;

/// Every source file with its text, paths relative to `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut left = vec![root.clone()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The text without comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The text without comments and without the tests at its end.
fn code_without_tests(text: &str) -> String {
    let code = code(text);
    code.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

/// The top-level modules that a text names after `prefix::`, groups in braces included.
fn named_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, found) in text.match_indices(&format!("{prefix}::")) {
        // `other_crate::` ends in `crate::` too
        if text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            continue;
        }
        let rest = &text[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(group) => named.extend(group_heads(group)),
            None => named.extend(head(rest)),
        }
    }
    named
}

/// The first segment of each item of `{a::b, c::{d, e}, f}`, the opening brace taken off.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut item) = (Vec::new(), 0, String::new());
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(head(&std::mem::take(&mut item))),
            _ => {}
        }
        if !(character == ',' && depth == 0) {
            item.push(character);
        }
    }
    heads.extend(head(&item));
    heads
}

fn head(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = path
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if own == "lib" {
            continue;
        }
        let Some(own_layer) = layer(&own) else {
            wrong.push(format!("{}: `{own}` stands in no layer", path.display()));
            continue;
        };
        let prefix = if own == "main" { "usher" } else { "crate" };
        for used in named_after(&code(&text), prefix) {
            // what is no module is a macro or an item of lib.rs
            if let Some(used_layer) = layer(&used)
                && used != own
                && used_layer <= own_layer
            {
                wrong.push(format!("{}: `{own}` uses `{used}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports point down only:\n{}", wrong.join("\n"));
}

#[test]
fn the_scan_sees_every_way_to_import() {
    let text = "use crate::{config::{self, settings::Tenant}, domain::Host,\n store};\nlet x = crate::mail::y();\nother_crate::http::z();";
    let expected = ["config", "domain", "mail", "store"].map(str::to_owned);
    assert_eq!(named_after(text, "crate"), BTreeSet::from(expected));
}

#[test]
fn every_file_says_what_it_owns_and_stays_short() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: does not open with a //! paragraph", path.display()));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Fails where a file outside of the given places has one of these texts in its code, tests excepted.
fn assert_only_in(places: &[&str], texts: &[&str]) {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let tests = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        if tests || places.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        for (at, line) in code_without_tests(&text).lines().enumerate() {
            for found in texts.iter().filter(|found| line.contains(**found)) {
                wrong.push(format!("{}:{}: {found}", path.display(), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "only in {places:?}:\n{}", wrong.join("\n"));
}

#[test]
fn all_sql_is_in_the_store() {
    let queries = [
        "Entity::find",
        "Entity::insert",
        "Entity::update",
        "Entity::delete",
        "ActiveModel",
        "query_one",
        "query_all",
        "execute_raw",
        "execute_unprepared",
        "Statement::from",
        "sqlx::query",
        "Query::select",
        "Query::update",
        ".begin_with",
    ];
    assert_only_in(&["store"], &queries);
}

#[test]
fn the_status_of_a_refusal_stands_in_one_place() {
    let names = [
        ("BadRequest", "BAD_REQUEST"),
        ("Unauthorized", "UNAUTHORIZED"),
        ("Forbidden", "FORBIDDEN"),
        ("NotFound", "NOT_FOUND"),
        ("MethodNotAllowed", "METHOD_NOT_ALLOWED"),
        ("RequestTimeout", "REQUEST_TIMEOUT"),
        ("Conflict", "CONFLICT"),
        ("Gone", "GONE"),
        ("PayloadTooLarge", "PAYLOAD_TOO_LARGE"),
        ("UnsupportedMediaType", "UNSUPPORTED_MEDIA_TYPE"),
        ("UnprocessableEntity", "UNPROCESSABLE_ENTITY"),
        ("MisdirectedRequest", "MISDIRECTED_REQUEST"),
        ("TooManyRequests", "TOO_MANY_REQUESTS"),
        ("InternalServerError", "INTERNAL_SERVER_ERROR"),
        ("ServiceUnavailable", "SERVICE_UNAVAILABLE"),
    ];
    let built = names.iter().map(|(builder, _)| format!("HttpResponse::{builder}("));
    let named = names.iter().map(|(_, constant)| format!("StatusCode::{constant}"));
    let texts: Vec<String> = built.chain(named).collect();
    // health and certificates are answered by status alone, and refuse nobody
    assert_only_in(
        &["http/error.rs", "http/admin.rs", "http/pages/errors.rs"],
        &texts.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn time_and_randomness_come_from_the_domain() {
    assert_only_in(&["domain"], &["SystemTime::now", "Utc::now", "getrandom::", "rand::"]);
}

#[test]
fn every_guard_that_mutations_take_out_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guards = fs::read_to_string(root.join("tests/mutations/guards.toml")).unwrap();
    let guards: toml::Table = toml::from_str(&guards).unwrap();
    let guards = guards["guard"].as_array().unwrap();
    assert!(guards.len() > 50);
    for guard in guards {
        let text = |key: &str| guard.get(key).map_or("", |text| text.as_str().unwrap());
        let file = fs::read_to_string(root.join(text("file"))).unwrap_or_default();
        let place = file.find(text("after")).and_then(|at| file.get(at..));
        let found = place.is_some_and(|rest| rest.contains(text("find")));
        assert!(found, "{}: not in {}", text("name"), text("file"));
    }
}
