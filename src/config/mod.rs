//! Configuration: what operators write, and the settings it becomes. Defaults, `usher.toml`, one file per
//! tenant, `USHER__SECTION__KEY` variables and flags are laid over one another leaf by leaf; everything that is
//! wrong is told at once, with its place and without its value.

mod decode;
mod explain;
mod issuers;
mod load;
mod problem;
mod reader;
mod relay;
pub mod reload;
mod secrets;
mod sections;
pub mod settings;
mod tenants;
#[cfg(test)]
mod tests;
mod tree;
mod values;

use std::{path::PathBuf, sync::Arc};

pub use explain::Shown;
pub use load::{Documents, compose, load};
pub use problem::{ConfigErrors, Problem};
pub use settings::Settings;

/// Reads a length of time as the files have it: `90s`, `5m`, `2h`, `7d`.
///
/// # Errors
/// What would have been right.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    values::duration(text)
}

/// Where a configuration comes from.
#[derive(Clone, Default)]
pub struct Source {
    /// Directory with `usher.toml` and `tenants/*.toml` (`--config`).
    pub config_dir: PathBuf,
    /// Where the database file and the mail directory lie unless the files say otherwise (`--data-dir`).
    pub data_dir: Option<PathBuf>,
    /// Address and port to listen on, beats everything else (`--listen`).
    pub listen: Option<String>,
    /// The environment; names without the prefix `USHER__` are ignored.
    pub env: Vec<(String, String)>,
}

/// A configuration without a problem.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Arc<Settings>,
    /// What is allowed and still worth a line in the log, each with its place.
    pub warnings: Vec<String>,
    shown: Vec<Shown>,
    published: Vec<Problem>,
    /// `usher.toml`, for problems about what is not there
    place: String,
    /// the files it was read from, for the watcher
    stamps: reload::Stamps,
}

impl Loaded {
    /// Every value in force and where it came from, secrets masked.
    #[must_use]
    pub fn show(&self) -> &[Shown] {
        &self.shown
    }

    /// Refuses what may be checked and shown but not served: no token key; no issuer, unless there is a live
    /// API key to call with; published secrets on a server that others can reach.
    ///
    /// # Errors
    /// All of these at once.
    pub fn require_servable(&self, listening_on: &str, live_api_key: bool) -> Result<(), ConfigErrors> {
        let mut problems = Vec::new();
        let missing = |key: &str, what: &str| Problem {
            place: self.place.clone(),
            key: Some(key.to_owned()),
            what: what.to_owned(),
        };
        if self.settings.tokens.is_none() {
            problems.push(missing(
                "tokens.keys",
                "no key to sign links with; add `[[tokens.keys]]` with an id and a secret from `openssl rand -base64 32`",
            ));
        }
        if !live_api_key && self.settings.all_issuers().next().is_none() {
            problems.push(missing(
                "auth.issuers",
                "nobody could call: add `[[auth.issuers]]`, or make a key with `usher api-key create`",
            ));
        }
        if settings::listens_beyond_loopback(listening_on) {
            problems.extend(self.published.iter().cloned());
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigErrors::new(problems)) }
    }
}
