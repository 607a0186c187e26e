//! Reading a tree into settings, strictly: the code that asks for keys is the list of known keys, so whatever
//! was not asked for is unknown. Reading never stops at the first problem; it collects them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::Path,
};

use crate::{
    config::{
        problem::Problem,
        reload::{Stamps, stamp},
        tree::{Node, Origin, Value},
    },
    domain::nearest::did_you_mean,
};

/// What is collected while reading.
#[derive(Default)]
pub(super) struct Context {
    pub problems: RefCell<Vec<Problem>>,
    pub warnings: RefCell<Vec<String>>,
    /// Uses of published example secrets.
    pub published: RefCell<Vec<Problem>>,
    /// Files that were read besides the configuration's own.
    pub files: RefCell<Stamps>,
    /// The file being read: the place of problems with values that stand nowhere.
    pub file: RefCell<String>,
    /// Every key that was asked for, list elements as `[]`.
    pub known: RefCell<BTreeSet<String>>,
    /// What must be unique, and who had it first.
    pub(super) taken: RefCell<BTreeMap<(Unique, String), Claim>>,
}

/// What may be had only once in the whole configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unique {
    Host,
    TenantId,
    Slug,
    Issuer,
    SubjectPrefix,
    WorkspaceId,
}

/// Who had it first.
#[derive(Clone)]
pub(super) struct Claim {
    /// Such as "a domain"; how the second one is told.
    pub as_what: &'static str,
    pub origin: Origin,
}

impl Context {
    /// Notes that something unique was taken; a problem if it was before.
    pub fn claim(&self, kind: Unique, value: &str, as_what: &'static str, at: &Spot) {
        let key = (kind, value.to_owned());
        let first = self.taken.borrow().get(&key).cloned();
        match first {
            Some(first) => {
                let what = format!("`{value}` is already {} ({})", first.as_what, first.origin);
                at.problem(self, what);
            }
            None => {
                self.taken.borrow_mut().insert(key, Claim { as_what, origin: at.origin.clone() });
            }
        }
    }

    /// Notes that a file is about to be read, and how it looks.
    pub fn reads(&self, path: &Path) {
        self.files.borrow_mut().insert(path.to_owned(), stamp(path));
    }

    /// Who took a value of this kind that a rule picks.
    pub fn first_taken(&self, kind: Unique, picks: impl Fn(&str) -> bool) -> Option<Claim> {
        let taken = self.taken.borrow();
        taken.iter().find(|((its, value), _)| *its == kind && picks(value)).map(|(_, claim)| claim.clone())
    }

    pub fn warn(&self, at: &Spot, what: impl std::fmt::Display) {
        self.warnings.borrow_mut().push(format!("{}: `{}`: {what}", at.origin, at.key));
    }
}

/// A key and where its value was written: what problems point at.
#[derive(Clone)]
pub(super) struct Spot {
    pub origin: Origin,
    pub key: String,
}

impl Spot {
    pub fn problem(&self, cx: &Context, what: impl Into<String>) {
        let place = match &self.origin {
            Origin::Default => cx.file.borrow().clone(),
            written => written.to_string(),
        };
        cx.problems.borrow_mut().push(Problem { place, key: Some(self.key.clone()), what: what.into() });
    }
}

