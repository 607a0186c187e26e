//! Users at first sight. A wire id belongs for good to the issuer and subject that reached it first: a second
//! one is turned away before anything is read in its name. What a credential adds to a user's row is worked out
//! here and written by the first command that needs it, last in its transaction; so is the one-time grant of
//! configured owners. Small caches of what rows are known to hold keep both off the hot path.

use std::{sync::Arc, time::Duration};

use entity::{TenantId, UserId, user};
use moka::sync::Cache;
use sea_orm::DbErr;

use super::{Principal, PrincipalKind, UserIdentity};
use crate::{
    config::settings::Tenant,
    domain::{EmailAddress, Refusal},
    store::{
        Rows, Store,
        users::{self, Known, Sighting},
    },
};

/// How long a row is taken to hold what it held: another replica may have written a later address.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What this process knows of users' rows and of owners granted.
pub struct FirstSight {
    rows: Cache<UserId, Arc<user::Model>>,
    granted: Cache<(TenantId, String), ()>,
}

/// The answer to a credential whose wire id belongs to another issuer or subject.
pub const TAKEN: Refusal =
    Refusal::Unauthenticated("the user id that this token leads to belongs to another issuer or subject");

impl Default for FirstSight {
    fn default() -> Self {
        Self {
            rows: Cache::builder().max_capacity(20_000).time_to_live(REMEMBERED).build(),
            granted: Cache::builder().max_capacity(20_000).build(),
        }
    }
}

impl FirstSight {
    /// Turns away a person whose wire id is another's. Nobody's yet is fine.
    ///
    /// # Errors
    /// [`TAKEN`]; [`Refusal::Unavailable`] without the database.
    pub(super) async fn require_own(&self, store: &Store, user: &UserIdentity) -> Result<(), Refusal> {
        if let Some(row) = self.rows.get(&user.id) {
            return if is_of(&row, user) { Ok(()) } else { Err(TAKEN) };
        }
        let asked = user.clone();
        let found = store
            .look_up(async move |db| users::known(&db, &asked.id, &asked.issuer, &asked.subject).await)
            .await?;
        match found {
            // not remembered: another issuer may be first
            Known::New => Ok(()),
            Known::Same(row) => {
                self.remember(row);
                Ok(())
            }
            Known::Taken => Err(TAKEN),
        }
    }

    /// Remembers a row just read.
    pub(super) fn remember(&self, row: user::Model) {
        self.rows.insert(row.id.clone(), Arc::new(row));
    }

    /// What a command must write of its caller's row: nothing if the row is known to say it already, or there is
    /// no person. To be given to [`users::upsert`], last in the transaction.
    #[must_use]
    pub fn sighting(&self, principal: &Principal) -> Option<Sighting> {
        let user = principal.user.as_ref()?;
        sighting(principal.kind, user, self.rows.get(&user.id).as_deref())
    }

    /// Forgets a row, after the commit of a transaction that wrote it.
    pub fn forget(&self, user: &UserId) {
        self.rows.invalidate(user);
    }

    /// Whether an owner's grant is known to have happened. `false` may also mean not known here: then ask
    /// [`crate::store::owners_granted`].
    #[must_use]
    pub fn is_granted(&self, tenant: TenantId, email: &EmailAddress) -> bool {
        self.granted.contains_key(&(tenant, email.norm().to_owned()))
    }

    /// Remembers a grant that was committed, or found in the database; it never ceases.
    pub fn remember_granted(&self, tenant: TenantId, email: &EmailAddress) {
        self.granted.insert((tenant, email.norm().to_owned()), ());
    }
}

/// Whose a person's wire id is, read inside a command's transaction.
///
/// # Errors
/// As any statement.
pub async fn known(conn: &impl Rows, user: &UserIdentity) -> Result<Known, DbErr> {
    users::known(conn, &user.id, &user.issuer, &user.subject).await
}

/// What a credential adds to a row. Only an address that the credential calls verified; and an API key, which
/// carries the address of the day it was made, never replaces a later one.
fn sighting(kind: PrincipalKind, user: &UserIdentity, row: Option<&user::Model>) -> Option<Sighting> {
    let held = row.and_then(|row| row.email.as_deref());
    let replaces = kind == PrincipalKind::Person || (row.is_some() && held.is_none());
    let email = user.verified_email().filter(|email| replaces && held != Some(email.as_str()));
    let name = user.name.as_ref().filter(|name| row.is_none_or(|row| row.name.as_ref() != Some(name)));
    (row.is_none() || email.is_some() || name.is_some()).then(|| Sighting {
        id: user.id.clone(),
        issuer: user.issuer.clone(),
        subject: user.subject.clone(),
        email: email.cloned(),
        name: name.cloned(),
    })
}

fn is_of(row: &user::Model, user: &UserIdentity) -> bool {
    row.issuer == user.issuer && row.subject == user.subject
}

/// The address by which a caller is to become owner of a tenant: one that its credential calls verified, that
/// the tenant's file lists, and that the credential may speak for there. Whether it happened before is for
/// [`FirstSight::is_granted`] and the table to say.
#[must_use]
pub fn owners_to_grant(tenant: &Tenant, principal: &Principal) -> Option<EmailAddress> {
    super::agree(principal, tenant.id).ok()?;
    let email = principal.user.as_ref()?.verified_email()?;
    tenant.owners.iter().any(|owner| owner.norm() == email.norm()).then(|| email.clone())
}
