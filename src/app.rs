//! Placeholder for the application.

use crate::config::{ConfigErrors, Source};

/// How to run.
pub struct Options {
    /// Configuration.
    pub source: Source,
    /// Dev mode.
    pub dev: bool,
}

/// Why it did not start.
#[derive(Debug)]
pub enum StartError {
    /// Configuration.
    Config(ConfigErrors),
    /// Database or port.
    Unreachable(String),
    /// Anything else.
    Other(String),
}

/// Runs until told to stop.
///
/// # Errors
/// [`StartError`].
pub fn run(_options: Options) -> Result<(), StartError> {
    Err(StartError::Other("placeholder".into()))
}
