//! `usher restore-finish`: what a database brought back from a dump needs before it is served again, so that nothing
//! that ended after the dump comes back to life.

use clap::{Args, ValueEnum};
use entity::{Millis, api_key};
use serde_json::json;

use super::{
    Globals, api_key as api_key_verbs,
    context::{self, Context},
    failure::Failure,
    output,
};
use crate::{
    domain::clock::rfc3339,
    invites::restored::{self, Fate, Settled},
    keys::{list, revoke},
    store,
};

/// API keys named one by one in a warning.
const KEYS_NAMED: usize = 50;

/// Arguments of `usher restore-finish`.
#[derive(Args, Debug)]
pub struct Finish {
    /// When the dump was made, as 2030-01-02T03:04:05Z [default: the last change that it holds]
    #[arg(long, value_name = "TIME", value_parser = api_key_verbs::time)]
    since: Option<Millis>,
    /// What becomes of pending invites
    #[arg(long, value_name = "FATE", value_enum, default_value_t = Pending::Revoke)]
    pending: Pending,
    /// Revoke every API key: one revoked or rotated after the dump is good again
    #[arg(long)]
    revoke_keys: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What becomes of pending invites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pending {
    /// Revoke them; whoever is still wanted is invited again
    Revoke,
    /// Keep them under a new link that nobody has, to be resent one by one; their addressees can accept without it
    Rotate,
    /// Keep them and mail everybody their new link, also those who were uninvited after the dump
    Mail,
}

impl Pending {
    const fn fate(self) -> Fate {
        match self {
            Self::Revoke => Fate::Revoked,
            Self::Rotate => Fate::Rotated,
            Self::Mail => Fate::Mailed,
        }
    }
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, asked: &Finish) -> Result<(), Failure> {
    let counts = context::with(globals, async |cx| finish(cx, asked).await)?;
    if asked.json {
        let object: serde_json::Map<_, _> =
            counts.iter().map(|(what, count)| (what.replace(' ', "_"), json!(count))).collect();
        return output::json(&object);
    }
    let rows: Vec<[String; 2]> =
        counts.iter().map(|(what, count)| [(*what).to_owned(), count.to_string()]).collect();
    output::table(["WHAT", "COUNT"], &rows, "nothing was to be done")
}

async fn finish(cx: &Context, asked: &Finish) -> Result<Vec<(&'static str, u64)>, Failure> {
    let since = since(cx, asked.since).await?;
    // keys first: a server that is running already must not take them while the rest is done
    let (revoked, live) = keys(cx, asked.revoke_keys).await?;
    let tenants = cx.store.read(async move |db| store::tenants::ids(&db).await).await?;
    let mut all = Settled::default();
    for tenant in tenants {
        let done = restored::settle(&cx.invites(), tenant, asked.pending.fate(), since).await?;
        all.invites += done.invites;
        all.cancelled += done.cancelled;
        all.queued += done.queued;
    }
    let answers = store::restore::forget_answers(&cx.store).await?;
    eprintln!(
        "members who were removed or demoted after the dump have their places and roles back: \
         go through `usher member list`"
    );
    eprintln!(
        "events after the dump are gone and their numbers are given again: applications that follow \
         /api/v1/events must begin anew"
    );
    let (ended, renewed) = if asked.pending == Pending::Revoke { (all.invites, 0) } else { (0, all.invites) };
    Ok(vec![
        ("invites revoked", ended),
        ("links rotated", renewed),
        ("mails cancelled", all.cancelled),
        ("mails queued", all.queued),
        ("answers forgotten", answers),
        ("keys revoked", revoked),
        ("keys live", live),
    ])
}

/// The time of the dump, and a warning if the database has gone on since.
async fn since(cx: &Context, given: Option<Millis>) -> Result<Option<Millis>, Failure> {
    let Some(given) = given else {
        return Ok(cx.store.read(async move |db| store::restore::last_change(&db).await).await?);
    };
    let later = cx.store.read(async move |db| store::restore::changes_after(&db, given).await).await?;
    if later > 0 {
        eprintln!(
            "warning: {later} changes are later than {}: the dump is younger, or a server has run on it already; \
             what was made then is treated as everything else",
            rfc3339(given)
        );
    }
    Ok(Some(given))
}

/// Revokes all keys, or names those that live; gives how many of either.
async fn keys(cx: &Context, revoke_them: bool) -> Result<(u64, u64), Failure> {
    let count = |keys: &[api_key::Model]| u64::try_from(keys.len()).unwrap_or(u64::MAX);
    let mut live = list::list(&cx.keys(), None).await?;
    let mut revoked = 0;
    while revoke_them && !live.is_empty() {
        for key in &live {
            revoke::revoke(&cx.keys(), key.id).await?;
        }
        revoked += count(&live);
        // a list has an end
        live = list::list(&cx.keys(), None).await?;
    }
    if !live.is_empty() {
        eprintln!(
            "warning: API keys that were revoked or rotated after the dump are good again. These are live:"
        );
        for key in live.iter().take(KEYS_NAMED) {
            eprintln!("  {}  {}  {}", key.id, key.prefix, output::cell(key.name.clone()));
        }
        eprintln!(
            "revoke what should not be with `usher api-key revoke ID`, or all of them with --revoke-keys"
        );
    }
    Ok((revoked, count(&live)))
}
