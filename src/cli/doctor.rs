//! x
use super::{Globals, failure::Failure};
/// Runs
pub fn run(_: &Globals, _: bool) -> Result<(), Failure> {
    Ok(())
}
