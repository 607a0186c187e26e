//! One batch, one transaction. First without savepoints: if every command ends well or refuses without having
//! written, that is all. If one fails after a write, the batch is rolled back and run once more with a
//! savepoint each, so that only the failing one is refused. Answers leave only after the commit.

use std::{panic::AssertUnwindSafe, time::Duration};

use entity::TenantId;
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::{
    command::{Address, Appends, Decision, Job, Stop, Work, write_appends},
    pace::Pace,
    shared::{Ahead, Shared},
};
use crate::{
    domain::Refusal,
    store::{Store, StoreError, tx::Tx},
};

/// Limit of one command. Longer than one statement's, since ending a command does not end its statement.
const COMMAND_LIMIT: Duration = Duration::from_millis(1800);

/// How one command of a batch ended.
enum Ended {
    Decided(Appends),
    Refused(Refusal),
    Failed(Refusal),
}

/// How the lane stands after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The next batch may begin.
    Free,
    /// There was no connection or lock to be had. What waited behind the batch has waited as long as it did, and would
    /// only wait once more.
    Blocked,
}

/// Refuses what waited behind a batch whose way was blocked.
pub(super) fn turn_back(jobs: Vec<Job>) {
    let blocked = Refusal::Unavailable { retry_after: 1, what: "The database cannot be used right now." };
    refuse_all(jobs, &blocked);
}

/// Commits a batch and answers its callers. Where others wait for it whatever their tenant, `pace` learns how long it
/// takes.
pub(super) async fn commit(store: &Store, jobs: Vec<Job>, pace: Option<&Pace>) -> Way {
    let now = Instant::now();
    let (mut jobs, late): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.begin_by > now);
    for job in late {
        job.task.refuse(Refusal::TOO_MUCH_WAITS);
    }
    if jobs.is_empty() {
        return Way::Free;
    }
    metrics::histogram!("usher_batch_commands")
        .record(f64::from(u32::try_from(jobs.len()).unwrap_or(u32::MAX)));
    match try_together(store, &mut jobs, pace).await {
        Together::Done(ended) => answer(jobs, ended),
        Together::Refuse(refusal) => refuse_all(jobs, &refusal),
        Together::Blocked(refusal) => {
            refuse_all(jobs, &refusal);
            return Way::Blocked;
        }
        Together::OneByOne => {
            metrics::counter!("usher_batch_repeated_total").increment(1);
            match with_savepoints(store, &mut jobs).await {
                Ok(ended) => answer(jobs, ended),
                Err(refusal) => refuse_all(jobs, &refusal),
            }
        }
    }
    Way::Free
}

fn answer(jobs: Vec<Job>, ended: Vec<Ended>) {
    for (job, ended) in jobs.into_iter().zip(ended) {
        match ended {
            Ended::Decided(appends) => {
                appends.finish();
                job.task.answer();
            }
            Ended::Refused(refusal) | Ended::Failed(refusal) => job.task.refuse(refusal),
        }
    }
}

fn refuse_all(jobs: Vec<Job>, refusal: &Refusal) {
    for job in jobs {
        job.task.refuse(refusal.clone());
    }
}

enum Together {
    Done(Vec<Ended>),
    Refuse(Refusal),
    /// The transaction could not even be begun.
    Blocked(Refusal),
    OneByOne,
}

async fn begin(store: &Store, tenants: Vec<TenantId>) -> Result<Tx, Refusal> {
    store.tenants_write(&tenants).await.map_err(StoreError::into_refusal)
}

