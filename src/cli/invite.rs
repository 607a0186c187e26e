//! `usher invite`: invites by the operator's hand. They have no inviter and are always authorised.

use std::time::Duration;

use clap::{Args, Subcommand};
use entity::InviteId;
use serde_json::{Value, json};

use super::{Globals, context, failure::Failure, output, token::address};
use crate::{
    config::parse_duration,
    domain::{EmailAddress, clock::rfc3339},
    http::v1::{
        event_body::LineBody,
        invite_body::{CreateInvite, InviteBody},
    },
    identity::Authority,
    invites::{
        create::{self, Created},
        history::{self, History},
        resend, revoke, scope_of,
    },
};

/// Verbs of `usher invite`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Invites somebody into a tenant or workspace, and prints the link alone.
    ///
    /// The mail is sent by the server, within about a second if one is running. Repeating it is safe: a pending
    /// invite is refreshed. Somebody who is a member of the tenant already is added to the workspace at once;
    /// then there is no link and nothing is printed.
    ///
    /// Examples:  usher invite create --tenant acme --email alice@example.com --role admin
    ///            LINK=$(usher invite create --tenant acme --workspace clinic --email bob@example.com --no-email)
    #[command(verbatim_doc_comment)]
    Create(Create),
    /// Lists invites of a tenant of any status, the newest first.
    ///
    /// Prints a table, or with --json {"data":[…],"total"} with the fields of the API. Links are never listed.
    ///
    /// Example:  usher invite list --tenant acme --json
    #[command(verbatim_doc_comment)]
    List {
        /// The tenant, by id or slug
        #[arg(long, value_name = "TENANT")]
        tenant: String,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        limit: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one invite and its history.
    ///
    /// With --json prints the fields of the API and "history":[{"at","event","actor","data"}].
    ///
    /// Example:  usher invite show 01900000-0000-7000-8000-00000000acde
    #[command(verbatim_doc_comment)]
    Show {
        /// Id of the invite
        #[arg(value_name = "ID")]
        id: InviteId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the link of an invite alone: the same that was mailed.
    ///
    /// It is derived from the invite and a token key, nothing is stored; if that key is gone it fails, and
    /// `usher invite resend` makes a new link. The link of an invite that has ended is printed too, with a remark.
    ///
    /// Example:  usher invite link 01900000-0000-7000-8000-00000000acde
    #[command(verbatim_doc_comment)]
    Link {
        /// Id of the invite
        #[arg(value_name = "ID")]
        id: InviteId,
    },
    /// Mails an invite again, and prints its link alone.
    ///
    /// The link stays the same unless --rotate makes a new one and kills the old. An expired invite is revived,
    /// with a new link.
    ///
    /// Example:  usher invite resend 01900000-0000-7000-8000-00000000acde --rotate
    #[command(verbatim_doc_comment)]
    Resend {
        /// Id of the invite
        #[arg(value_name = "ID")]
        id: InviteId,
        /// Make a new link; the old one is dead at once
        #[arg(long)]
        rotate: bool,
    },
    /// Revokes an invite; its link is dead at once.
    ///
    /// Prints nothing on standard output; repeating it changes nothing.
    ///
    /// Example:  usher invite revoke 01900000-0000-7000-8000-00000000acde
    #[command(verbatim_doc_comment)]
    Revoke {
        /// Id of the invite
        #[arg(value_name = "ID")]
        id: InviteId,
    },
}

/// Arguments of `usher invite create`.
#[derive(Args, Debug)]
pub struct Create {
    /// The tenant, by id or slug
    #[arg(long, value_name = "TENANT")]
    tenant: String,
    /// Whom to invite
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    email: EmailAddress,
    /// Into this workspace, by id or slug; into the tenant alone, if not given
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// owner, admin or member; in a workspace also viewer
    #[arg(long, value_name = "ROLE", default_value = "member")]
    role: String,
    /// How long it lives: 90s, 5m, 2h, 7d; the tenant's own time, if not given
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires_in: Option<Duration>,
    /// Send no mail
    #[arg(long)]
    no_email: bool,
    /// Language of mail and page, as de or pt-BR
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    /// A personal message
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(asked) => make(globals, asked),
        Verb::List { tenant, limit, json } => list(globals, &tenant, limit, json),
        Verb::Show { id, json } => show(globals, id, json),
        Verb::Link { id } => {
            let link = context::with(globals, async |cx| {
                let (row, tenant) = cx.invite(id).await?;
                // a missing key is nothing that waiting would mend
                let link =
                    cx.invites().url(&tenant, &row).map_err(|refusal| Failure::Other(refusal.message()))?;
                let status = history::history(&cx.invites(), row).await?.status;
                if status != entity::InviteStatus::Pending {
                    eprintln!("the invite is {status}: nobody can accept it");
                }
                Ok(link)
            })?;
            output::line(&link)
        }
        Verb::Resend { id, rotate } => {
            let link = context::with(globals, async |cx| {
                let (row, tenant) = cx.invite(id).await?;
                let by = Authority::Operator(tenant);
                Ok(resend::resend(&cx.invites(), by, scope_of(&row), id, rotate).await?.1)
            })?;
            output::line(&link)
        }
        Verb::Revoke { id } => context::with(globals, async |cx| {
            let (row, tenant) = cx.invite(id).await?;
            revoke::revoke(&cx.invites(), Authority::Operator(tenant), scope_of(&row), id).await?;
            eprintln!("revoked");
            Ok(())
        }),
    }
}

