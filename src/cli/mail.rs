//! x
use super::{Globals, failure::Failure};
use clap::Subcommand;
/// Verbs
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// x
    List,
}
/// Runs
pub fn run(_: &Globals, _: Verb) -> Result<(), Failure> {
    Ok(())
}
