//! What becomes of one claimed mail: is it still wanted, what does it say, did it leave. Everything is read
//! anew at this moment, nothing of it was stored with the queue; and no transaction is open while it is sent.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use entity::{Millis, TenantId, invite, outbox};
use futures_util::FutureExt;
use tokio::runtime::Handle;

use super::{
    letter::{self, Letter, Sender},
    render::{Invitation, Look, Unfit, render},
    schedule,
    taken::TakenNotes,
    transport::{Lane, Outcome, Transports},
};
use crate::{
    config::settings,
    domain::{Clock, Host, LinkClaims, MasterKeys, Scope, invite::is_live, link_token::LinkRow, random},
    store::{
        self, Store, StoreError,
        deliveries::{Rekeyed, Settled, Verdict},
        invites::PreviewRow,
        outbox::Held,
    },
    tenancy::{Registry, Snapshot, links},
};

/// Where a tenant's host serves `branding.logo_file`.
pub const LOGO_PATH: &str = "/usher/logo";
/// Pause before a mail is looked at again that could not be tried for a reason of ours, in milliseconds.
const NOT_NOW: i64 = 10_000;
/// The same where somebody has to change the configuration first.
const MISCONFIGURED: i64 = 60_000;

/// What delivering needs; clones share it.
#[derive(Clone)]
pub struct Deps {
    /// The database.
    pub store: Store,
    /// Tenants, keys and mail settings as they are now.
    pub registry: Arc<Registry>,
    /// The ways out.
    pub transports: Arc<Transports>,
    /// Which mails have left, ahead of what the database says.
    pub taken: TakenNotes,
    /// Where mails are written and sent: on threads that give way, and so must hold nothing that others wait for.
    pub sending: Handle,
    /// How often what is due is looked for unasked; [`super::mailer::POLL`] in service.
    pub poll: Duration,
}

/// What became of one mail.
#[derive(Debug)]
pub struct Landed {
    /// Whose it is.
    pub tenant: TenantId,
    /// What to write down.
    pub settled: Settled,
    /// The lane it was handed to and whether that could be used; `None` if it was not tried.
    pub lane: Option<(Lane, bool)>,
}

