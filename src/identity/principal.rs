//! Who calls: what a verified credential says, before any row is read.

use entity::{AddressState, ApiKeyId, Role, TenantId, UserId};

use crate::{
    domain::{EmailAddress, Refusal},
    store::users::Sighting,
};

/// Issuer of users whose address the operator asserts: a name that no provider has.
pub const OPERATOR_ISSUER: &str = "urn:usher:operator";

/// A verified credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Person, user key or service key.
    pub kind: PrincipalKind,
    /// The person; `None` for a service key.
    pub user: Option<UserIdentity>,
    /// Tenant the credential is confined to on every route (a tenant's own issuer, and keys made with one).
    pub confined_to: Option<TenantId>,
    /// Tenant that an API key manages; does not limit token and `/me` routes.
    pub pinned_to: Option<TenantId>,
    /// What an API key may do; `None` means all that its person may.
    pub scopes: Option<Vec<String>>,
    /// By claim or configuration; only ever of server-level issuers.
    pub system_admin: bool,
}

/// What kind of credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A JWT.
    Person,
    /// An API key that acts as its person.
    UserKey(ApiKeyId),
    /// An API key without a person, with a role in its tenant.
    ServiceKey(ApiKeyId, Role),
}

/// The person behind a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdentity {
    /// Wire id.
    pub id: UserId,
    /// Issuer string.
    pub issuer: String,
    /// Subject at that issuer.
    pub subject: String,
    /// Address, if the credential names a valid one.
    pub email: Option<EmailAddress>,
    /// What the credential says of that address; `trust_email` is applied already.
    pub email_state: AddressState,
    /// Display name.
    pub name: Option<String>,
}

impl UserIdentity {
    /// The address, where the credential calls it verified.
    #[must_use]
    pub fn verified_email(&self) -> Option<&EmailAddress> {
        self.email.as_ref().filter(|_| self.email_state == AddressState::Verified)
    }
}

impl UserIdentity {
    /// What becoming an owner by this address is recorded under. A person whom only the operator vouches for does
    /// not use up the grant of whoever signs in with the address later.
    #[must_use]
    pub fn grant_key(&self, email: &EmailAddress) -> String {
        let by_operator = self.issuer == OPERATOR_ISSUER;
        format!("{}{}", if by_operator { "operator:" } else { "" }, email.norm())
    }

    /// What is written of this person. The address only where it is verified or proven; that of an API key is of
    /// the day it was made and never replaces a later one unless a link proves it.
    #[must_use]
    pub fn sighting(&self, kind: PrincipalKind, proven: bool) -> Sighting {
        let fresh = kind == PrincipalKind::Person && self.email_state == AddressState::Verified;
        Sighting {
            id: self.id.clone(),
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            email: self.email.clone().filter(|_| proven || fresh),
            name: self.name.clone(),
        }
    }
}

impl Principal {
    /// The person.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for a service key.
    pub fn person(&self) -> Result<&UserIdentity, Refusal> {
        self.user.as_ref().ok_or(Refusal::Forbidden("a service key has no person"))
    }

    /// Whether a scope is held. `x:write` includes `x:read`.
    ///
    /// # Errors
    /// [`Refusal::InsufficientScope`].
    pub fn require_scope(&self, scope: &'static str) -> Result<(), Refusal> {
        if self.holds(scope) { Ok(()) } else { Err(Refusal::InsufficientScope(scope)) }
    }

    /// Whether a scope is held. `x:write` includes `x:read`.
    #[must_use]
    pub fn holds(&self, scope: &str) -> bool {
        let Some(held) = &self.scopes else { return true };
        let write = scope.strip_suffix(":read").map(|area| format!("{area}:write"));
        held.iter().any(|have| have == scope || Some(have) == write.as_ref())
    }

    /// Whose credential it is: a person's, whichever token they show, or one API key.
    #[must_use]
    pub fn credential(&self) -> String {
        match self.kind {
            PrincipalKind::Person => format!("person {}", self.actor()),
            PrincipalKind::UserKey(id) | PrincipalKind::ServiceKey(id, _) => format!("key {id}"),
        }
    }

    /// Actor of an event: the user id, or `key:<id>`.
    #[must_use]
    pub fn actor(&self) -> String {
        match (&self.user, self.kind) {
            (Some(user), _) => user.id.0.clone(),
            (None, PrincipalKind::ServiceKey(id, _) | PrincipalKind::UserKey(id)) => format!("key:{id}"),
            (None, PrincipalKind::Person) => "system".to_owned(),
        }
    }
}
