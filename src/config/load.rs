//! The layers: compiled-in defaults, `usher.toml`, the tenants' files, the environment, flags. Reading files
//! and laying one over another happens here; what the result means is for the decoding modules.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::config::{
    ConfigErrors, Loaded, Problem, Source, decode, explain,
    problem::once_each,
    reader::Context,
    tenants,
    tree::{self, Node, Origin, Value},
};

/// What holds where nobody says otherwise.
const DEFAULTS: &str = include_str!("defaults.toml");

/// The same for each `[[auth.issuers]]`; a tenant's also gets the prefix `<slug>:`.
const ISSUER_DEFAULTS: &str = r#"
audience_claim = "aud"
trust_email = false
email_claim = "email"
email_verified_claim = "email_verified"
name_claim = "name"
"#;

/// Prefix of environment variables that are configuration.
const ENV_PREFIX: &str = "USHER__";

/// The texts of a configuration, each with the name it is told by.
#[derive(Clone, Default)]
pub struct Documents {
    /// `usher.toml`.
    pub server: (String, String),
    /// One per tenant, in order.
    pub tenants: Vec<(String, String)>,
}

/// Reads and checks a configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(source: &Source) -> Result<Loaded, ConfigErrors> {
    let cx = Context::default();
    let documents = match config_files(&source.config_dir) {
        Ok(files) => read_documents(&cx, &files),
        Err(problem) => {
            let mut errors = ConfigErrors::new(vec![problem]);
            errors.stamps.insert(source.config_dir.clone(), None);
            return Err(errors);
        }
    };
    build(&cx, source, &documents)
}

/// Checks a configuration whose texts are at hand, as `usher dev` and tests have them.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compose(source: &Source, documents: &Documents) -> Result<Loaded, ConfigErrors> {
    build(&Context::default(), source, documents)
}

/// `usher.toml` and the tenants' files that belong to a configuration, tenants sorted by name.
pub(super) struct ConfigFiles {
    pub server: PathBuf,
    pub tenants: Vec<PathBuf>,
}

/// The files of a configuration directory as it is now.
///
/// # Errors
/// A directory that is not there or cannot be listed.
pub(super) fn config_files(dir: &Path) -> Result<ConfigFiles, Problem> {
    let problem = |path: &Path, what: String| Problem::of_file(path.display(), what);
    if !dir.is_dir() {
        let what = "no such directory; make it with `usher.toml` and `tenants/` in it, name another with --config, or try `usher dev`";
        return Err(problem(dir, what.to_owned()));
    }
    let tenants_dir = dir.join("tenants");
    let entries = match fs::read_dir(&tenants_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(ConfigFiles { server: dir.join("usher.toml"), tenants: Vec::new() });
        }
        Err(error) => return Err(problem(&tenants_dir, format!("cannot list: {}", error.kind()))),
    };
    let mut tenants = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| problem(&tenants_dir, format!("cannot list: {}", error.kind())))?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let path = entry.path();
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            tenants.push(path);
        }
    }
    tenants.sort();
    Ok(ConfigFiles { server: dir.join("usher.toml"), tenants })
}

fn read_documents(cx: &Context, files: &ConfigFiles) -> Documents {
    let read = |path: &PathBuf| {
        cx.reads(path);
        let name = path.display().to_string();
        let what = match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => return Some((name, text)),
            Ok(Err(_)) => "is not text in UTF-8".to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                "no such file; an empty one will do if the environment says everything".to_owned()
            }
            Err(error) => format!("cannot read: {}", error.kind()),
        };
        cx.problems.borrow_mut().push(Problem::of_file(name, what));
        None
    };
    let server = read(&files.server).unwrap_or_else(|| (files.server.display().to_string(), String::new()));
    Documents { server, tenants: files.tenants.iter().filter_map(read).collect() }
}

fn build(cx: &Context, source: &Source, documents: &Documents) -> Result<Loaded, ConfigErrors> {
    let (mut server, server_reads) = server_tree(cx, source, &documents.server);
    let mut tenants: Vec<(String, Node)> = documents
        .tenants
        .iter()
        .filter_map(|(name, text)| Some((stem(name), parse(cx, name, text)?)))
        .collect();
    apply_env(cx, &source.env, &mut server, &mut tenants);
    if let Some(listen) = &source.listen {
        set(cx, &mut server, &["server", "listen"], Node::text(listen, Origin::Flag("--listen")));
    }
    fill_issuers(&mut server, None);
    for (stem, tenant) in &mut tenants {
        let prefix = tenant.get("slug").and_then(|slug| match &slug.value {
            Value::Text(slug) => Some(format!("{slug}:")),
            _ => None,
        });
        fill_issuers(tenant, prefix.or_else(|| Some(format!("{stem}:"))));
    }
    // what a server file that could not be read would have said must not show as problems of its own
    let scratch = Context::default();
    cx.file.replace(documents.server.0.clone());
    let settings = decode::server(if server_reads { cx } else { &scratch }, &server);
    let mut decoded = Vec::new();
    for (tree, name) in tenants.iter().map(|(_, tree)| (tree, &tree.origin)) {
        cx.file.replace(name.to_string());
        decoded.extend(tenants::tenant(cx, &server, tree).map(Arc::new));
    }
    let stamps = cx.files.take();
    let problems = cx.problems.take();
    let Some(mut settings) = settings.filter(|_| problems.is_empty()) else {
        let mut errors = ConfigErrors::new(problems);
        errors.stamps = stamps;
        return Err(errors);
    };
    settings.tenants = decoded;
    let mut shown = Vec::new();
    explain::show(&server, "", &mut shown);
    for ((_, tree), tenant) in tenants.iter().zip(&settings.tenants) {
        explain::show(tree, &format!("tenants.{}", tenant.slug), &mut shown);
    }
    let mut warnings = cx.warnings.take();
    let mut seen = std::collections::BTreeSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    Ok(Loaded {
        settings: Arc::new(settings),
        warnings,
        shown,
        published: once_each(cx.published.take()),
        place: documents.server.0.clone(),
        stamps,
    })
}

