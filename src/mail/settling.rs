//! Writing down what became of mails. Until that is done a crash would send again what has left, so it waits for no
//! round: it begins as soon as a mail has landed, and takes all that have landed by then. Holds the locks of the
//! tenants it settles for, and nothing else.

use std::collections::{BTreeMap, HashSet};

use entity::{OutboxId, TenantId};

use super::{delivery::Deps, round::now_and_skew};
use crate::store::{
    StoreError,
    deliveries::{self, Settled, Verdict},
    outbox::Held,
};

/// What has been written down.
#[derive(Debug, Default)]
pub struct Settlement {
    /// The mails; what is missing has to be tried again.
    pub written: HashSet<OutboxId>,
    /// How far the database's clock is ahead of ours, in milliseconds, if it was seen.
    pub skew: Option<i64>,
}

/// Settles mails, by tenant. One transaction for all tenants on SQLite, which has one writer anyway; one each on
/// PostgreSQL, where a tenant whose lock is taken must not hold up the others. Errors are logged.
pub async fn settle(deps: &Deps, landed: Vec<(TenantId, Settled)>) -> Settlement {
    let mut by_tenant: BTreeMap<TenantId, Vec<Settled>> = BTreeMap::new();
    for (tenant, settled) in landed {
        by_tenant.entry(tenant).or_default().push(settled);
    }
    for mails in by_tenant.values_mut() {
        // a round may be renewing them: both lock rows in the order of their ids
        mails.sort_unstable_by_key(|mail| mail.lease.id);
    }
    let groups: Vec<BTreeMap<TenantId, Vec<Settled>>> = if deps.store.is_postgres() {
        by_tenant.into_iter().map(|one| BTreeMap::from([one])).collect()
    } else {
        vec![by_tenant]
    };
    let mut done = Settlement::default();
    for group in groups {
        match deps.store.bounded(settle_group(deps, &group)).await {
            Ok(skew) => {
                done.skew = Some(skew);
                let sent = group.values().flatten().filter(|mail| mail.verdict == Verdict::Sent);
                let noted: Vec<Held> = sent.map(|mail| mail.lease).collect();
                deps.taken.forget(&noted).await;
                done.written.extend(group.values().flatten().map(|mail| mail.lease.id));
            }
            Err(error) => tracing::warn!(%error, "what became of mails cannot be written down yet"),
        }
    }
    done
}

async fn settle_group(deps: &Deps, group: &BTreeMap<TenantId, Vec<Settled>>) -> Result<i64, StoreError> {
    let tenants: Vec<TenantId> = group.keys().copied().collect();
    let tx = deps.store.tenants_write(&tenants).await?;
    let settled = async {
        let (now, skew) = now_and_skew(deps, &tx).await?;
        for (tenant, mails) in group {
            let held = deliveries::settle(tx.conn(), *tenant, now, mails).await?;
            if held < mails.len() {
                tracing::warn!(
                    lost = mails.len() - held,
                    "leases were taken over before their mails were settled"
                );
            }
        }
        Ok(skew)
    }
    .await;
    tx.end(settled).await
}
