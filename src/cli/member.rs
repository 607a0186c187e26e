//! `usher member`: memberships, changed by the operator's hand: the way back in when nobody else can.

use clap::{Args, Subcommand};
use entity::{Role, UserId};
use serde::Serialize;

use super::{
    Globals,
    context::{self, Context},
    failure::Failure,
    output,
};
use crate::{
    config::settings::Tenant,
    domain::{EmailAddress, Refusal, Scope, role::workspace_role},
    identity::Authority,
    members::{list, remove, set_role},
    store,
};

/// Verbs of `usher member`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Lists the members of a tenant or workspace, the longest-standing first.
    ///
    /// Prints a table, or with --json {"data":[{"user_id","role","email","name","joined_at","added_by"}],"total"}.
    ///
    /// Example:  usher member list --tenant acme --workspace clinic
    #[command(verbatim_doc_comment)]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Gives a member another role.
    ///
    /// Pending invites that they could no longer send are revoked. The last owner cannot be demoted: make somebody
    /// else owner first. Prints nothing on standard output.
    ///
    /// Example:  usher member set-role user-17 owner --tenant acme
    #[command(verbatim_doc_comment)]
    SetRole {
        /// The member, by user id or verified address
        user: String,
        /// owner, admin or member; in a workspace also viewer
        #[arg(value_parser = workspace_role)]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// Removes a member.
    ///
    /// From a tenant: with all their workspace memberships there, and the pending invites they sent or were sent.
    /// The last owner cannot be removed. Prints nothing on standard output.
    ///
    /// Example:  usher member remove alice@example.com --tenant acme
    #[command(verbatim_doc_comment)]
    Remove {
        /// The member, by user id or verified address
        user: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where.
#[derive(Args, Debug)]
pub struct Place {
    /// The tenant, by id or slug
    #[arg(long, value_name = "TENANT")]
    tenant: String,
    /// One of its workspaces, by id or slug
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
}

#[derive(Serialize)]
struct Row {
    user_id: UserId,
    role: Role,
    email: Option<String>,
    name: Option<String>,
    joined_at: Option<String>,
    added_by: Option<UserId>,
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { place, json } => show(globals, &place, json),
        Verb::SetRole { user, role, place } => {
            if role == Role::Viewer && place.workspace.is_none() {
                return Err(Failure::Usage("a tenant has no viewers; name a --workspace".to_owned()));
            }
            context::with(globals, async |cx| {
                let tenant = cx.tenant(&place.tenant)?;
                let scope = cx.scope(tenant.id, place.workspace.as_deref()).await?;
                let id = member(cx, &tenant, &user).await?;
                let by = Authority::Operator(tenant.clone());
                let done = set_role::set_role(&cx.members(), by, scope, id.clone(), role).await;
                done.map_err(|refusal| missing(refusal, &user, &tenant, scope))?;
                eprintln!("{id} is {role} now");
                Ok(())
            })
        }
        Verb::Remove { user, place } => context::with(globals, async |cx| {
            let tenant = cx.tenant(&place.tenant)?;
            let scope = cx.scope(tenant.id, place.workspace.as_deref()).await?;
            let id = member(cx, &tenant, &user).await?;
            let by = Authority::Operator(tenant.clone());
            let done = remove::remove(&cx.members(), by, scope, id.clone()).await;
            done.map_err(|refusal| missing(refusal, &user, &tenant, scope))?;
            eprintln!("removed {id}");
            Ok(())
        }),
    }
}

fn show(globals: &Globals, place: &Place, json: bool) -> Result<(), Failure> {
    let rows: Vec<Row> = context::with(globals, async |cx| {
        let tenant = cx.tenant(&place.tenant)?;
        let scope = cx.scope(tenant.id, place.workspace.as_deref()).await?;
        let members = list::list(&cx.members(), tenant.id, scope).await?;
        Ok(members
            .into_iter()
            .map(|member| {
                let (email, name) = member.user.map(|user| (user.email, user.name)).unwrap_or_default();
                Row {
                    user_id: member.user_id,
                    role: member.role,
                    email,
                    name,
                    joined_at: output::time(Some(member.joined_at)),
                    added_by: member.added_by,
                }
            })
            .collect())
    })?;
    if json {
        return output::json_list(&rows);
    }
    let rows: Vec<[String; 5]> = rows
        .into_iter()
        .map(|row| {
            let text = Option::unwrap_or_default;
            [row.user_id.0, row.role.to_string(), text(row.email), text(row.name), text(row.joined_at)]
        })
        .collect();
    output::table(["USER", "ROLE", "EMAIL", "NAME", "SINCE"], &rows, "there are no members")
}

/// The member an argument means: an id before an address, since ids may look like addresses.
async fn member(cx: &Context, tenant: &Tenant, text: &str) -> Result<UserId, Failure> {
    let (id, tenant) = (UserId(text.to_owned()), tenant.id);
    let address = EmailAddress::parse(text).ok();
    let found = cx.store.read(async move |db| {
        if store::members::tenant_member(&db, tenant, &id).await?.is_some() {
            return Ok(id);
        }
        let by_address = match address {
            Some(address) => store::members::with_email(&db, tenant, address.norm()).await?,
            None => vec![],
        };
        Ok(by_address.into_iter().next().map_or(id, |member| member.user_id))
    });
    Ok(found.await?)
}

fn missing(refusal: Refusal, user: &str, tenant: &Tenant, scope: Scope) -> Failure {
    match (refusal, scope) {
        (Refusal::NotFound, Scope::Org) => Failure::Other(format!("no member {user:?} in {}", tenant.slug)),
        (Refusal::NotFound, Scope::Workspace(_)) => {
            Failure::Other(format!("no member {user:?} in that workspace of {}", tenant.slug))
        }
        (refusal, _) => refusal.into(),
    }
}
