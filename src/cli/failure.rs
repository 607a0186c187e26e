//! How a command ends when it does not end well: what is said on standard error, and the exit code.

use std::process::ExitCode;

use crate::{app::StartError, config::ConfigErrors, domain::Refusal, store::StoreError};

/// Why a command failed; each kind has an exit code of its own.
#[derive(Debug)]
pub enum Failure {
    /// The arguments do not make sense together: 2, as what clap refuses.
    Usage(String),
    /// The configuration is wrong: 3.
    Config(ConfigErrors),
    /// Database, port or server cannot be reached: 4.
    Unreachable(String),
    /// Anything else: 1.
    Other(String),
    /// Everything has been said already: 1.
    Told,
}

impl Failure {
    /// A failure of the last kind.
    pub fn other(why: impl Into<String>) -> Self {
        Self::Other(why.into())
    }

    /// The exit code that tools rely on.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Other(_) | Self::Told => 1,
            Self::Usage(_) => 2,
            Self::Config(_) => 3,
            Self::Unreachable(_) => 4,
        }
    }

    /// Says it on standard error and gives the code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Usage(why) => eprintln!("error: {why}\n\nFor more information, try '--help'."),
            Self::Config(errors) => eprintln!("error: the configuration cannot be used\n{errors}"),
            Self::Unreachable(why) | Self::Other(why) => eprintln!("error: {why}"),
            Self::Told => {}
        }
        ExitCode::from(self.code())
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(errors) => Self::Config(errors),
            StartError::Unreachable(why) => Self::Unreachable(why),
            StartError::Other(why) => Self::Other(why),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(why) | StoreError::Unavailable(why) => Self::Unreachable(why),
            StoreError::Unique(_) | StoreError::Fault(_) => Self::Other(error.to_string()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable { .. } => Self::Unreachable(refusal.message()),
            Refusal::Internal => {
                Self::other("something went wrong inside usher; the lines above say more, if there are any")
            }
            refusal => Self::Other(refusal.message()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_the_exit_code_that_tools_rely_on() {
        let database =
            Refusal::Unavailable { retry_after: 1, what: "The database cannot be used right now." };
        for (failure, code) in [
            (Failure::other("x"), 1),
            (Failure::Told, 1),
            (Failure::Usage("x".into()), 2),
            (Failure::from(ConfigErrors::one("usher.toml", "x")), 3),
            (Failure::from(StoreError::unreachable("x")), 4),
            (Failure::from(StoreError::unavailable("x")), 4),
            (Failure::from(database), 4),
            (Failure::from(Refusal::NotFound), 1),
        ] {
            assert_eq!(failure.code(), code, "{failure:?}");
        }
    }
}
