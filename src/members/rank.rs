//! Who may take or change whose role: asked by every operation that does.

use entity::{Role, UserId};

use crate::{
    actors::{Stop, Work},
    domain::{Refusal, Scope},
    identity::Authority,
    store,
};

/// The role that a member holds in the scope, if this caller may take it or give another one for it: admins may,
/// neither from nor to anything above their own rank. Anyone may leave (without a new role). The operator may all.
///
/// # Errors
/// 404 for strangers and for somebody who is no member, 403 by rank.
pub(super) async fn held_below(
    work: &Work<'_>,
    by: &Authority,
    scope: Scope,
    user: &UserId,
    new: Option<Role>,
) -> Result<Role, Stop> {
    let current = store::members::standing(work.conn(), work.tenant(), user, scope.workspace()).await?;
    let held = match scope {
        Scope::Org => current.tenant,
        Scope::Workspace(_) => current.workspace,
    };
    if let Authority::Caller(call) = by {
        let standing = call.standing(work.conn(), scope.workspace()).await?;
        call.require_member(standing)?;
        let rank = standing.ceiling(scope);
        let leaves = new.is_none() && call.user_id() == Some(user);
        if !leaves && (rank < Some(Role::Admin) || rank < new || rank < held) {
            return Err(Refusal::Forbidden("your rank does not allow that").into());
        }
    }
    Ok(held.ok_or(Refusal::NotFound)?)
}

/// Whether this owner is the only one of the scope.
pub(super) async fn last_owner(
    work: &Work<'_>,
    scope: Scope,
    user: &UserId,
) -> Result<bool, store::StoreError> {
    Ok(match scope {
        Scope::Org => {
            let owners = store::members::tenant_owners(work.conn(), work.tenant()).await?;
            owners.len() < 2 && owners.contains(user)
        }
        Scope::Workspace(id) => {
            store::members::solely_owned_workspaces(work.conn(), work.tenant(), user).await?.contains(&id)
        }
    })
}
