//! Making a key by the operator's hand. A key for an address acts as the person who has it: the longest-standing
//! user with that verified address, or one made here, with an id of the operator's own kind, if nobody with it
//! has been seen. A service key acts as nobody and stands in its tenant by its role.

use std::sync::Arc;

use entity::{AddressState, ApiKeyId, Millis, Role, TenantId, UserId, api_key, user};
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Keys;
use crate::{
    actors::{Command, Decision, Work},
    config::settings,
    domain::{EmailAddress, Refusal},
    identity::{Call, OPERATOR_ISSUER, api_key as text},
    store::{self, Rows, StoreError, events::NewEvent, users::Sighting},
};

/// Whom a key acts for.
#[derive(Clone, Debug)]
pub enum Holder {
    /// The person with this address, in one tenant or everywhere.
    Person(EmailAddress, Option<Arc<settings::Tenant>>),
    /// Nobody: a role in a tenant.
    Service(Role, Arc<settings::Tenant>),
}

impl Holder {
    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Person(_, tenant) => tenant.as_ref().map(|tenant| tenant.id),
            Self::Service(_, tenant) => Some(tenant.id),
        }
    }
}

/// A key asked for.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Whom it acts for.
    pub holder: Holder,
    /// Its name, for telling keys apart.
    pub name: String,
    /// Scopes; none means all that its user may.
    pub scopes: Vec<String>,
    /// End of life.
    pub expires_at: Option<Millis>,
}

/// Makes a key; its text is in the answer and nowhere else.
///
/// # Errors
/// [`Refusal::Validation`] for an end that has passed; [`Refusal::Unavailable`] without the database.
pub async fn create(keys: &Keys, new: NewKey) -> Result<(api_key::Model, SecretString), Refusal> {
    let snapshot = keys.registry.current();
    if new.expires_at.is_some_and(|end| end <= crate::domain::Clock::wall()) {
        return Err(Refusal::field("expires_at", "has passed already"));
    }
    let minted = text::mint(&snapshot.settings.api_keys.prefix)?;
    let command = CreateKey {
        prefix: minted.prefix.clone(),
        hash: minted.hash.0.to_vec(),
        issuers: snapshot.issuers().map(|issuer| (issuer.issuer.clone(), issuer.tenant)).collect(),
        new,
    };
    let row = match command.new.holder.tenant() {
        Some(tenant) => keys.lanes.run(tenant, command).await?,
        None => personal(keys, command).await?,
    };
    Ok((row, minted.plaintext))
}

/// A personal key belongs to no tenant: there is no lane to wait in and no tenant to tell.
async fn personal(keys: &Keys, command: CreateKey) -> Result<api_key::Model, StoreError> {
    let store = keys.store.clone();
    let making = async move {
        let tx = store.system_write().await?;
        let made = async {
            let now = tx.now().await?;
            let (row, user) = command.insert(tx.conn(), now).await?;
            let taken = store::users::upsert(tx.conn(), user.into_iter().collect(), now).await?;
            if taken.is_empty() { Ok(row) } else { Err(StoreError::Unique("users.id".to_owned())) }
        }
        .await;
        tx.end(made).await
    };
    on_runtime(keys, making).await
}

/// Runs a write on the store's runtime, where its connections live.
pub(super) async fn on_runtime<T: Send + 'static>(
    keys: &Keys,
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let done = keys.store.runtime().spawn(work).await;
    done.unwrap_or_else(|_| Err(StoreError::unavailable("the write was torn down")))
}

struct CreateKey {
    new: NewKey,
    prefix: String,
    hash: Vec<u8>,
    /// trusted issuers, each with the tenant it is confined to
    issuers: Vec<(String, Option<TenantId>)>,
}

impl Command for CreateKey {
    type Output = api_key::Model;

    /// The operator's; no answer is kept.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<api_key::Model> {
        let now = work.now().await?;
        let (row, user) = self.insert(work.conn(), now).await?;
        if let Some(user) = user {
            work.person(user);
        }
        work.event(NewEvent {
            kind: "api_key.created",
            invite_id: None,
            workspace_id: None,
            actor: "operator".to_owned(),
            data: Some(
                json!({ "key": row.id, "prefix": row.prefix, "user_id": row.user_id, "role": row.role }),
            ),
        });
        Ok(row)
    }
}

