//! Reading workspaces: those the caller may see, and one by id.

use entity::{Role, WorkspaceId, workspace};

use super::Workspaces;
use crate::{
    domain::Refusal,
    identity::Call,
    store::{self, workspaces::Visible},
};

/// A page of workspaces and how many there are: all of the tenant for its owners and admins, otherwise those
/// the caller belongs to.
///
/// # Errors
/// 404 for strangers.
pub async fn list(
    workspaces: &Workspaces,
    call: Call,
    offset: u64,
    limit: u64,
) -> Result<(Vec<workspace::Model>, u64), Refusal> {
    call.principal.require_scope("workspaces:read")?;
    workspaces
        .store
        .read(async move |db| {
            let standing = call.standing(&db, None).await?;
            if let Err(refusal) = call.require_member(standing) {
                return Ok(Err(refusal));
            }
            let visible = match call.user_id() {
                Some(user) if standing.tenant < Some(Role::Admin) && !call.principal.system_admin => {
                    Visible::MemberOf(user.clone())
                }
                _ => Visible::All,
            };
            Ok(Ok(store::workspaces::list(&db, call.tenant.id, &visible, offset, limit).await?))
        })
        .await?
}

/// One workspace.
///
/// # Errors
/// 404 for strangers and foreign ids; 403 for members without access to it.
pub async fn get(workspaces: &Workspaces, call: Call, id: WorkspaceId) -> Result<workspace::Model, Refusal> {
    call.principal.require_scope("workspaces:read")?;
    workspaces
        .store
        .read(async move |db| {
            let standing = call.standing(&db, Some(id)).await?;
            let row = store::workspaces::find(&db, call.tenant.id, id).await?;
            Ok(match (call.require_member(standing), row) {
                (Err(refusal), _) => Err(refusal),
                (_, None) => Err(Refusal::NotFound),
                (Ok(()), Some(row)) => {
                    let here = standing.effective(crate::domain::Scope::Workspace(id)).is_some();
                    if here || call.principal.system_admin {
                        Ok(row)
                    } else {
                        Err(Refusal::Forbidden("you have no access to this workspace"))
                    }
                }
            })
        })
        .await?
}