/// One section, read key by key; [`Section::finish`] then refuses what nobody asked for.
pub(super) struct Section<'a> {
    pub cx: &'a Context,
    node: Option<&'a Node>,
    pub spot: Spot,
    /// path with `[]` for elements
    pattern: String,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Section<'a> {
    pub fn root(cx: &'a Context, node: &'a Node, pattern: &str) -> Self {
        let spot = Spot { origin: node.origin.clone(), key: String::new() };
        Self { cx, node: Some(node), spot, pattern: pattern.to_owned(), asked: RefCell::default() }
    }

    /// The value of a key, if there is one.
    pub fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().insert(key);
        self.cx.known.borrow_mut().insert(join(&self.pattern, key));
        self.node.and_then(|node| node.get(key))
    }

    /// Where a key stands, or the section where it is missing.
    pub fn spot(&self, key: &'static str) -> Spot {
        let origin = self.node.and_then(|node| node.get(key)).map(|node| node.origin.clone());
        Spot { origin: origin.unwrap_or_else(|| self.spot.origin.clone()), key: join(&self.spot.key, key) }
    }

    pub fn problem(&self, key: &'static str, what: impl Into<String>) {
        self.spot(key).problem(self.cx, what);
    }

    /// Text, read by a function; `None` if absent or wrong, which is a problem then.
    pub fn maybe<T>(&self, key: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.text_of(self.node(key)?, &self.spot(key), read)
    }

    /// Text that has to be there.
    pub fn need<T>(&self, key: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if self.node(key).is_none() {
            self.problem(key, "is missing");
        }
        self.maybe(key, read)
    }

    fn text_of<T>(
        &self,
        node: &Node,
        spot: &Spot,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = match (&node.raw, &node.value) {
            (Some(raw), _) => raw,
            (None, Value::Text(text)) => text,
            _ => {
                spot.problem(self.cx, "must be text in quotes");
                return None;
            }
        };
        read(text).map_err(|what| spot.problem(self.cx, what)).ok()
    }

    /// A whole number within bounds.
    pub fn integer(&self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        match self.node(key)?.value {
            Value::Integer(number) if bounds.contains(&number) => Some(number),
            _ => {
                let what = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
                self.problem(key, what);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        match self.node(key)?.value {
            Value::Boolean(flag) => Some(flag),
            _ => {
                self.problem(key, "must be true or false");
                None
            }
        }
    }

    /// A list of texts with the place of each; absent is empty.
    pub fn list<T>(&self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Vec<(T, Spot)> {
        let elements = self.elements(key).into_iter();
        elements.filter_map(|(node, spot)| Some((self.text_of(node, &spot, &read)?, spot))).collect()
    }

    fn elements(&self, key: &'static str) -> Vec<(&'a Node, Spot)> {
        let spot = self.spot(key);
        match self.node(key).map(|node| &node.value) {
            None => Vec::new(),
            Some(Value::List(elements)) => {
                let place = |(index, node): (usize, &'a Node)| {
                    (node, Spot { origin: node.origin.clone(), key: format!("{}.{index}", spot.key) })
                };
                elements.iter().enumerate().map(place).collect()
            }
            Some(_) => {
                spot.problem(self.cx, "must be a list in brackets");
                Vec::new()
            }
        }
    }

    /// The section under a key; empty if absent.
    pub fn section(&self, key: &'static str) -> Section<'a> {
        let node = self.node(key);
        let spot = self.spot(key);
        self.subsection(node, spot, join(&self.pattern, key))
    }

    /// The sections of a list under a key.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let pattern = format!("{}[]", join(&self.pattern, key));
        let elements = self.elements(key).into_iter();
        elements.map(|(node, spot)| self.subsection(Some(node), spot, pattern.clone())).collect()
    }

    fn subsection(&self, node: Option<&'a Node>, spot: Spot, pattern: String) -> Section<'a> {
        if node.is_some_and(|node| !matches!(node.value, Value::Table(_))) {
            spot.problem(self.cx, "must be a section");
        }
        Section { cx: self.cx, node, spot, pattern, asked: RefCell::default() }
    }

    /// Refuses every key that was not asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        let Some(Node { value: Value::Table(table), .. }) = self.node else { return };
        for (key, node) in table.iter().filter(|(key, _)| !asked.contains(key.as_str())) {
            let spot = Spot { origin: node.origin.clone(), key: join(&self.spot.key, key) };
            spot.problem(self.cx, format!("unknown key{}", did_you_mean(key, asked.iter().copied())));
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
