//! What the commands of one batch share: what one adds, the next finds; what is known is forgotten when it may no longer
//! be so.

use entity::{InviteId, Millis, Role, TenantId, UserId, invite, tenant_member};
use sea_orm::{EntityTrait, PaginatorTrait};

use super::{LANE, World, in_world, together};
use crate::{
    actors::{Ahead, Command, Decision, Work},
    domain::Scope,
    identity::Call,
    store::{self, events::NewEvent, examples::pending_invite, members::Origin},
};

/// What a command of these tests does; each tells what it found.
#[derive(Clone, Debug)]
enum Step {
    /// Adds an invite for an address known to be free; says so if it is not known.
    Invite(&'static str),
    /// Adds somebody known to be a stranger; says so if that is not known.
    Join(&'static str),
    /// Says what somebody is.
    Stands(&'static str),
    /// Makes somebody an admin, by a statement of its own.
    Promote(&'static str),
    /// Says how many invites, members and seats the database knows of.
    Count,
}

struct Taken(Step);

impl Command for Taken {
    type Output = String;

    fn told_to(&self) -> Option<&Call> {
        None
    }

    fn ahead(&self) -> Option<Ahead> {
        match &self.0 {
            Step::Invite(norm) => Some(Ahead::Invite(Scope::Org, (*norm).to_owned(), None)),
            Step::Join(who) => Some(Ahead::Answer(InviteId::new(), UserId((*who).into()))),
            // as somebody who invites, whose standing is read ahead
            Step::Stands(who) => {
                Some(Ahead::Invite(Scope::Org, "stands@example.com".into(), Some(UserId((*who).into()))))
            }
            Step::Promote(_) | Step::Count => None,
        }
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<String> {
        let (tenant, now) = (work.tenant(), work.now().await?);
        let said = match &self.0 {
            Step::Invite(norm) => {
                if !work.is_free(Scope::Org, norm) {
                    return Ok("not known to be free".into());
                }
                work.add_invite(pending_invite(tenant, norm, now));
                "invited"
            }
            Step::Join(who) => {
                let user = UserId((*who).into());
                if !work.is_stranger(&user) {
                    return Ok("not known to be a stranger".into());
                }
                work.add_member(member(tenant, &user, now), None);
                "joined"
            }
            Step::Stands(who) => {
                let standing = work.standing(&UserId((*who).into()), None).await?;
                return Ok(format!("{:?}", standing.tenant));
            }
            Step::Promote(who) => {
                let user = UserId((*who).into());
                store::members::raise_tenant_role(work.conn(), tenant, &user, Role::Admin, now).await?;
                "promoted"
            }
            Step::Count => return counted(work).await,
        };
        work.event(NewEvent {
            kind: "test.told",
            invite_id: None,
            workspace_id: None,
            actor: "test".into(),
            data: None,
        });
        Ok(said.into())
    }
}

async fn counted(work: &Work<'_>) -> Decision<String> {
    let (conn, tenant) = (work.conn(), work.tenant());
    let invites = invite::Entity::find().count(conn).await?;
    let members = tenant_member::Entity::find().count(conn).await?;
    let seats = store::tenants::seats_used(conn, tenant).await?;
    Ok(format!("{invites} invites, {members} members, {seats} seats"))
}

fn member(tenant: TenantId, user: &UserId, at: Millis) -> tenant_member::Model {
    Origin { added_by: None, invite: None, at }.in_tenant(tenant, user, Role::Member)
}

async fn told(world: &World, steps: Vec<Step>) -> Vec<String> {
    let lanes = world.lanes(LANE);
    let answers = together(world, &lanes, steps.into_iter().map(Taken).collect()).await;
    answers.into_iter().map(Result::unwrap).collect()
}

#[test]
fn what_commands_of_a_batch_have_added_is_in_the_database_for_whoever_asks_it() {
    use Step::{Count, Invite, Join};
    in_world(async |world| {
        let steps = vec![Invite("a@x.test"), Join("bob"), Count, Invite("b@x.test"), Join("carol"), Count];
        let told = told(&world, steps).await;
        assert_eq!(
            told,
            [
                "invited",
                "joined",
                "1 invites, 1 members, 1 seats",
                "invited",
                "joined",
                "2 invites, 2 members, 2 seats"
            ]
        );
        assert_eq!(world.events(world.tenants[0]).await.len(), 1 + 4, "the first, and what was added");
    });
}

#[test]
fn a_fact_is_good_for_one_command() {
    use Step::{Count, Invite, Join};
    in_world(async |world| {
        let steps = vec![Invite("a@x.test"), Invite("a@x.test"), Join("bob"), Join("bob"), Count];
        let told = told(&world, steps).await;
        let unknown = ["not known to be free", "not known to be a stranger"];
        assert_eq!(told, ["invited", unknown[0], "joined", unknown[1], "1 invites, 1 members, 1 seats"]);
    });
}

#[test]
fn what_is_known_is_forgotten_when_a_command_changes_anything_by_itself() {
    use Step::{Invite, Join, Promote, Stands};
    in_world(async |world| {
        let steps = vec![
            Join("bob"),
            Stands("bob"),
            Promote("bob"),
            Stands("bob"),
            Invite("a@x.test"),
            Stands("carol"),
            Join("carol"),
        ];
        let told = told(&world, steps).await;
        let unknown = ["not known to be free", "not known to be a stranger"];
        let (member, admin) = ("Some(Member)", "Some(Admin)");
        assert_eq!(told, ["joined", member, "promoted", admin, unknown[0], "None", unknown[1]]);
    });
}

#[test]
fn whoever_joins_within_a_batch_stands_there_for_those_after_them() {
    use Step::{Join, Stands};
    in_world(async |world| {
        let told = told(&world, vec![Stands("bob"), Join("bob"), Stands("bob"), Stands("carol")]).await;
        // what was known of carol was read before bob came, and still holds
        assert_eq!(told, ["None", "joined", "Some(Member)", "None"]);
    });
}