/// A verdict and its class.
type Judged = (Verdict, Option<&'static str>);

/// Delivers a claimed mail. Never fails and never panics: whatever happens to one mail is a verdict on it.
pub async fn deliver(deps: &Deps, row: outbox::Model, lease: Held) -> Landed {
    let mut attempt = Attempt { deps, row: &row, lease, workspace: None, lane: None };
    let (verdict, class) = match AssertUnwindSafe(attempt.run()).catch_unwind().await {
        Ok(judged) => judged,
        Err(_) => {
            tracing::error!(mail = %row.id, "delivering a mail panicked");
            (Verdict::Failed, Some("panic"))
        }
    };
    let settled = Settled {
        lease,
        invite: row.invite_id,
        workspace: attempt.workspace,
        number: store::outbox::number(&row),
        attempts: row.attempts,
        verdict,
        class,
    };
    Landed { tenant: row.tenant_id, settled, lane: attempt.lane }
}

struct Attempt<'a> {
    deps: &'a Deps,
    row: &'a outbox::Model,
    lease: Held,
    workspace: Option<entity::WorkspaceId>,
    lane: Option<(Lane, bool)>,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Judged {
        let snapshot = self.deps.registry.current();
        let Some(tenant) = snapshot.tenant(self.row.tenant_id).cloned() else {
            return (Verdict::Retry { after: MISCONFIGURED, counts: false }, Some("tenant_not_configured"));
        };
        let facts = match self.facts().await {
            Ok(Some(facts)) => facts,
            Ok(None) => return (Verdict::Cancelled, None),
            Err(error) => {
                tracing::warn!(mail = %self.row.id, %error, "cannot read what a mail is about");
                return (Verdict::Retry { after: NOT_NOW, counts: false }, Some("database"));
            }
        };
        self.workspace = facts.invite.workspace_id;
        if store::outbox::is_taken(self.row) {
            return (Verdict::Sent, None);
        }
        if !is_live(&facts.invite, self.now()) || facts.invite.version != self.row.version {
            return (Verdict::Cancelled, None);
        }
        if self.row.attempts > schedule::MOST_ATTEMPTS {
            return (Verdict::Failed, Some("too_many_attempts"));
        }
        let Some(keys) = &snapshot.settings.tokens else {
            return (Verdict::Retry { after: MISCONFIGURED, counts: false }, Some("no_token_key"));
        };
        let facts = match self.with_live_key(facts, keys).await {
            Ok(Some(facts)) => facts,
            Ok(None) => return (Verdict::Retry { after: 0, counts: false }, Some("changed")),
            Err(error) => {
                tracing::warn!(mail = %self.row.id, %error, "cannot give an invite a new link");
                return (Verdict::Retry { after: NOT_NOW, counts: false }, Some("database"));
            }
        };
        let letter = match self.write(&snapshot, &tenant, keys, &facts) {
            Ok(letter) => letter,
            Err(unfit) => return (Verdict::Failed, Some(class_of(unfit))),
        };
        let outcome = self.deps.transports.send(&tenant.mail, &letter).await;
        if outcome == Outcome::Sent {
            self.note_taken().await;
        }
        let usable = !matches!(outcome, Outcome::RelayDown(_));
        self.lane = Some((Lane::of(&tenant.mail.transport), usable));
        self.judge(outcome, facts.invite.expires_at)
    }

    fn now(&self) -> Millis {
        self.deps.store.clock().now()
    }

    /// Writes down at once, and alone, that the mail has left. Settling it waits for the tenant's lock, behind whatever
    /// the tenant is doing; dying meanwhile would send it again.
    async fn note_taken(&self) {
        if !self.deps.store.is_postgres() {
            return self.deps.taken.note(self.lease).await;
        }
        let (store, lease) = (self.deps.store.clone(), self.lease);
        let noting = self.on_store(async move {
            let noting = async {
                let tx = store.system_write().await?;
                let noted = store::outbox::note_taken(tx.conn(), lease).await;
                tx.end(noted.map_err(StoreError::from)).await
            };
            store.bounded(noting).await
        });
        if let Err(error) = noting.await {
            tracing::debug!(mail = %self.row.id, %error, "a mail that has left is not noted ahead");
        }
    }

    async fn facts(&self) -> Result<Option<PreviewRow>, StoreError> {
        let (store, invite) = (self.deps.store.clone(), self.row.invite_id);
        let look = async move |db| store::invites::find_for_preview(&db, invite).await;
        self.on_store(async move { store.look_up(look).await }).await
    }

    /// The facts as they are, or with a new link if the master key of the old one is gone; `None` if the
    /// invite changed meanwhile.
    async fn with_live_key(
        &self,
        facts: PreviewRow,
        keys: &MasterKeys,
    ) -> Result<Option<PreviewRow>, StoreError> {
        if keys.get(&facts.invite.kid).is_some() {
            return Ok(Some(facts));
        }
        let Ok(salt) = random::bytes::<32>() else { return Ok(None) };
        let key = Rekeyed {
            version: facts.invite.version,
            kid: keys.active().id().to_owned(),
            salt: salt.to_vec(),
        };
        let tenant = self.row.tenant_id;
        let (store, lease, invite) = (self.deps.store.clone(), self.lease, facts.invite.id);
        let rekeyed = self.on_store(async move {
            let tx = store.tenant_write(tenant).await?;
            let rekeyed = async {
                let now = tx.now().await?;
                Ok(store::deliveries::rekey(tx.conn(), tenant, invite, lease, key, now).await?)
            };
            let rekeyed = rekeyed.await;
            tx.end(rekeyed).await
        });
        Ok(rekeyed.await?.map(|invite| PreviewRow { invite, ..facts }))
    }

    /// Works on the store's runtime: a thread that gives way must not hold a lock, nor start a thread that reads.
    async fn on_store<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let working = self.deps.store.runtime().spawn(work);
        match working.await {
            Ok(done) => done,
            // a verdict on this mail, like any other panic over it
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => Err(StoreError::unavailable("the server is stopping")),
        }
    }

    fn write(
        &self,
        snapshot: &Snapshot,
        tenant: &settings::Tenant,
        keys: &MasterKeys,
        facts: &PreviewRow,
    ) -> Result<Letter, Unfit> {
        let link = link_of(snapshot, tenant, keys, &facts.invite).ok_or(Unfit::Link)?;
        let logo = logo_of(snapshot, tenant, facts.invite.link_host.as_deref());
        let content = render(&invitation(tenant, facts, &link, logo.as_deref()))?;
        let sender = Sender { from: &tenant.mail.from, reply_to: tenant.mail.reply_to.as_deref() };
        letter::write(self.row.id, sender, &facts.invite.email, &link, content, Clock::wall())
    }

    fn judge(&self, outcome: Outcome, expires_at: Millis) -> Judged {
        match outcome {
            Outcome::Sent => (Verdict::Sent, None),
            Outcome::Refused(class) => (Verdict::Bounced, Some(class)),
            // the lane's circuit decides when; the mail keeps its place and its attempt
            Outcome::RelayDown(class) => (Verdict::Retry { after: 0, counts: false }, Some(class)),
            Outcome::Deferred(class) => (self.again(false, expires_at), Some(class)),
            Outcome::Ambiguous(class) => (self.again(true, expires_at), Some(class)),
        }
    }

    fn again(&self, ambiguous: bool, expires_at: Millis) -> Verdict {
        match schedule::pause(self.row.attempts, ambiguous, chance()) {
            None => Verdict::Failed,
            Some(after) if self.now().plus(after) >= expires_at => Verdict::Cancelled,
            Some(after) => Verdict::Retry { after, counts: true },
        }
    }
}

