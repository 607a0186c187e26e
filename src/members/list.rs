//! Reading memberships.

use entity::{Role, TenantId, UserId, user};
use sea_orm::{ConnectionTrait, DbErr};

use super::Members;
use crate::{
    domain::{Refusal, Scope},
    identity::Call,
    store,
};

/// A member and what is known of them.
#[derive(Clone, Debug)]
pub struct Member {
    /// Wire id.
    pub user_id: UserId,
    /// Role in the scope.
    pub role: Role,
    /// Since when.
    pub joined_at: entity::Millis,
    /// Who let them in.
    pub added_by: Option<UserId>,
    /// Address and name, if known.
    pub user: Option<user::Model>,
}

/// One member, as they are now.
///
/// # Errors
/// [`Refusal::NotFound`] for somebody who is none.
pub async fn one(members: &Members, tenant: TenantId, scope: Scope, user: UserId) -> Result<Member, Refusal> {
    let known_to = members.clone();
    let found = members.store.read(async move |db| member(&known_to, &db, tenant, scope, &user).await);
    found.await?.ok_or(Refusal::NotFound)
}

/// One member, if they are one.
pub(super) async fn member(
    members: &Members,
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    scope: Scope,
    user: &UserId,
) -> Result<Option<Member>, DbErr> {
    let known = members.visible(tenant, store::users::find(conn, user).await?);
    Ok(match scope {
        Scope::Org => store::members::tenant_member(conn, tenant, user).await?.map(|row| Member {
            user_id: row.user_id,
            role: row.role,
            joined_at: row.inserted_at,
            added_by: row.added_by,
            user: known,
        }),
        Scope::Workspace(id) => {
            store::members::workspace_member(conn, tenant, id, user).await?.map(|row| Member {
                user_id: row.user_id,
                role: row.role,
                joined_at: row.inserted_at,
                added_by: row.added_by,
                user: known,
            })
        }
    })
}

/// Rows of one answer at most.
const MOST: u64 = 10_000;

/// All members that a caller may see: those of a tenant or workspace they belong to.
///
/// # Errors
/// 404 for strangers, 403 for tenant members without access to the workspace.
pub async fn read(members: &Members, call: Call, scope: Scope) -> Result<Vec<Member>, Refusal> {
    call.principal.require_scope("members:read")?;
    let tenant = call.tenant.id;
    let allowed = members.store.read(async move |db| {
        let standing = call.standing(&db, scope.workspace()).await?;
        let there = match scope.workspace() {
            Some(id) => store::workspaces::find(&db, call.tenant.id, id).await?.is_some(),
            None => true,
        };
        Ok(match call.require_member(standing) {
            Ok(()) if !there => Err(Refusal::NotFound),
            Ok(()) if standing.effective(scope).is_none() && !call.principal.system_admin => {
                Err(Refusal::Forbidden("you have no access to this workspace"))
            }
            member => member,
        })
    });
    allowed.await??;
    list(members, tenant, scope).await
}

/// All members of a tenant or a workspace, in order of joining. Who may ask is the caller's to judge.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn list(members: &Members, tenant: TenantId, scope: Scope) -> Result<Vec<Member>, Refusal> {
    let known_to = members.clone();
    Ok(members
        .store
        .read(async move |db| match scope {
            Scope::Org => {
                let rows = store::members::list_tenant(&db, tenant, MOST).await?;
                Ok(rows
                    .into_iter()
                    .map(|(row, user)| Member {
                        user_id: row.user_id,
                        role: row.role,
                        joined_at: row.inserted_at,
                        added_by: row.added_by,
                        user: known_to.visible(tenant, user),
                    })
                    .collect())
            }
            Scope::Workspace(id) => {
                let rows = store::members::list_workspace(&db, tenant, id, MOST).await?;
                Ok(rows
                    .into_iter()
                    .map(|(row, user)| Member {
                        user_id: row.user_id,
                        role: row.role,
                        joined_at: row.inserted_at,
                        added_by: row.added_by,
                        user: known_to.visible(tenant, user),
                    })
                    .collect())
            }
        })
        .await?)
}
