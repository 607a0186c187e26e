//! What the doctor tries to reach: the database and its schema, mail relays, the key sets of issuers, and by the
//! database's clock our own.

use std::collections::{BTreeSet, HashSet};

use tokio::runtime::Handle;

use super::Check;
use crate::{
    cli::{context::on, failure::Failure},
    config::settings::{Database, IssuerKeys, Relay, Settings, Transport},
    domain::{Clock, clock::rfc3339},
    identity::jwks,
    mail::transport::smtp::SmtpRelay,
    store::{self, Store, api_keys, migrate},
};

/// How far clocks may be apart, in milliseconds: what tokens are forgiven.
const SKEW: i64 = 30_000;
/// No clock that is right shows an earlier time (2026-01-01).
const EARLIEST: i64 = 1_767_225_600_000;

/// Reach, schema and clock; tells too whether a live API key is in it.
pub(super) async fn database(settings: &Database, runtime: &Handle) -> (Vec<Check>, bool) {
    let mut checks = Vec::new();
    let now = Clock::wall();
    if now.0 < EARLIEST {
        checks.push(Check::problem("clock", format!("it shows {}", rfc3339(now)), "set the system's clock"));
    }
    // looking must not make one
    if store::sqlite_file(settings).is_some_and(|file| !file.exists()) {
        return (checks, false);
    }
    let database = settings.clone();
    let steps = match on(runtime, async move { Ok(migrate::status(&database).await?) }).await {
        Ok(steps) => steps,
        Err(failure) => {
            checks.push(Check::problem("database", said(&failure), "start it, or mend database.url"));
            return (checks, false);
        }
    };
    let pending = steps.iter().filter(|step| !step.applied).count();
    if steps.iter().any(|step| !step.known) {
        checks.push(Check::warning(
            "schema",
            "is a newer usher's; this one serves on it",
            "update this program",
        ));
    } else if pending > 0 {
        let found = format!("{pending} migrations are missing");
        checks.push(Check::warning(
            "schema",
            found,
            "`usher serve` applies them at its start, or `usher migrate up`",
        ));
        return (checks, false);
    } else {
        checks.push(Check::ok("schema", format!("{} migrations, all applied", steps.len())));
    }
    match opened(settings, runtime).await {
        Ok((time, live_key)) => {
            checks.push(time);
            (checks, live_key)
        }
        Err(failure) => {
            checks.push(Check::problem("database", said(&failure), "look at the database's own log"));
            (checks, false)
        }
    }
}

async fn opened(settings: &Database, runtime: &Handle) -> Result<(Check, bool), Failure> {
    let store = Store::connect_for_maintenance(settings, runtime.clone(), Clock::default()).await?;
    let (asked, postgres) = (store.clone(), store.is_postgres());
    let (there, here) = on(runtime, async move {
        let tx = asked.system_write().await?;
        let (there, here) = (tx.now().await?, Clock::wall());
        tx.rollback().await;
        Ok((there, here))
    })
    .await?;
    let live_key = store.read(async move |db| api_keys::any_live(&db, here).await).await?;
    store.close().await;
    let apart = there.0.saturating_sub(here.0);
    let check = if apart.abs() > SKEW {
        let found = format!("the database's clock is {} s off ours", apart / 1000);
        Check::problem("clock", found, "let both machines keep time, by chrony or systemd-timesyncd")
    } else if postgres {
        Check::ok("database", format!("answers, its clock is {apart} ms off ours"))
    } else {
        Check::ok("database", format!("answers and can be written; it is {}", rfc3339(here)))
    };
    Ok((check, live_key))
}

/// Every relay that a tenant uses, spoken to as for a mail.
pub(super) async fn relays(settings: &Settings, runtime: &Handle) -> Vec<Check> {
    let hello = reqwest::Url::parse(&settings.server.base_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "localhost".to_owned());
    let mut seen: HashSet<Relay> = HashSet::new();
    let mut checks = Vec::new();
    for transport in settings.transports() {
        let Transport::Smtp(relay) = transport else { continue };
        if !seen.insert(relay.clone()) {
            continue;
        }
        let name = format!("{}:{}", relay.host, relay.port);
        let (relay, hello) = (relay.clone(), hello.clone());
        let probed = on(runtime, async move { Ok(SmtpRelay::new(relay, hello).probe().await) }).await;
        checks.push(match probed {
            Ok(Ok(())) => Check::ok("mail relay", format!("{name} can be used")),
            Ok(Err(class)) => Check::problem("mail relay", format!("{name}: {class}"), advice(class)),
            Err(failure) => Check::problem("mail relay", said(&failure), "report this"),
        });
    }
    checks
}

fn advice(class: &str) -> &'static str {
    match class {
        "connect" | "connect_timeout" => "is the relay up, and the port open from here? mend mail.url",
        "tls" => {
            "does it offer TLS with a certificate for that name? mend mail.url, or name its root in mail.ca_file"
        }
        "auth" => "mend user and password in mail.url; they have to be percent-encoded",
        "ca_file" => "mend mail.ca_file",
        _ => "look at the lines above and at the relay's log",
    }
}

/// Every key set that an issuer names, fetched once.
pub(super) async fn key_sets(settings: &Settings, runtime: &Handle) -> Vec<Check> {
    let urls: BTreeSet<&str> = settings
        .all_issuers()
        .filter_map(|issuer| match &issuer.keys {
            IssuerKeys::JwksUrl(url) => Some(url.as_str()),
            IssuerKeys::Hs256(_) | IssuerKeys::PublicKeyPem(_) => None,
        })
        .collect();
    let mut checks = Vec::new();
    for url in urls {
        checks.push(match jwks::probe(runtime, url).await {
            Ok(0) => {
                Check::problem("issuer", format!("{url} has no usable key"), "is it the issuer's jwks_uri?")
            }
            Ok(keys) => Check::ok("issuer", format!("{url} has {keys} usable keys")),
            Err(why) => {
                let next = "mend jwks_url, or let this machine reach it; until then its tokens are refused";
                Check::problem("issuer", format!("{url}: {why}"), next)
            }
        });
    }
    checks
}

/// What a failure says.
fn said(failure: &Failure) -> String {
    match failure {
        Failure::Usage(why) | Failure::Unreachable(why) | Failure::Other(why) => why.clone(),
        Failure::Config(errors) => errors.to_string(),
        Failure::Told => String::new(),
    }
}