/// The tenants of a batch, each once, in the order in which their locks are taken.
fn tenants_of(jobs: &[Job]) -> Vec<TenantId> {
    let mut tenants: Vec<TenantId> = jobs.iter().map(|job| job.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    tenants
}

async fn try_together(store: &Store, jobs: &mut [Job], pace: Option<&Pace>) -> Together {
    let tx = match begin(store, tenants_of(jobs)).await {
        Ok(tx) => tx,
        Err(refusal) => return Together::Blocked(refusal),
    };
    let (alone, begun) = (jobs.len() == 1, Instant::now());
    let mut ended = Vec::with_capacity(jobs.len());
    let mut seen = Vec::new();
    let ahead: Vec<_> = jobs.iter().map(|job| (job.tenant, job.task.ahead())).collect();
    let mut shared = match look_ahead(&tx, &ahead).await {
        Ok(shared) => shared,
        // one of them may be asking for what cannot be asked
        Err(_) if tx.rollback().await => return Together::OneByOne,
        Err(_) => return Together::Refuse(gone()),
    };
    for (job, (_, ahead)) in jobs.iter_mut().zip(&ahead) {
        let decided = match ahead {
            Some(_) => fenced(&tx, job, &mut shared, &seen).await,
            // who does not say what it looks at finds all in the database
            None => match shared.settle(tx.conn()).await {
                Ok(()) => fenced(&tx, job, &mut shared, &seen).await,
                Err(error) => Err(error.into()),
            },
        };
        match decided {
            Ok(appends) => {
                seen.extend(appends.addresses());
                ended.push(Ended::Decided(appends));
            }
            Err(Stop::Refused(refusal)) => ended.push(Ended::Refused(refusal)),
            Err(stop) => {
                // an answered rollback shows that the connection lives; without it nothing can be repeated
                let lives = tx.rollback().await;
                return match stop {
                    Stop::Failed(error) if alone => Together::Refuse(error.into_refusal()),
                    _ if lives => Together::OneByOne,
                    _ => Together::Refuse(gone()),
                };
            }
        }
    }
    let written = write(&tx, &mut shared, &mut ended).await;
    if let Some(pace) = pace {
        pace.note(jobs.len(), begun.elapsed());
    }
    match finish(tx, written).await {
        Ok(()) => Together::Done(ended),
        Err(Unfinished::RolledBack) => Together::OneByOne,
        Err(Unfinished::Unknown) => Together::Refuse(unknown_outcome()),
    }
}

async fn with_savepoints(store: &Store, jobs: &mut [Job]) -> Result<Vec<Ended>, Refusal> {
    let tx = begin(store, tenants_of(jobs)).await?;
    let mut ended = Vec::with_capacity(jobs.len());
    for job in jobs.iter_mut() {
        let Some(one) = in_savepoint(&tx, job).await else {
            tx.rollback().await;
            return Err(gone());
        };
        ended.push(one);
    }
    let written = write(&tx, &mut Shared::default(), &mut ended).await;
    match finish(tx, written).await {
        Ok(()) => Ok(ended),
        Err(Unfinished::RolledBack) => Err(Refusal::Internal),
        Err(Unfinished::Unknown) => Err(unknown_outcome()),
    }
}

/// Runs one command in a savepoint, with what it appends, again if it asks for it. `None`: the savepoint could not
/// be taken back, so the transaction around it is not what it was.
async fn in_savepoint(tx: &Tx, job: &mut Job) -> Option<Ended> {
    for _ in 0..3 {
        let savepoint = tx.savepoint().await.ok()?;
        // what commands before this one added and appended is in the database already
        let mut alone = Shared::default();
        let decided = match fenced(&savepoint, job, &mut alone, &[]).await {
            Ok(appends) => {
                let mut one = [appends];
                let written = write_appends(&savepoint, &mut alone, &mut one).await;
                let [appends] = one;
                written.map(|()| appends)
            }
            Err(stop) => Err(stop),
        };
        let stop = match decided {
            Ok(appends) => {
                savepoint.commit().await.ok()?;
                return Some(Ended::Decided(appends));
            }
            Err(stop) => stop,
        };
        if !savepoint.rollback().await {
            return None;
        }
        match stop {
            Stop::Refused(refusal) => return Some(Ended::Refused(refusal)),
            Stop::Failed(error) => return Some(Ended::Failed(error.into_refusal())),
            Stop::Again => {}
        }
    }
    Some(Ended::Failed(Refusal::Unavailable { retry_after: 1, what: "This could not be decided." }))
}

enum Unfinished {
    /// Nothing was kept.
    RolledBack,
    /// The commit was asked for and not answered.
    Unknown,
}

/// Writes what the commands appended; tells whether there is anything to commit.
async fn write(tx: &Tx, shared: &mut Shared, ended: &mut [Ended]) -> Result<bool, Stop> {
    let mut appends: Vec<Appends> = Vec::with_capacity(ended.len());
    for one in ended.iter_mut() {
        if let Ended::Decided(decided) = one {
            appends.push(std::mem::take(decided));
        }
    }
    if appends.is_empty() {
        return Ok(false);
    }
    write_appends(tx, shared, &mut appends).await?;
    // back to their commands, for what follows the commit
    let mut appends = appends.into_iter();
    for one in ended.iter_mut() {
        if let Ended::Decided(decided) = one
            && let Some(append) = appends.next()
        {
            *decided = append;
        }
    }
    Ok(true)
}

/// Commits what is written. A batch that wrote nothing is rolled back, which costs no disk.
async fn finish(tx: Tx, written: Result<bool, Stop>) -> Result<(), Unfinished> {
    match written {
        Ok(true) => tx.commit().await.map_err(|error| {
            tracing::warn!(%error, "a commit was not answered");
            Unfinished::Unknown
        }),
        Ok(false) => {
            tx.rollback().await;
            Ok(())
        }
        Err(stop) => {
            tracing::warn!(?stop, "writing what a batch appends failed");
            tx.rollback().await;
            Err(Unfinished::RolledBack)
        }
    }
}

/// What the commands of a batch are going to look at alike. One alone looks for itself.
async fn look_ahead(tx: &Tx, ahead: &[(TenantId, Option<Ahead>)]) -> Result<Shared, StoreError> {
    if ahead.len() == 1 {
        return Ok(Shared::default());
    }
    tx.arm_statement_limit();
    match timeout(COMMAND_LIMIT, Shared::read(tx.conn(), ahead)).await {
        Ok(shared) => Ok(shared?),
        Err(_elapsed) => Err(StoreError::unavailable("looking ahead took too long")),
    }
}

/// Runs one command with its time limit and a fence against panics.
async fn fenced(tx: &Tx, job: &mut Job, shared: &mut Shared, seen: &[Address]) -> Decision<Appends> {
    tx.arm_statement_limit();
    let mut work = Work::new(tx, job.tenant, shared, seen);
    let decided = timeout(COMMAND_LIMIT, AssertUnwindSafe(job.task.decide(&mut work)).catch_unwind()).await;
    let decided = match decided {
        Ok(Ok(decided)) => decided,
        Ok(Err(_panic)) => {
            tracing::error!("a command panicked");
            metrics::counter!("usher_command_panics_total").increment(1);
            return Err(Stop::Failed(StoreError::Fault(sea_orm::DbErr::Custom("a command panicked".into()))));
        }
        Err(_elapsed) => return Err(Stop::Failed(StoreError::unavailable("a command took too long"))),
    };
    let appends = work.into_appends();
    match decided {
        Ok(()) => Ok(appends),
        Err(Stop::Refused(refusal)) if !appends.is_empty() => {
            // it had written: take that back before the refusal leaves
            tracing::error!(%refusal, "a command refused after a write");
            Err(Stop::Failed(StoreError::Fault(sea_orm::DbErr::Custom("refused after a write".into()))))
        }
        Err(stop) => Err(stop),
    }
}

fn gone() -> Refusal {
    Refusal::Unavailable { retry_after: 1, what: "The database connection was lost; nothing was changed." }
}

fn unknown_outcome() -> Refusal {
    Refusal::Unavailable {
        retry_after: 1,
        what: "The database did not confirm; the change may or may not have happened.",
    }
}