impl CreateKey {
    /// Writes the row; the user comes back if they have yet to be written.
    async fn insert(
        &self,
        conn: &impl Rows,
        now: Millis,
    ) -> Result<(api_key::Model, Option<Sighting>), StoreError> {
        let mut row = api_key::Model {
            id: ApiKeyId::new(),
            tenant_id: self.new.holder.tenant(),
            confined_to: None,
            user_id: None,
            role: None,
            issuer: None,
            email: None,
            email_norm: None,
            email_state: AddressState::Absent,
            name: self.new.name.clone(),
            prefix: self.prefix.clone(),
            hash: self.hash.clone(),
            scopes: self.new.scopes.join(" "),
            expires_at: self.new.expires_at,
            last_used_at: None,
            revoked_at: None,
            created_by: None,
            inserted_at: now,
        };
        let mut unwritten = None;
        match &self.new.holder {
            Holder::Service(role, _) => row.role = Some(*role),
            Holder::Person(email, _) => {
                row.email = Some(email.as_str().to_owned());
                row.email_norm = Some(email.norm().to_owned());
                row.email_state = AddressState::Verified;
                let user = match self.known(conn, email).await? {
                    Some(user) => {
                        row.confined_to = self.confined_to(&user);
                        user.id
                    }
                    None => {
                        let user = asserted(email);
                        let id = user.id.clone();
                        unwritten = Some(user);
                        id
                    }
                };
                row.user_id = Some(user);
            }
        }
        store::api_keys::insert(conn, row.clone()).await?;
        Ok((row, unwritten))
    }

    /// The longest-standing user with this verified address: a member of the tenant before anybody else. Users
    /// whom another tenant's issuer vouches for are passed by: their addresses are that tenant's word only.
    async fn known(&self, conn: &impl Rows, email: &EmailAddress) -> Result<Option<user::Model>, StoreError> {
        let tenant = self.new.holder.tenant();
        if let Some(tenant) = tenant {
            for member in store::members::with_email(conn, tenant, email.norm()).await? {
                let user = store::users::find(conn, &member.user_id).await?;
                if let Some(user) =
                    user.filter(|user| self.confined_to(user).is_none_or(|only| only == tenant))
                {
                    return Ok(Some(user));
                }
            }
        }
        let users = store::users::with_email(conn, email.norm()).await?;
        Ok(users.into_iter().find(|user| match self.issuers.iter().find(|(name, _)| *name == user.issuer) {
            Some((_, confined)) => confined.is_none() || *confined == tenant,
            None => user.issuer == OPERATOR_ISSUER,
        }))
    }

    /// Where the person's issuer confines them. One that is no longer configured vouches for nothing beyond the
    /// tenant that the key is made for.
    fn confined_to(&self, user: &user::Model) -> Option<TenantId> {
        match self.issuers.iter().find(|(name, _)| *name == user.issuer) {
            Some((_, confined)) => *confined,
            None if user.issuer == OPERATOR_ISSUER => None,
            None => self.new.holder.tenant(),
        }
    }
}

/// The user that an asserted address makes: the same at every assertion, told by nothing of the address.
fn asserted(email: &EmailAddress) -> Sighting {
    let hash = Sha256::digest(email.norm().as_bytes());
    let subject: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Sighting {
        id: UserId(format!("operator:{subject}")),
        issuer: OPERATOR_ISSUER.to_owned(),
        subject,
        email: Some(email.clone()),
        name: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asserted_address_makes_one_user_however_it_is_written_and_does_not_show() {
        let one = asserted(&EmailAddress::parse("Alice@Example.com").unwrap());
        let two = asserted(&EmailAddress::parse("alice@example.COM").unwrap());
        assert_eq!((&one.id, &one.subject), (&two.id, &two.subject));
        assert!(!one.id.0.contains("alice") && one.id.0.starts_with("operator:"), "{}", one.id);
    }
}