/// The URL of an invite's link as it is now; `None` if its master key is gone.
#[must_use]
pub fn link_of(
    snapshot: &Snapshot,
    tenant: &settings::Tenant,
    keys: &MasterKeys,
    row: &invite::Model,
) -> Option<String> {
    let scope = Scope::of(row.workspace_id);
    let link_row = LinkRow { tenant: row.tenant_id, scope, salt: &row.salt, kid: &row.kid };
    let token = keys.mint(link_row, LinkClaims { id: row.id, version: row.version })?;
    Some(links::invite_url(snapshot, tenant, row.link_host.as_deref(), scope, &token))
}

/// The logo a mail shows: the file that usher serves on the host of the link, else a URL on one of the tenant's
/// own domains.
#[must_use]
pub fn logo_of(snapshot: &Snapshot, tenant: &settings::Tenant, link_host: Option<&str>) -> Option<String> {
    if tenant.branding.logo_file.is_some() {
        // a platform host serves every tenant, so that path is nobody's there
        let host = link_host.or_else(|| tenant.domains.first().map(Host::as_str));
        let own = !tenant.domains.is_empty();
        return own.then(|| format!("{}{LOGO_PATH}", links::origin(snapshot, tenant, host)));
    }
    tenant.branding.logo_url.clone().filter(|url| on_own_domain(tenant, url))
}

/// The facts of a mail from the rows and the tenant's settings.
#[must_use]
pub fn invitation<'a>(
    tenant: &'a settings::Tenant,
    facts: &'a PreviewRow,
    link: &'a str,
    logo: Option<&'a str>,
) -> Invitation<'a> {
    let branding = &tenant.branding;
    Invitation {
        to: &facts.invite.email,
        link,
        tenant: &tenant.name,
        workspace: facts.workspace_name.as_deref(),
        inviter: facts.inviter_name.as_deref(),
        role: facts.invite.role,
        expires_at: facts.invite.expires_at,
        message: facts.invite.message.as_deref(),
        locale: facts.invite.locale.as_deref().or(tenant.locale.as_deref()),
        look: Look {
            logo_url: logo,
            primary_color: branding.primary_color.as_deref(),
            support: branding.support_email.as_deref().or(branding.support_url.as_deref()),
        },
    }
}

/// Whether a URL lies on one of the tenant's own domains.
fn on_own_domain(tenant: &settings::Tenant, url: &str) -> bool {
    url.split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
        .and_then(Host::parse)
        .is_some_and(|host| tenant.domains.contains(&host))
}

fn class_of(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::ControlCharacter => "control_character",
        Unfit::Link => "bad_link",
        Unfit::Address => "bad_address",
        Unfit::Build => "cannot_build",
    }
}

/// A number in 0..=1 for spreading retries.
fn chance() -> f64 {
    random::bytes::<1>().map_or(0.5, |[byte]| f64::from(byte) / 255.0)
}