/// The defaults with the server's file and the data directory over them, and whether the file could be read.
fn server_tree(cx: &Context, source: &Source, (name, text): &(String, String)) -> (Node, bool) {
    let mut tree = compiled_in(DEFAULTS);
    let before = cx.problems.borrow().iter().any(|problem| problem.place == *name);
    let file = parse(cx, name, text);
    let reads = file.is_some() && !before;
    if let Some(file) = file {
        tree.overlay(file);
    }
    if let Some(dir) = &source.data_dir {
        rebase(cx, &mut tree, dir);
    }
    (tree, reads)
}

/// A text that is part of the program; what it says counts as default.
fn compiled_in(text: &str) -> Node {
    let mut tree = tree::parse("", text).unwrap_or_else(|_| Node::table(Origin::Default));
    tree.all_from(&Origin::Default);
    tree
}

fn parse(cx: &Context, name: &str, text: &str) -> Option<Node> {
    let problem = |(line, message): (usize, String)| {
        let place = Origin::File { name: name.into(), line };
        cx.problems.borrow_mut().push(Problem::of_file(place, format!("not TOML: {message}")));
    };
    tree::parse(name, text).map_err(problem).ok()
}

/// Moves the default database file and mail directory below a data directory; values of the operator's own
/// stay where they are.
fn rebase(cx: &Context, tree: &mut Node, dir: &Path) {
    let origin = Origin::Flag("--data-dir");
    // `%` and `?` have a meaning in the driver's URL
    let path = dir.join("usher.db").display().to_string().replace('%', "%25").replace('?', "%3F");
    for (section, key, default, moved) in [
        ("database", "url", "sqlite://data/usher.db", format!("sqlite://{path}")),
        ("mail", "dir", "data/mail", dir.join("mail").display().to_string()),
    ] {
        let current = tree.get(section).and_then(|section| section.get(key));
        if current.is_some_and(|node| matches!(&node.value, Value::Text(text) if text == default)) {
            set(cx, tree, &[section, key], Node::text(moved, origin.clone()));
        }
    }
}

fn set(cx: &Context, tree: &mut Node, path: &[&str], node: Node) {
    let place = node.origin.to_string();
    if let Err(what) = tree.set(path, node) {
        cx.problems.borrow_mut().push(Problem { place, key: Some(path.join(".")), what });
    }
}

/// Lays `USHER__SECTION__KEY` over the server's tree and `USHER__TENANTS__FILE__KEY` over a tenant's; the
/// shorter path first, so that a list is there before its elements are.
fn apply_env(cx: &Context, env: &[(String, String)], server: &mut Node, tenants: &mut [(String, Node)]) {
    let mut variables: Vec<(Vec<String>, Node)> = env
        .iter()
        .filter_map(|(name, text)| {
            let path = name.strip_prefix(ENV_PREFIX)?;
            let path = path.split("__").map(str::to_ascii_lowercase).collect();
            Some((path, Node::from_env(name, text)))
        })
        .collect();
    variables.sort_by_cached_key(|(path, _)| {
        path.iter().map(|part| (part.parse().unwrap_or(usize::MAX), part.clone())).collect::<Vec<_>>()
    });
    for (path, node) in variables {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["tenants", file, rest @ ..] if !rest.is_empty() => {
                match tenants.iter_mut().find(|(stem, _)| stem == file) {
                    Some((_, tenant)) => set(cx, tenant, rest, node),
                    None => cx.problems.borrow_mut().push(Problem::of_file(
                        node.origin,
                        "there is no such tenant file; name it without .toml, hyphens as underscores",
                    )),
                }
            }
            path => set(cx, server, path, node),
        }
    }
}

/// The name by which variables know a tenant's file: `tenants/north-west.toml` is `north_west`.
fn stem(name: &str) -> String {
    let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
    stem.to_ascii_lowercase().replace(['-', '.'], "_")
}

/// Puts the issuers' defaults below what each of them says.
fn fill_issuers(tree: &mut Node, tenant_prefix: Option<String>) {
    let mut defaults = compiled_in(ISSUER_DEFAULTS);
    let prefix = Node::text(tenant_prefix.unwrap_or_default(), Origin::Default);
    if let Value::Table(table) = &mut defaults.value {
        table.insert("subject_prefix".to_owned(), prefix);
    }
    let Value::Table(root) = &mut tree.value else { return };
    let Some(Node { value: Value::Table(auth), .. }) = root.get_mut("auth") else { return };
    let Some(Node { value: Value::List(issuers), .. }) = auth.get_mut("issuers") else { return };
    for issuer in issuers.iter_mut().filter(|issuer| matches!(issuer.value, Value::Table(_))) {
        let own = std::mem::replace(issuer, defaults.clone());
        issuer.overlay(own);
    }
}
