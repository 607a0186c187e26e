//! The product: invitations.
//!
//! | operation | file | the guard that decides | refusals |
//! |---|---|---|---|
//! | create | `create` | one pending row per scope and address (partial unique index) | 404, 403 rank, 409 `ALREADY_MEMBER`, 422 policy, 429 |
//! | preview | `preview` | none: a read | `INVALID_TOKEN` |
//! | accept | `accept` | `store::invites::accept`: tenant, status, expiry, version, address | `INVALID_TOKEN`, state, `EMAIL_MISMATCH`, `EMAIL_NOT_VERIFIED`, `INVITER_NOT_AUTHORIZED`, `SEAT_LIMIT_REACHED` |
//! | decline | `decline` | `store::invites::decline`, the same | as accept, without inviter and seats |
//! | revoke | `revoke` | `store::invites::revoke`: status | 404, 403, 409 `ALREADY_ACCEPTED`, `DECLINED` |
//! | resend | `resend` | `store::invites::rewrite_pending`: status | as revoke, 409 `REVOKED`, `SUPERSEDED`, 429 cooldown |
//! | edit | `edit` | `store::invites::rewrite_pending`: status | as resend, 409 `EXPIRED` |
//! | list, get one | `list`, and who sees which in `reach` | none: reads | 404, 403 |
//! | inbox; accept and decline by id | `inbox` | as accept and decline, without a version | 404, `EMAIL_NOT_VERIFIED` |
//! | respond, by id and address | `respond` | as accept and decline by id | 404, `EMAIL_MISMATCH`, then as those; `DECLINED` again |
//! | all pending ones after a restore | `restored` | as revoke, or as resend; the operator's alone | none |
//! | history, the operator's views | `history` | none: reads | 404 |
//!
//! What changes an invite takes an [`Authority`](crate::identity::Authority): a caller's, or the operator's.

pub mod accept;
pub mod create;
pub mod decline;
pub mod edit;
pub mod history;
pub mod inbox;
pub mod limits;
pub mod list;
pub mod preview;
pub mod proof;
mod reach;
pub mod resend;
pub mod respond;
pub mod restored;
pub mod revoke;
pub mod rules;

use std::sync::Arc;

use entity::invite;

use self::preview::Previews;
use crate::{
    actors::Lanes,
    config::settings,
    domain::{LinkClaims, MasterKeys, Refusal, Scope, link_token::LinkRow},
    store::Store,
    tenancy::{Registry, links},
};

/// The use cases and what they need; clones share it.
#[derive(Clone)]
pub struct Invites {
    store: Store,
    lanes: Lanes,
    registry: Arc<Registry>,
    previews: Previews,
    wake_mailer: Arc<dyn Fn() + Send + Sync>,
}

impl Invites {
    /// The use cases on a store and its lane. `wake_mailer` is called after a commit that owes a mail.
    pub fn new(
        store: Store,
        lanes: Lanes,
        registry: Arc<Registry>,
        wake_mailer: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let previews = Previews::new(store.clone());
        Self { store, lanes, registry, previews, wake_mailer: Arc::new(wake_mailer) }
    }

    /// The preview cache, to be told of changes made elsewhere in this process.
    #[must_use]
    pub fn previews(&self) -> &Previews {
        &self.previews
    }

    /// The link of an invite: derived, never stored.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if the master key that the row was made with is gone.
    pub fn url(&self, tenant: &settings::Tenant, row: &invite::Model) -> Result<String, Refusal> {
        self.url_by(&self.keys()?, tenant, row)
    }

    /// [`Invites::url`] by the keys that were in force when a command began.
    fn url_by(
        &self,
        keys: &MasterKeys,
        tenant: &settings::Tenant,
        row: &invite::Model,
    ) -> Result<String, Refusal> {
        let token = keys.mint(link_row(row), LinkClaims { id: row.id, version: row.version });
        let token = token.ok_or(Refusal::Unavailable {
            retry_after: 60,
            what: "The key that signed this link is gone. Resend the invitation to give it a new link.",
        })?;
        let host = row.link_host.as_deref();
        Ok(links::invite_url(&self.registry.current(), tenant, host, scope_of(row), &token))
    }

    /// The master keys in force.
    fn keys(&self) -> Result<MasterKeys, Refusal> {
        self.registry.current().settings.tokens.clone().ok_or(Refusal::Internal)
    }
}

/// The scope of a row.
#[must_use]
pub fn scope_of(row: &invite::Model) -> Scope {
    Scope::of(row.workspace_id)
}

/// What the link key of a row is derived from.
fn link_row(row: &invite::Model) -> LinkRow<'_> {
    LinkRow { tenant: row.tenant_id, scope: scope_of(row), salt: &row.salt, kid: &row.kid }
}
