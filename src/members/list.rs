//! Reading memberships.

use entity::{Role, TenantId, UserId, user};

use super::Members;
use crate::{
    domain::{Refusal, Scope},
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

/// Rows of one answer at most.
const MOST: u64 = 10_000;

/// All members of a tenant or a workspace, in order of joining. Who may ask is the caller's to judge.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn list(members: &Members, tenant: TenantId, scope: Scope) -> Result<Vec<Member>, Refusal> {
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
                        user,
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
                        user,
                    })
                    .collect())
            }
        })
        .await?)
}
