//! What waits for a person: their pending invites across tenants, accepted or declined by id. Without a link
//! the credential alone proves the address, so it has to be a verified one.

use std::sync::Arc;

use entity::{InviteId, TenantId, invite};

use super::{
    Invites,
    accept::{AcceptInvite, Accepted},
    decline::{DeclineInvite, Declined},
    proof::{Answered, Kind, address_of, require_verified},
};
use crate::{
    actors::{Command, Planned},
    config::settings,
    domain::{Refusal, authority::agrees},
    identity::{Principal, UserIdentity},
    store,
};

/// Rows of one answer at most.
const MOST: u64 = 10_000;

/// A pending invite and the names that go with it. Never its link.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The row.
    pub invite: invite::Model,
    /// Display name of the tenant.
    pub tenant_name: String,
    /// Display name of the workspace.
    pub workspace_name: Option<String>,
}

/// The live pending invites to the caller's address; on a tenant's own host, that tenant's only.
///
/// # Errors
/// 403 `EMAIL_NOT_VERIFIED` where no tenant would take the address as it is.
pub async fn inbox(
    invites: &Invites,
    principal: &Principal,
    within: Option<TenantId>,
) -> Result<Vec<Waiting>, Refusal> {
    let person = principal.person()?.clone();
    let snapshot = invites.registry.current();
    let mut taken_by = snapshot
        .settings
        .tenants
        .iter()
        .filter(|tenant| require_verified(&tenant.invites, &person, false).is_ok())
        .filter(|tenant| {
            agrees(principal.confined_to, tenant.id) && within.is_none_or(|only| only == tenant.id)
        })
        .peekable();
    if person.email.is_none() || taken_by.peek().is_none() && person.verified_email().is_none() {
        return Err(Refusal::EmailNotVerified);
    }
    let tenants: Vec<TenantId> = taken_by.map(|tenant| tenant.id).collect();
    let now = invites.store.clock().now();
    let address = address_of(&person).to_owned();
    let (rows, names) = invites
        .store
        .read(async move |db| {
            let rows = store::invites::inbox(&db, &address, &tenants, now, MOST).await?;
            let rows: Vec<_> = rows.into_iter().filter(|row| tenants.contains(&row.tenant_id)).collect();
            let workspaces = rows.iter().filter_map(|row| row.workspace_id).collect();
            Ok((rows, store::workspaces::names(&db, workspaces).await?))
        })
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|invite| {
            let tenant_name = snapshot.tenant(invite.tenant_id)?.name.clone();
            let workspace_name = invite.workspace_id.and_then(|id| names.get(&id).cloned());
            Some(Waiting { invite, tenant_name, workspace_name })
        })
        .collect())
}

/// Accepts by id.
///
/// # Errors
/// 404 for an invite that is not the caller's; otherwise as accepting by link.
pub fn accept<'a>(
    invites: &'a Invites,
    principal: &'a Principal,
    within: Option<TenantId>,
    id: InviteId,
) -> Planned<'a, impl Command<Output = Accepted>> {
    invites.lanes.plan(async move {
        let (person, tenant) = own(invites, principal, within, id).await?;
        let (kind, previews) = (principal.kind, invites.previews.clone());
        let answered = Answered { id, version: None };
        Ok((tenant.id, AcceptInvite { tenant, person, kind, answered, previews }))
    })
}

/// Declines by id.
///
/// # Errors
/// 404 for an invite that is not the caller's; otherwise as declining by link.
pub fn decline<'a>(
    invites: &'a Invites,
    principal: &'a Principal,
    within: Option<TenantId>,
    id: InviteId,
    note: Option<String>,
) -> Planned<'a, impl Command<Output = Declined>> {
    invites.lanes.plan(async move {
        let (person, tenant) = own(invites, principal, within, id).await?;
        let (answered, previews) = (Answered { id, version: None }, invites.previews.clone());
        Ok((tenant.id, DeclineInvite { tenant, person, answered, note, previews }))
    })
}

/// The caller and the tenant of the invite of this id, if it is addressed to them and its tenant is served here.
pub(super) async fn own(
    invites: &Invites,
    principal: &Principal,
    within: Option<TenantId>,
    id: InviteId,
) -> Result<(UserIdentity, Arc<settings::Tenant>), Refusal> {
    let person = principal.person()?.clone();
    let row = invites.store.look_up(async move |db| store::invites::find_for_link(&db, id).await).await?;
    let row = row
        .filter(|row| row.email_norm == address_of(&person) && agrees(principal.confined_to, row.tenant_id));
    let row = row.ok_or(Refusal::NotFound)?;
    let tenant = invites.served(&row, Kind::Any, within).map_err(|_| Refusal::NotFound)?;
    // an unverified claim to somebody's address learns nothing of their invites
    require_verified(&tenant.invites, &person, false)?;
    Ok((person, tenant))
}
