//! What is wrong with a configuration: all of it at once, each with its place, its key and what to do. Values
//! are never repeated, since the offending one may be a secret; only names that must be unique (hosts, slugs,
//! ids, issuers) are.

use std::{collections::BTreeSet, fmt};

use crate::config::reload::Stamps;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// `file:line`, `file`, the name of an environment variable or a flag.
    pub place: String,
    /// Dotted key within that file, if it is about one.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub what: String,
}

impl Problem {
    /// About a whole file or directory.
    #[must_use]
    pub fn of_file(place: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), key: None, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}: `{key}`: {}", self.place, self.what),
            None => write!(f, "{}: {}", self.place, self.what),
        }
    }
}

/// Every problem of a configuration; displayed one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
    /// files that were looked at: the watcher tries again when one of them changes
    pub(super) stamps: Stamps,
}

impl ConfigErrors {
    /// These problems, each once, in the order found.
    #[must_use]
    pub fn new(problems: Vec<Problem>) -> Self {
        Self { problems: once_each(problems), stamps: Stamps::new() }
    }

    /// A single problem that is about no key, such as a database that cannot be reached while applying.
    #[must_use]
    pub fn one(place: impl fmt::Display, what: impl Into<String>) -> Self {
        Self::new(vec![Problem::of_file(place, what)])
    }

    /// What is wrong; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// A server section is decoded once more for every tenant that inherits from it; its problems are told once.
pub(super) fn once_each(problems: Vec<Problem>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    problems.into_iter().filter(|problem| seen.insert(problem.clone())).collect()
}
