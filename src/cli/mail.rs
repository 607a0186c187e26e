//! x
use clap::Subcommand;
use super::{Globals,failure::Failure};
/// Verbs
#[derive(Subcommand, Debug)]
pub enum Verb { /// x
 List }
/// Runs
pub fn run(_: &Globals, _: Verb) -> Result<(), Failure> { Ok(()) }
