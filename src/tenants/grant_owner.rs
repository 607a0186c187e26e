//! Configured owners: the first credential seen with a listed, verified address makes its person an owner of
//! the tenant, once per address. Somebody removed later does not come back by the file.

use entity::Role;
use serde_json::json;

use super::Tenants;
use crate::{
    actors::{Command, Decision, Work},
    domain::{EmailAddress, Refusal},
    identity::{Call, PrincipalKind, UserIdentity},
    store::{self, events::NewEvent, members::Origin},
};

/// Makes the caller an owner by this listed address, unless that address was granted before.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn grant_owner(tenants: &Tenants, call: &Call, email: EmailAddress) -> Result<(), Refusal> {
    let person = call.principal.person()?.clone();
    tenants.lanes.run(call.tenant.id, GrantOwner { person, kind: call.principal.kind, email }).await
}

struct GrantOwner {
    person: UserIdentity,
    kind: PrincipalKind,
    email: EmailAddress,
}

impl Command for GrantOwner {
    type Output = ();

    /// Comes before what was asked for; its answer is not kept.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let (conn, tenant, user) = (work.conn(), work.tenant(), &self.person.id);
        let now = work.now().await?;
        if !store::owners_granted::insert_once(conn, tenant, &self.person.grant_key(&self.email), user, now)
            .await?
        {
            return Ok(());
        }
        let origin = Origin { added_by: None, invite: None, at: now };
        if store::members::join_tenant(conn, tenant, user, Role::Owner, origin).await? {
            store::tenants::count_seats(conn, tenant, 1).await?;
        } else {
            store::members::raise_tenant_role(conn, tenant, user, Role::Owner, now).await?;
        }
        work.person(self.person.sighting(self.kind, false));
        work.event(NewEvent {
            kind: "member.added",
            invite_id: None,
            workspace_id: None,
            actor: "system".to_owned(),
            data: Some(json!({ "user_id": user, "role": Role::Owner, "because": "configured owner" })),
        });
        Ok(())
    }
}
