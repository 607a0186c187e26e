//! `usher mail`: what is owed, trying again what was given up, and what a mail looks like.

use clap::{Args, Subcommand};
use entity::{InviteId, Millis, OutboxId, OutboxState, Role, TenantId, outbox};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Globals,
    context::{self, Context},
    failure::Failure,
    output,
};
use crate::{
    config::settings::Tenant,
    mail::{
        delivery::{invitation, logo_of},
        render::{Invitation, Look, Rendered, render},
        requeue,
    },
    store,
    tenancy::links,
};

/// Life of the invite that a sample mail is about, in milliseconds.
const SAMPLE_LIFE: i64 = 7 * 86_400_000;

/// Verbs of `usher mail`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Lists mails, the newest first, and how many are in each state.
    ///
    /// States: queued (due, or waiting for its next try), leased (being sent), sent (the relay took it), dead
    /// (given up), cancelled (no longer wanted). Prints a table, the counts on standard error; with --json
    /// {"data":[{"id","tenant_id","invite_id","state","attempts","next_at","last_error","queued_at","sent_at"}],
    /// "total","counts":{"queued":1,…}}.
    ///
    /// Example:  usher mail list --state dead
    #[command(verbatim_doc_comment)]
    List {
        /// Only of this tenant, by id or slug
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Only in this state: queued, leased, sent, dead or cancelled
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: Option<OutboxState>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        limit: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Queues given-up (dead) mails again; a running server sends them within about a second.
    ///
    /// All of them, those of one tenant, or one. Mails of invites that have ended are cancelled instead of sent.
    /// Prints how many.
    ///
    /// Examples:  usher mail retry
    ///            usher mail retry --tenant acme
    #[command(verbatim_doc_comment)]
    Retry {
        /// Only this mail, as `usher mail list` shows it
        #[arg(value_name = "ID")]
        id: Option<OutboxId>,
        /// Only of this tenant, by id or slug
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
    },
    /// Shows the mail of an invite as it would leave now, or a sample with a tenant's looks; sends nothing.
    ///
    /// Prints subject and text; with --html the HTML part alone, with --json {"to","subject","text","html"}. The
    /// link of a sample leads nowhere.
    ///
    /// Examples:  usher mail preview 01900000-0000-7000-8000-00000000acde
    ///            usher mail preview --tenant acme --locale de --html > sample.html
    #[command(verbatim_doc_comment)]
    Preview(Preview),
}

/// Arguments of `usher mail preview`.
#[derive(Args, Debug)]
pub struct Preview {
    /// The invite
    #[arg(value_name = "INVITE", required_unless_present = "tenant", conflicts_with_all = ["tenant", "locale"])]
    invite: Option<InviteId>,
    /// A sample of this tenant, by id or slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Language of the sample, as de or pt-BR
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    /// Print the HTML part.
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn state(text: &str) -> Result<OutboxState, &'static str> {
    OutboxState::parse(text).ok_or("must be queued, leased, sent, dead or cancelled")
}

#[derive(Serialize)]
struct Row {
    id: OutboxId,
    tenant_id: TenantId,
    invite_id: InviteId,
    state: OutboxState,
    attempts: i32,
    next_at: Option<String>,
    last_error: Option<String>,
    queued_at: Option<String>,
    sent_at: Option<String>,
}

impl Row {
    fn of(mail: outbox::Model) -> Self {
        let waits = matches!(mail.state, OutboxState::Queued | OutboxState::Leased);
        Self {
            id: mail.id,
            tenant_id: mail.tenant_id,
            invite_id: mail.invite_id,
            state: mail.state,
            attempts: mail.attempts,
            next_at: output::time(Some(mail.next_at).filter(|_| waits)),
            last_error: mail.last_error,
            queued_at: output::time(Some(mail.inserted_at)),
            sent_at: output::time(mail.sent_at),
        }
    }
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { tenant, state, limit, json } => list(globals, tenant.as_deref(), state, limit, json),
        Verb::Retry { id, tenant } => retry(globals, id, tenant.as_deref()),
        Verb::Preview(asked) => preview(globals, &asked),
    }
}

fn list(
    globals: &Globals,
    tenant: Option<&str>,
    state: Option<OutboxState>,
    limit: u64,
    as_json: bool,
) -> Result<(), Failure> {
    let (mails, counts) = context::with(globals, async |cx| {
        let tenant = tenant.map(|tenant| cx.tenant(tenant)).transpose()?.map(|tenant| tenant.id);
        let found = cx.store.read(async move |db| {
            let mails = store::deliveries::list(&db, tenant, state, limit).await?;
            Ok((mails, store::outbox::count_by_state(&db, tenant).await?))
        });
        Ok(found.await?)
    })?;
    let rows: Vec<Row> = mails.into_iter().map(Row::of).collect();
    if as_json {
        let counts: Map<String, Value> =
            counts.into_iter().map(|(state, count)| (state.to_string(), json!(count))).collect();
        return output::json(&json!({ "data": rows, "total": rows.len(), "counts": counts }));
    }
    let rows: Vec<[String; 6]> = rows
        .into_iter()
        .map(|row| {
            [
                row.id.to_string(),
                row.state.to_string(),
                row.invite_id.to_string(),
                row.attempts.to_string(),
                row.sent_at.or(row.next_at).unwrap_or_default(),
                row.last_error.unwrap_or_default(),
            ]
        })
        .collect();
    output::table(
        ["ID", "STATE", "INVITE", "TRIES", "SENT OR NEXT", "LAST ERROR"],
        &rows,
        "there are no such mails",
    )?;
    let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if !counts.is_empty() {
        eprintln!("{}", counts.join(", "));
    }
    Ok(())
}

