//! `usher config`: is it right, and what is in force.

use clap::Subcommand;
use serde_json::json;

use super::{Globals, failure::Failure, output};
use crate::config::{self, ConfigErrors};

/// Verbs of `usher config`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Checks all files, variables and flags, and tells everything that is wrong at once.
    ///
    /// Reaches no network and no database. Problems and warnings go to standard error, each with its place:
    /// `config/usher.toml:12: `invites.ttl`: is not a duration like 90s, 5m, 2h, 7d`. Exit code 3 if there is a
    /// problem. With --json prints {"ok","problems":[…],"warnings":[…]} on standard output.
    ///
    /// Examples:  usher config check
    ///            usher --config /etc/usher config check
    #[command(verbatim_doc_comment)]
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows every value in force and where it came from; secrets are masked.
    ///
    /// Prints a table, or with --json {"data":[{"key","value","from"}],"total"}. `from` is `default`, a file and
    /// line, a variable or a flag.
    ///
    /// Example:  USHER__INVITES__TTL=2d usher config show | grep invites.ttl
    #[command(verbatim_doc_comment)]
    Show {
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
    match verb {
        Verb::Check { json } => check(globals, json),
        Verb::Show { json } => show(globals, json),
    }
}

fn check(globals: &Globals, as_json: bool) -> Result<(), Failure> {
    let loaded = config::load(&globals.source());
    let (problems, warnings) = match &loaded {
        Err(errors) => (lines(errors), vec![]),
        Ok(loaded) => {
            let mut warnings = loaded.warnings.clone();
            // a check has no database to look for keys in; what a start would refuse is a warning here
            if let Err(errors) = loaded.require_servable(&loaded.settings.server.listen, false) {
                let told = |line: &String| warnings.contains(line);
                let more: Vec<String> = lines(&errors)
                    .into_iter()
                    .filter(|line| !told(line))
                    .map(|line| format!("serve would refuse to start: {line}"))
                    .collect();
                warnings.extend(more);
            }
            (vec![], warnings)
        }
    };
    if as_json {
        output::json(&json!({ "ok": problems.is_empty(), "problems": problems, "warnings": warnings }))?;
    } else {
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
    }
    match loaded {
        Ok(loaded) => {
            if !as_json {
                let settings = &loaded.settings;
                let (tenants, issuers) = (settings.tenants.len(), settings.all_issuers().count());
                output::line(&format!("ok (tenants: {tenants}, issuers: {issuers})"))?;
            }
            Ok(())
        }
        Err(errors) => Err(Failure::Config(errors)),
    }
}

fn lines(errors: &ConfigErrors) -> Vec<String> {
    errors.problems().iter().map(ToString::to_string).collect()
}

fn show(globals: &Globals, as_json: bool) -> Result<(), Failure> {
    let loaded = config::load(&globals.source())?;
    if as_json {
        return output::json_list(loaded.show());
    }
    let rows: Vec<[String; 3]> = loaded
        .show()
        .iter()
        .map(|shown| [shown.key.clone(), shown.value.clone(), shown.from.clone()])
        .collect();
    output::table(["KEY", "VALUE", "FROM"], &rows, "nothing is configured")
}