fn make(globals: &Globals, asked: Create) -> Result<(), Failure> {
    let link = context::with(globals, async |cx| {
        let tenant = cx.tenant_with_rows(&asked.tenant).await?;
        let scope = cx.scope(tenant.id, asked.workspace.as_deref()).await?;
        let body = CreateInvite {
            email: Some(asked.email.as_str().to_owned()),
            role: Some(Some(asked.role)),
            expires_in: asked.expires_in.map(|life| i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
            send_email: Some(!asked.no_email),
            locale: asked.locale,
            message: asked.message,
        };
        let new = body.read(scope).map_err(|refusal| Failure::Usage(refusal.message()))?;
        match create::create(&cx.invites(), Authority::Operator(tenant), new).await? {
            Created::Invited(row, link) => {
                eprintln!("invite {} expires {}", row.id, rfc3339(row.expires_at));
                Ok(Some(link))
            }
            Created::Added(member) => {
                eprintln!(
                    "no invite needed: {} is a member of the tenant and {} of the workspace",
                    member.user_id, member.role
                );
                Ok(None)
            }
        }
    })?;
    link.map_or(Ok(()), |link| output::line(&link))
}

fn list(globals: &Globals, tenant: &str, limit: u64, json: bool) -> Result<(), Failure> {
    let rows: Vec<InviteBody> = context::with(globals, async |cx| {
        let tenant = cx.tenant(tenant)?;
        let now = cx.store.clock().now();
        let rows = history::recent(&cx.invites(), tenant.id, limit).await?;
        Ok(rows.into_iter().map(|row| InviteBody::of(row, now)).collect())
    })?;
    if json {
        return output::json_list(&rows);
    }
    let rows: Vec<[String; 7]> = rows
        .into_iter()
        .map(|row| {
            [
                row.id.to_string(),
                row.status.to_owned(),
                row.email,
                row.role.to_owned(),
                row.workspace_id.map_or_else(|| "(tenant)".to_owned(), |id| id.to_string()),
                row.delivery.to_owned(),
                row.expires_at.to_string(),
            ]
        })
        .collect();
    let header = ["ID", "STATUS", "EMAIL", "ROLE", "INTO", "MAIL", "EXPIRES"];
    output::table(header, &rows, "there are no invites")
}

fn show(globals: &Globals, id: InviteId, as_json: bool) -> Result<(), Failure> {
    let (history, body) = context::with(globals, async |cx| {
        let (row, _) = cx.invite(id).await?;
        let body = InviteBody::of(row.clone(), cx.store.clock().now());
        Ok((history::history(&cx.invites(), row).await?, body))
    })?;
    if as_json {
        let mut value = serde_json::to_value(&body).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            fields.insert("mails".to_owned(), json!(history.invite.mails));
            fields.insert("link_version".to_owned(), json!(history.invite.version));
            fields.insert(
                "history".to_owned(),
                json!(history.lines.iter().map(LineBody::of).collect::<Vec<_>>()),
            );
        }
        return output::json(&value);
    }
    output::write(&page(&history))
}

fn page(history: &History) -> String {
    let row = &history.invite;
    let inviter = match (&row.inviter, row.inviter_key) {
        (Some(user), _) => user.0.clone(),
        (None, Some(key)) => format!("service key {key}"),
        (None, None) => "the operator".to_owned(),
    };
    let place = row.workspace_id.map_or_else(|| "the tenant".to_owned(), |id| format!("workspace {id}"));
    let delivery = match &row.delivery_detail {
        Some(detail) => format!("{} ({detail}), {} so far", row.delivery, row.mails),
        None => format!("{}, {} so far", row.delivery, row.mails),
    };
    let facts = [
        ("invite", row.id.to_string()),
        ("tenant", row.tenant_id.to_string()),
        ("into", place),
        ("email", row.email.clone()),
        ("role", row.role.to_string()),
        ("status", history.status.to_string()),
        ("invited by", inviter),
        ("expires", rfc3339(row.expires_at)),
        ("mail", delivery),
    ];
    let mut out = String::new();
    for (name, value) in facts {
        out.push_str(&format!("{name:<11} {}\n", output::cell(value)));
    }
    out.push_str("\nhistory\n");
    for line in &history.lines {
        let data = line.data.as_deref().unwrap_or_default();
        let text = format!("{}  {:<20} {}  {data}", rfc3339(line.at), line.kind, line.actor);
        out.push_str(&format!("  {}\n", output::cell(text).trim_end()));
    }
    out
}
