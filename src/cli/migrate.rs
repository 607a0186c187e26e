//! `usher migrate`: the schema, by hand. `serve` does the same at every start, under the same lock.

use clap::Subcommand;
use serde_json::json;

use super::{Globals, context, failure::Failure, output};
use crate::store::migrate::{self, Step, Upgraded};

/// Verbs of `usher migrate`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Applies what is missing.
    ///
    /// Safe to run any number of times and beside a running server; `serve` does it by itself.
    /// Prints nothing on standard output.
    ///
    /// Example:  usher migrate up
    #[command(verbatim_doc_comment)]
    Up,
    /// Takes the last migration back, with the data that only it can hold.
    ///
    /// Stop the servers first. Prints nothing on standard output.
    ///
    /// Examples:  usher migrate down
    ///            usher migrate down --steps 2
    #[command(verbatim_doc_comment)]
    Down {
        /// How many to take back.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "all")]
        steps: u32,
        /// Take all of them back: nothing is left.
        #[arg(long)]
        all: bool,
    },
    /// Tells which migrations the database has.
    ///
    /// Prints one line each, `applied`, `pending`, or `unknown` for those of a newer usher, or with --json
    /// {"data":[{"name","state"}],"total","current"}.
    ///
    /// Example:  usher migrate status
    #[command(verbatim_doc_comment)]
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, verb: Verb) -> Result<(), Failure> {
    let database = context::load(globals)?.settings.database.clone();
    context::block_on(async |runtime| match verb {
        Verb::Up => {
            let upgraded = context::on(&runtime, async move { Ok(migrate::up(&database).await?) }).await?;
            match upgraded {
                Upgraded::Current { applied: 0 } => eprintln!("nothing to do: the schema is current"),
                Upgraded::Current { applied } => eprintln!("applied {applied}"),
                Upgraded::NewerSchema => eprintln!("nothing to do: the schema is a newer usher's"),
            }
            Ok(())
        }
        Verb::Down { steps, all } => {
            let steps = (!all).then_some(steps);
            context::on(&runtime, async move { Ok(migrate::down(&database, steps).await?) }).await?;
            eprintln!("taken back; `usher migrate up` applies it again");
            Ok(())
        }
        Verb::Status { json } => {
            let steps = context::on(&runtime, async move { Ok(migrate::status(&database).await?) }).await?;
            status(&steps, json)
        }
    })
}

fn status(steps: &[Step], as_json: bool) -> Result<(), Failure> {
    if as_json {
        let rows: Vec<_> =
            steps.iter().map(|step| json!({ "name": step.name, "state": state(step) })).collect();
        let current = steps.iter().all(|step| step.applied);
        return output::json(&json!({ "data": rows, "total": rows.len(), "current": current }));
    }
    let rows: Vec<[String; 2]> =
        steps.iter().map(|step| [state(step).to_owned(), step.name.clone()]).collect();
    output::table(["STATE", "MIGRATION"], &rows, "there are no migrations")
}

fn state(step: &Step) -> &'static str {
    match (step.known, step.applied) {
        (false, _) => "unknown",
        (true, true) => "applied",
        (true, false) => "pending",
    }
}
