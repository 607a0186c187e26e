//! What the written documents say is so: the tables of the README are those of the API document and of the
//! example configuration, and every test, file and function that a document names exists.
//! `USHER_RENEW_DOCS=1 cargo test --test suite documents` writes the tables anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares what stands between two marks of a file with what should, or writes it.
fn check_between(path: &str, name: &str, wanted: &str) {
    let text = read(path);
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let from = text.find(&begin).unwrap_or_else(|| panic!("{path} has no mark {begin}")) + begin.len();
    let to = text.find(&end).unwrap_or_else(|| panic!("{path} has no mark {end}"));
    if std::env::var_os("USHER_RENEW_DOCS").is_some() {
        fs::write(root().join(path), format!("{}{wanted}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    assert!(
        text[from..to] == *wanted,
        "{path}: the table `{name}` is not what it should be; USHER_RENEW_DOCS=1 writes it anew:\n{wanted}"
    );
}

#[test]
fn the_endpoint_table_of_the_readme_is_that_of_the_api_document() {
    let document = usher::http::openapi::document().to_json().unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            let Some(operation) = item.get(method) else { continue };
            let summary = operation["summary"].as_str().unwrap_or_default().replace('\n', " ");
            let row = format!("| `{} {path}` | {summary} |", method.to_uppercase());
            families.entry(operation["tags"][0].as_str().unwrap_or_default().into()).or_default().push(row);
        }
    }
    let mut table = String::new();
    for (family, rows) in families {
        let _ = write!(table, "\n**{family}**\n\n| route | what it does |\n|---|---|\n{}\n", rows.join("\n"));
    }
    check_between("README.md", "endpoints", &format!("{table}\n"));
}

#[test]
fn the_configuration_table_of_the_readme_is_that_of_the_example() {
    let mut table = "\n| key | example or default | |\n|---|---|---|\n".to_owned();
    let mut section = String::new();
    for line in read("config/usher.toml").lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let header = line.split('#').next().unwrap().trim();
        if let Some(name) = header.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let list = name.starts_with('[');
            section = format!("{}{}.", name.trim_matches(['[', ']']), if list { "[]" } else { "" });
            continue;
        }
        let Some((key, rest)) = line.split_once(" = ") else { continue };
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            continue;
        }
        let (value, remark) = split_remark(rest);
        let _ = writeln!(table, "| `{section}{key}` | `{value}` | {} |", remark.replace('|', "\\|"));
    }
    check_between("README.md", "configuration", &format!("{table}\n"));
}

/// A value and the remark behind it; a `#` within quotes begins none.
fn split_remark(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '#') => return (text[..at].trim(), text[at + 1..].trim()),
            _ => {}
        }
    }
    (text.trim(), "")
}

fn documents() -> Vec<PathBuf> {
    let mut found =
        vec![root().join("README.md"), root().join("migration/README.md"), root().join("bench/README.md")];
    found.extend(fs::read_dir(root().join("docs")).unwrap().flatten().map(|entry| entry.path()));
    found
}

/// The names of all functions, modules and types of the sources.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut left = ["src", "tests", "entity", "migration"].map(|dir| root().join(dir)).to_vec();
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let mut words =
                    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
                while let Some(word) = words.next() {
                    if ["fn", "mod", "struct", "enum", "trait"].contains(&word) {
                        names.extend(words.next().map(str::to_owned));
                    }
                }
            }
        }
    }
    names
}

/// The first word of a line, if nothing but a comma, a paren or an arrow follows it.
fn listed(line: &str) -> Option<&str> {
    let end = line.trim_start().find([',', ' ', ')']).unwrap_or(line.trim_start().len());
    line.trim_start().get(..end).filter(|word| !word.is_empty())
}

/// The tests of one file: functions marked as such, and those that a macro of the suite runs on both engines.
fn tests_of(text: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let (mut marked, mut in_macro) = (false, false);
    for line in text.lines() {
        let code = line.trim_start();
        if code.starts_with("#[") && code.contains("test]") || code.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, rest)) = code.split_once("fn ").filter(|_| marked) {
            tests.extend(rest.split('(').next().map(str::to_owned));
            marked = false;
        } else if ["both_engines!(", "with_and_without_actors!("].iter().any(|name| line.starts_with(name)) {
            in_macro = true;
            let rest = line.split_once('(').map_or("", |(_, rest)| rest);
            tests.extend(listed(rest).map(str::to_owned));
        } else if in_macro {
            tests.extend(listed(line).map(str::to_owned));
        }
        in_macro &= !line.ends_with(");");
    }
    tests.retain(|name| text.contains(&format!("fn {name}(")));
    tests
}

/// Every test by the names of its file and of the directory it is in.
fn tests_by_module() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut left = ["src", "tests", "entity", "migration"].map(|dir| root().join(dir)).to_vec();
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let modules = [path.file_stem(), dir.file_name()].map(|name| name.unwrap().to_str().unwrap());
                for test in tests_of(&fs::read_to_string(&path).unwrap()) {
                    found.extend(modules.map(|module| (module.to_owned(), test.clone())));
                }
            }
        }
    }
    found
}

#[test]
fn every_attack_and_fault_of_the_manual_has_a_test_in_the_module_it_names() {
    let (text, tests) = (read("docs/SECURITY.md"), tests_by_module());
    let tables = text.split("## Attacks and faults").nth(1).unwrap();
    let tables = tables.split("### What no test shows").next().unwrap();
    let mut rows = 0;
    for row in tables.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack or fault"))
    {
        let named = row.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            let (module, test) = name.split_once("::").unwrap_or_else(|| panic!("no module: {name}"));
            let known = tests.contains(&(module.to_owned(), test.to_owned()));
            assert!(known, "docs/SECURITY.md names {name}, which is no test");
        }
        rows += 1;
    }
    assert!(rows > 80, "{rows}");
}

#[test]
fn every_file_function_and_test_that_a_document_names_exists() {
    let names = names();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = quoted.contains('/')
                && ["src/", "tests/", "entity/", "migration/", "docs/", "config/", "bench/", ".ci/"]
                    .iter()
                    .any(|dir| quoted.starts_with(dir))
                && !quoted.contains([' ', '*', '{', '…']);
            assert!(
                !is_path || root().join(quoted).exists(),
                "{} names {quoted}, which is not there",
                document.display()
            );
            // sentences are tests; `module::function` is code
            let words =
                quoted.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':');
            let name = quoted.rsplit("::").next().unwrap();
            let is_code = words
                && !name.starts_with("usher_")
                && (quoted.contains("::") || name.matches('_').count() >= 4);
            assert!(
                !is_code || names.contains(name),
                "{} names {quoted}, which is nowhere",
                document.display()
            );
        }
    }
}
