//! `usher api-key`: keys for back ends and people, made without a credential.

use clap::{ArgGroup, Args, Subcommand};
use entity::{ApiKeyId, Millis, Role, api_key};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{Globals, context, failure::Failure, output, token::address};
use crate::{
    domain::{Clock, EmailAddress, Refusal, clock},
    keys::{
        create::{self, Holder, NewKey},
        list, revoke,
    },
};

/// Verbs of `usher api-key`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Makes a key and prints it alone; it is never shown again.
    ///
    /// With --email the key acts as the person with that address, whom you vouch for: with --tenant it manages
    /// that tenant, without it is personal. With --service it acts as nobody and has a role in a tenant; it can
    /// invite and manage but accept nothing.
    ///
    /// Examples:  KEY=$(usher api-key create --service --role admin --tenant acme --name backend)
    ///            usher api-key create --email owner@acme.test --tenant acme --scopes invites:read,invites:write
    ///            usher api-key create --email alice@example.com --expires-at 2030-01-01T00:00:00Z
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// Lists the keys that are not revoked, never their text.
    ///
    /// Prints a table, or with --json {"data":[{"id","prefix","name","tenant_id","user_id","role","scopes",
    /// "expires_at","last_used_at","created_at","expired"}],"total"}.
    ///
    /// Example:  usher api-key list --tenant acme
    #[command(verbatim_doc_comment)]
    List {
        /// Only the keys of this tenant, by id or slug
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key, by its id.
    ///
    /// Running servers refuse it within a second. What a service key has invited can no longer be accepted.
    /// Prints nothing on standard output; repeating it changes nothing.
    ///
    /// Example:  usher api-key revoke 01900000-0000-7000-8000-00000000acde
    #[command(verbatim_doc_comment)]
    Revoke {
        /// Id of the key, as `usher api-key list` shows it
        #[arg(value_name = "ID")]
        id: ApiKeyId,
    },
}

/// Arguments of `usher api-key create`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("holder").required(true).args(["email", "service"]))]
pub struct Create {
    /// Act as the person with this address
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    email: Option<EmailAddress>,
    /// Act as nobody, with --role in --tenant
    #[arg(long, requires_all = ["role", "tenant"])]
    service: bool,
    /// Role of a service key: owner, admin or member
    #[arg(long, value_name = "ROLE", value_parser = tenant_role, requires = "service")]
    role: Option<Role>,
    /// The tenant it manages, by id or slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// A name for telling keys apart
    #[arg(long, value_name = "NAME", default_value = "made by the operator")]
    name: String,
    /// What it may do, separated by commas; everything its holder may, if not given
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope)]
    scopes: Vec<String>,
    /// When it ends, as 2030-01-02T03:04:05Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<Millis>,
}

/// Reads a tenant's role given as an argument.
///
/// # Errors
/// What would have been right.
pub fn tenant_role(text: &str) -> Result<Role, Refusal> {
    crate::domain::role::tenant_role(text)
}

fn scope(text: &str) -> Result<String, &'static str> {
    let fine = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
    fine.then(|| text.to_owned()).ok_or("a scope is one word such as invites:write")
}

/// Reads a time given as an argument.
///
/// # Errors
/// What would have been right.
pub fn time(text: &str) -> Result<Millis, &'static str> {
    clock::parse_rfc3339(text).ok_or("must be a time with a zone, as 2030-01-02T03:04:05Z")
}

#[derive(Serialize)]
struct Row {
    id: ApiKeyId,
    prefix: String,
    name: String,
    tenant_id: Option<entity::TenantId>,
    user_id: Option<entity::UserId>,
    role: Option<Role>,
    scopes: Vec<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    created_at: Option<String>,
    expired: bool,
}

impl Row {
    fn of(key: api_key::Model) -> Self {
        Self {
            id: key.id,
            prefix: key.prefix,
            name: key.name,
            tenant_id: key.tenant_id,
            user_id: key.user_id,
            role: key.role,
            scopes: key.scopes.split_whitespace().map(str::to_owned).collect(),
            expires_at: output::time(key.expires_at),
            last_used_at: output::time(key.last_used_at),
            created_at: output::time(Some(key.inserted_at)),
            expired: key.expires_at.is_some_and(|end| end <= Clock::wall()),
        }
    }
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(create) => make(globals, create),
        Verb::List { tenant, json } => show(globals, tenant.as_deref(), json),
        Verb::Revoke { id } => context::with(globals, async |cx| {
            revoke::revoke(&cx.keys(), id).await.map_err(|refusal| match refusal {
                Refusal::NotFound => Failure::Other(format!("no API key {id} in this database")),
                refusal => refusal.into(),
            })?;
            eprintln!("revoked");
            Ok(())
        }),
    }
}

fn make(globals: &Globals, asked: Create) -> Result<(), Failure> {
    if asked.expires_at.is_some_and(|end| end <= Clock::wall()) {
        return Err(Failure::Usage("--expires-at has passed already".to_owned()));
    }
    let key = context::with(globals, async |cx| {
        let tenant = match asked.tenant.as_deref() {
            Some(tenant) => Some(cx.tenant_with_rows(tenant).await?),
            None => None,
        };
        let holder = match (asked.email, asked.role, tenant) {
            (Some(email), _, tenant) => Holder::Person(email, tenant),
            (None, Some(role), Some(tenant)) => Holder::Service(role, tenant),
            (None, ..) => {
                return Err(Failure::Usage("give --email, or --service with --role and --tenant".into()));
            }
        };
        let new = NewKey { holder, name: asked.name, scopes: asked.scopes, expires_at: asked.expires_at };
        let (row, key) = create::create(&cx.keys(), new).await?;
        match &row.user_id {
            Some(user) => eprintln!("key {} acts as user {user}", row.id),
            None => eprintln!("key {} is a service key", row.id),
        }
        Ok(key)
    })?;
    output::line(key.expose_secret())
}

fn show(globals: &Globals, tenant: Option<&str>, json: bool) -> Result<(), Failure> {
    let rows: Vec<Row> = context::with(globals, async |cx| {
        let tenant = tenant.map(|tenant| cx.tenant(tenant)).transpose()?;
        let keys = list::list(&cx.keys(), tenant.map(|tenant| tenant.id)).await?;
        Ok(keys.into_iter().map(Row::of).collect())
    })?;
    if json {
        return output::json_list(&rows);
    }
    let rows: Vec<[String; 7]> = rows
        .into_iter()
        .map(|row| {
            let holder = match (row.user_id, row.role) {
                (Some(user), _) => user.0,
                (None, role) => format!("service, {}", role.map_or("-", Role::as_str)),
            };
            let ends = row.expires_at.unwrap_or_else(|| "never".to_owned());
            [
                row.id.to_string(),
                row.prefix,
                row.name,
                row.tenant_id.map(|id| id.to_string()).unwrap_or_default(),
                holder,
                if row.scopes.is_empty() { "all".to_owned() } else { row.scopes.join(",") },
                if row.expired { format!("{ends} (expired)") } else { ends },
            ]
        })
        .collect();
    output::table(
        ["ID", "PREFIX", "NAME", "TENANT", "ACTS AS", "SCOPES", "EXPIRES"],
        &rows,
        "there are no API keys",
    )
}
