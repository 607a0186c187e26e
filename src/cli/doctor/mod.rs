//! `usher doctor`: looks at everything the server needs, and says what to do about what is wrong. Every look is
//! harmless: no row is written, no mail sent, no database made. Files are looked at in `local`, what must be
//! reached over a network in `remote`.

mod local;
mod remote;

use serde::Serialize;
use serde_json::json;

use super::{Globals, context, failure::Failure, output};
use crate::config::{self, Loaded};

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Health {
    Ok,
    Warning,
    Problem,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    health: Health,
    what: &'static str,
    found: String,
    /// What to do about it.
    next: Option<String>,
}

impl Check {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { health: Health::Ok, what, found: found.into(), next: None }
    }

    fn warning(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { health: Health::Warning, what, found: found.into(), next: Some(next.into()) }
    }

    fn problem(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { health: Health::Problem, what, found: found.into(), next: Some(next.into()) }
    }
}

/// Looks and reports.
///
/// # Errors
/// [`Failure::Told`] if something is wrong.
pub fn run(globals: &Globals, as_json: bool) -> Result<(), Failure> {
    let checks = look(globals)?;
    let sound = checks.iter().all(|check| check.health != Health::Problem);
    if as_json {
        output::json(&json!({ "ok": sound, "checks": checks }))?;
    } else {
        output::write(&report(&checks))?;
    }
    if sound { Ok(()) } else { Err(Failure::Told) }
}

fn look(globals: &Globals) -> Result<Vec<Check>, Failure> {
    let loaded = match config::load(&globals.source()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let problem = |problem: &config::Problem| {
                Check::problem(
                    "configuration",
                    problem.to_string(),
                    "mend it; `usher config check` tells all at once",
                )
            };
            return Ok(errors.problems().iter().map(problem).collect());
        }
    };
    let settings = loaded.settings.clone();
    let mut checks = configuration(&loaded);
    checks.extend(local::files(&settings));
    let remote = context::block_on(async |runtime| {
        let (mut found, live_key) = remote::database(&settings.database, &runtime).await;
        found.extend(servable(&loaded, live_key));
        found.extend(remote::relays(&settings, &runtime).await);
        found.extend(remote::key_sets(&settings, &runtime).await);
        Ok(found)
    })?;
    checks.extend(remote);
    checks.push(local::port(&settings.server.listen));
    Ok(checks)
}

fn configuration(loaded: &Loaded) -> Vec<Check> {
    let settings = &loaded.settings;
    let (tenants, issuers) = (settings.tenants.len(), settings.all_issuers().count());
    let mut checks = vec![Check::ok("configuration", format!("tenants: {tenants}, issuers: {issuers}"))];
    let mend = "the place is named in front; mend it there";
    checks.extend(
        loaded.warnings.iter().map(|warning| Check::warning("configuration", warning.as_str(), mend)),
    );
    if tenants == 0 {
        checks.push(Check::warning(
            "tenants",
            "none is configured",
            "add a file to tenants/ in the configuration",
        ));
    }
    if let Some(keys) = &settings.tokens {
        checks.push(Check::ok("token keys", format!("new links are signed with `{}`", keys.active().id())));
    }
    checks
}

/// What `serve` would refuse to start for.
fn servable(loaded: &Loaded, live_key: bool) -> Vec<Check> {
    let Err(errors) = loaded.require_servable(&loaded.settings.server.listen, live_key) else {
        return vec![];
    };
    let problem = |problem: &config::Problem| {
        Check::problem("serve", problem.to_string(), "`usher serve` refuses to start until this is mended")
    };
    errors.problems().iter().map(problem).collect()
}

fn report(checks: &[Check]) -> String {
    let mut out = String::new();
    for check in checks {
        let mark = match check.health {
            Health::Ok => "ok     ",
            Health::Warning => "warning",
            Health::Problem => "PROBLEM",
        };
        out.push_str(&format!("{mark}  {:<14} {}\n", check.what, output::cell(check.found.clone())));
        if let Some(next) = &check.next {
            out.push_str(&format!("         {:<14} -> {next}\n", ""));
        }
    }
    let count = |health| checks.iter().filter(|check| check.health == health).count();
    let (problems, warnings) = (count(Health::Problem), count(Health::Warning));
    out.push_str(&match (problems, warnings) {
        (0, 0) => "\neverything looks fine\n".to_owned(),
        (problems, warnings) => format!("\nproblems: {problems}, warnings: {warnings}\n"),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_next_step_under_what_is_wrong_and_counts_at_the_end() {
        let checks = [Check::ok("port", "free"), Check::problem("database", "is gone", "start it")];
        assert_eq!(
            report(&checks),
            "ok       port           free\nPROBLEM  database       is gone\n                        -> start it\n\nproblems: 1, warnings: 0\n"
        );
    }
}
