//! Values with their origins: what a TOML file, an environment variable or a flag says, as one kind of tree,
//! and how a later layer is laid over an earlier one, leaf by leaf.

use std::{collections::BTreeMap, sync::Arc};

use toml_edit::{Document, Item, TableLike, Value as TomlValue};

/// Keys of which one replaces the others when it comes from a later layer: a secret and its file, and the ways
/// to name an issuer's keys.
const ALTERNATIVES: &[&[&str]] = &[
    &["secret", "secret_file"],
    &["hs256_secret", "hs256_secret_file", "jwks_url", "public_key_file"],
    &["url", "url_file"],
];

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Compiled in.
    Default,
    /// A line of a file.
    File { name: Arc<str>, line: usize },
    /// An environment variable.
    Env(Arc<str>),
    /// A flag of the command line.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line: 0 } => f.write_str(name),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Env(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it was written. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub value: Value,
    pub origin: Origin,
    /// The text of an environment variable as it stands, for keys that take text.
    pub raw: Option<String>,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// A float or a date: no key takes one.
    Other,
    List(Vec<Node>),
    Table(Table),
}

impl Node {
    pub fn table(origin: Origin) -> Self {
        Self { value: Value::Table(Table::new()), origin, raw: None }
    }

    pub fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self { value: Value::Text(text.into()), origin, raw: None }
    }

    /// What an environment variable says: its text for a key that takes text, TOML for any other.
    pub fn from_env(name: &str, text: &str) -> Self {
        let origin = Origin::Env(name.into());
        let parsed = Document::parse(format!("v = {text}")).ok().and_then(|document| {
            let item = document.as_table().get("v")?.as_value()?.clone();
            // a line break in the text could bring further keys along
            (document.as_table().len() == 1).then_some(item)
        });
        let value = match parsed {
            Some(TomlValue::String(_)) | None => Value::Text(text.to_owned()),
            Some(value) => convert_value(&value, &|_| origin.clone()).value,
        };
        Self { value, origin, raw: Some(text.to_owned()) }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(table) => table.get(key),
            _ => None,
        }
    }

    /// Lays a later layer over this one: tables merge, anything else replaces.
    pub fn overlay(&mut self, later: Self) {
        match (&mut self.value, later.value) {
            (Value::Table(mine), Value::Table(theirs)) => {
                drop_alternatives(mine, theirs.keys().map(String::as_str));
                for (key, node) in theirs {
                    match mine.get_mut(&key) {
                        Some(existing) => existing.overlay(node),
                        None => {
                            mine.insert(key, node);
                        }
                    }
                }
                if self.origin == Origin::Default {
                    self.origin = later.origin;
                }
            }
            (_, value) => *self = Self { value, origin: later.origin, raw: later.raw },
        }
    }

    /// Lays one value over whatever is at this path; list elements by index, the next free one appends.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn set(&mut self, path: &[&str], node: Self) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else {
            self.overlay(node);
            return Ok(());
        };
        match &mut self.value {
            Value::Table(table) => {
                drop_alternatives(table, std::iter::once(*first));
                let child = table.entry((*first).to_owned()).or_insert_with(|| {
                    let list = rest.first().is_some_and(|next| next.parse::<usize>().is_ok());
                    let value = if list { Value::List(Vec::new()) } else { Value::Table(Table::new()) };
                    Self { value, origin: node.origin.clone(), raw: None }
                });
                child.set(rest, node)
            }
            Value::List(elements) => {
                let count = elements.len();
                let index: usize = first.parse().map_err(|_| "is a list: name an element by its index")?;
                if index == count {
                    elements.push(Self::table(node.origin.clone()));
                }
                let element = elements.get_mut(index).ok_or_else(|| {
                    format!("has {count} element{}, numbered from 0", if count == 1 { "" } else { "s" })
                })?;
                element.set(rest, node)
            }
            _ => Err("is a single value and has nothing below it".to_owned()),
        }
    }
}

fn drop_alternatives<'a>(table: &mut Table, keys: impl Iterator<Item = &'a str>) {
    let keys: Vec<&str> = keys.collect();
    for group in ALTERNATIVES.iter().filter(|group| group.iter().any(|key| keys.contains(key))) {
        table.retain(|key, _| !group.contains(&key.as_str()) || keys.contains(&key.as_str()));
    }
}

/// Reads a TOML document; every node knows its line.
///
/// # Errors
/// Line and message of the first syntax error, without the text it stands in.
pub(super) fn parse(name: &str, text: &str) -> Result<Node, (usize, String)> {
    let name: Arc<str> = name.into();
    let breaks: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line_of = |at: usize| breaks.partition_point(|line_end| *line_end < at) + 1;
    let document = Document::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| line_of(span.start)), error.message().to_owned()))?;
    let origin = |span: Option<usize>| Origin::File { name: name.clone(), line: span.map_or(0, line_of) };
    let mut root = convert_table(document.as_table(), None, &origin);
    root.origin = Origin::File { name: name.clone(), line: 0 };
    Ok(root)
}

type Place<'a> = dyn Fn(Option<usize>) -> Origin + 'a;

fn convert_table(table: &dyn TableLike, at: Option<usize>, place: &Place<'_>) -> Node {
    let children = table.iter().map(|(key, item)| {
        let key_at = table.get_key_value(key).and_then(|(key, _)| key.span()).map(|span| span.start);
        (key.to_owned(), convert_item(item, key_at.or(at), place))
    });
    Node { value: Value::Table(children.collect()), origin: place(at), raw: None }
}

fn convert_item(item: &Item, at: Option<usize>, place: &Place<'_>) -> Node {
    match item {
        Item::Value(value) => {
            let mut node = convert_value(value, place);
            node.origin = place(at.or_else(|| value.span().map(|span| span.start)));
            node
        }
        Item::Table(table) => convert_table(table, table.span().map(|span| span.start).or(at), place),
        Item::ArrayOfTables(tables) => {
            let each =
                tables.iter().map(|table| convert_table(table, table.span().map(|s| s.start).or(at), place));
            Node { value: Value::List(each.collect()), origin: place(at), raw: None }
        }
        Item::None => Node { value: Value::Other, origin: place(at), raw: None },
    }
}

fn convert_value(value: &TomlValue, place: &Place<'_>) -> Node {
    let at = value.span().map(|span| span.start);
    let converted = match value {
        TomlValue::String(text) => Value::Text(text.value().clone()),
        TomlValue::Integer(number) => Value::Integer(*number.value()),
        TomlValue::Boolean(flag) => Value::Boolean(*flag.value()),
        TomlValue::Array(elements) => {
            Value::List(elements.iter().map(|element| convert_value(element, place)).collect())
        }
        TomlValue::InlineTable(table) => return convert_table(table, at, place),
        TomlValue::Float(_) | TomlValue::Datetime(_) => Value::Other,
    };
    Node { value: converted, origin: place(at), raw: None }
}

impl Node {
    /// Gives this node and all below it one origin.
    pub fn all_from(&mut self, origin: &Origin) {
        self.origin = origin.clone();
        match &mut self.value {
            Value::Table(table) => table.values_mut().for_each(|node| node.all_from(origin)),
            Value::List(elements) => elements.iter_mut().for_each(|node| node.all_from(origin)),
            Value::Text(_) | Value::Integer(_) | Value::Boolean(_) | Value::Other => {}
        }
    }
}