fn retry(globals: &Globals, id: Option<OutboxId>, tenant: Option<&str>) -> Result<(), Failure> {
    let count = context::with(globals, async |cx| {
        let tenants: Vec<TenantId> = match tenant {
            Some(tenant) => vec![cx.tenant(tenant)?.id],
            None => cx.loaded.settings.tenants.iter().map(|tenant| tenant.id).collect(),
        };
        let mut count = 0;
        for tenant in tenants {
            loop {
                let queued = requeue::requeue(&cx.store, tenant, id).await?;
                count += queued;
                // they are taken a thousand at a time
                if queued == 0 || id.is_some() {
                    break;
                }
            }
        }
        Ok(count)
    })?;
    match id {
        Some(id) if count == 0 => Err(Failure::Other(format!("no given-up mail {id}"))),
        _ => output::line(&count.to_string()),
    }
}

fn preview(globals: &Globals, asked: &Preview) -> Result<(), Failure> {
    let (to, mail) = context::with(globals, async |cx| match (asked.invite, asked.tenant.as_deref()) {
        (Some(invite), _) => of_invite(cx, invite).await,
        (None, Some(tenant)) => sample(cx, &*cx.tenant(tenant)?, asked.locale.as_deref()),
        (None, None) => Err(Failure::Usage("name an invite, or a --tenant for a sample".to_owned())),
    })?;
    if asked.json {
        let Rendered { subject, text, html } = mail;
        return output::json(&json!({ "to": to, "subject": subject, "text": text, "html": html }));
    }
    if asked.html {
        return output::line(mail.html.trim_end());
    }
    output::line(&format!("To: {to}\nSubject: {}\n\n{}", mail.subject, mail.text.trim_end()))
}

async fn of_invite(cx: &Context, id: InviteId) -> Result<(String, Rendered), Failure> {
    let (row, tenant) = cx.invite(id).await?;
    let link = cx.invites().url(&tenant, &row).map_err(|refusal| Failure::Other(refusal.message()))?;
    let facts = cx.store.read(async move |db| store::invites::find_for_preview(&db, id).await).await?;
    let facts = facts.ok_or_else(|| Failure::other("the invite has just gone"))?;
    let logo = logo_of(&cx.registry.current(), &tenant, row.link_host.as_deref());
    let mail = render(&invitation(&tenant, &facts, &link, logo.as_deref()));
    Ok((row.email, mail.map_err(unfit)?))
}

fn sample(cx: &Context, tenant: &Tenant, locale: Option<&str>) -> Result<(String, Rendered), Failure> {
    let snapshot = cx.registry.current();
    let host = links::link_host_for(tenant, None).map(|host| host.to_string());
    let logo = logo_of(&snapshot, tenant, host.as_deref());
    let branding = &tenant.branding;
    let workspace = tenant.workspaces.first();
    let path = if workspace.is_some() { "workspace-invites" } else { "invites" };
    let link = format!("{}/{path}/sample", links::origin(&snapshot, tenant, host.as_deref()));
    let expires_at: Millis = cx.store.clock().now().plus(SAMPLE_LIFE);
    let to = "alice@example.com";
    let mail = render(&Invitation {
        to,
        link: &link,
        tenant: &tenant.name,
        workspace: workspace.map(|workspace| workspace.name.as_str()),
        inviter: Some("Ada Lovelace"),
        role: Role::Member,
        expires_at,
        message: Some("Looking forward to working with you."),
        locale: locale.or(tenant.locale.as_deref()),
        look: Look {
            logo_url: logo.as_deref(),
            primary_color: branding.primary_color.as_deref(),
            support: branding.support_email.as_deref().or(branding.support_url.as_deref()),
        },
    });
    Ok((to.to_owned(), mail.map_err(unfit)?))
}

fn unfit(unfit: crate::mail::render::Unfit) -> Failure {
    Failure::Other(format!("this mail cannot be made: {unfit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_has_left_or_was_given_up_has_no_next_try() {
        let mail = outbox::Model {
            id: OutboxId::new(),
            tenant_id: TenantId::new(),
            invite_id: InviteId::new(),
            version: 1,
            dedupe_key: "x:1".into(),
            state: OutboxState::Dead,
            attempts: 8,
            next_at: Millis(0),
            lease_until: None,
            lease_token: None,
            last_error: Some("recipient_refused".into()),
            inserted_at: Millis(0),
            sent_at: None,
        };
        assert_eq!(Row::of(mail.clone()).next_at, None);
        let queued = outbox::Model { state: OutboxState::Queued, ..mail };
        assert_eq!(Row::of(queued).next_at.as_deref(), Some("1970-01-01T00:00:00Z"));
    }
}
