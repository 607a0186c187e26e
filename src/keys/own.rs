//! Keys that people make for themselves. A key acts as its maker and carries the maker's address and what was
//! known of it; it never holds more than the credential that made it.

use std::sync::Arc;

use entity::{ApiKeyId, Millis, Role, api_key};
use secrecy::SecretString;
use serde_json::json;

use super::Keys;
use crate::{
    actors::{Command, Decision, Planned, Stop, Work},
    domain::{Clock, Refusal},
    identity::{Call, OPERATOR_ISSUER, Principal, api_key as text},
    store::{self, api_keys::Edit, events::NewEvent},
};

/// What a key is made or changed to.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its name.
    pub name: Option<String>,
    /// Scopes; absent means the maker's own.
    pub scopes: Option<Vec<String>>,
    /// End of life; an inner `None` means never.
    pub expires_at: Option<Option<Millis>>,
}

/// Makes a key for the caller in the tenant; its text is in the answer and nowhere else.
///
/// # Errors
/// 404 for strangers, 403 for credentials without a person and for scopes that the caller does not hold.
pub fn mint(
    keys: &Keys,
    call: Call,
    wanted: Wanted,
) -> Planned<'_, impl Command<Output = (api_key::Model, SecretString)>> {
    keys.lanes.plan(async move {
        call.principal.require_scope("keys:write")?;
        let scopes = granted_scopes(&call.principal, wanted.scopes.as_deref())?;
        let expires_at = wanted.expires_at.flatten();
        require_future(expires_at)?;
        let person = call.principal.person()?.clone();
        let minted = text::mint(&keys.registry.current().settings.api_keys.prefix)?;
        let row = api_key::Model {
            id: ApiKeyId::new(),
            tenant_id: Some(call.tenant.id),
            confined_to: call.principal.confined_to,
            user_id: Some(person.id),
            role: None,
            // whom the operator vouches for has no issuer that could be withdrawn
            issuer: Some(person.issuer).filter(|issuer| issuer != OPERATOR_ISSUER),
            email: person.email.as_ref().map(|email| email.as_str().to_owned()),
            email_norm: person.email.as_ref().map(|email| email.norm().to_owned()),
            email_state: person.email_state,
            name: wanted.name.unwrap_or_default(),
            prefix: minted.prefix.clone(),
            hash: minted.hash.0.to_vec(),
            scopes,
            expires_at,
            last_used_at: None,
            revoked_at: None,
            created_by: call.user_id().cloned(),
            inserted_at: Clock::wall(),
        };
        Ok((call.tenant.id, MintKey { call, row, plaintext: minted.plaintext }))
    })
}

struct MintKey {
    call: Call,
    row: api_key::Model,
    plaintext: SecretString,
}

impl Command for MintKey {
    type Output = (api_key::Model, SecretString);

    fn told_to(&self) -> Option<&Call> {
        Some(&self.call)
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Self::Output> {
        let standing = self.call.standing(work.conn(), None).await?;
        if standing.tenant.is_none() {
            return Err(Refusal::NotFound.into());
        }
        store::api_keys::insert(work.conn(), self.row.clone()).await?;
        // its holder is looked up by this row at every use
        work.person(self.call.principal.person()?.sighting(self.call.principal.kind, false));
        told(work, &self.call, "api_key.created", &self.row);
        Ok((self.row.clone(), self.plaintext.clone()))
    }
}

/// Keys of the tenant that the caller may see: their own, all of them for owners and admins.
///
/// # Errors
/// 404 for strangers.
pub async fn list(keys: &Keys, call: Call) -> Result<Vec<api_key::Model>, Refusal> {
    call.principal.require_scope("keys:read")?;
    keys.store
        .read(async move |db| {
            let standing = call.standing(&db, None).await?;
            if let Err(refusal) = call.require_member(standing) {
                return Ok(Err(refusal));
            }
            let all = standing.tenant >= Some(Role::Admin);
            let rows = store::api_keys::of_tenant(&db, call.tenant.id).await?;
            let own = |row: &api_key::Model| row.user_id.is_some() && row.user_id.as_ref() == call.user_id();
            Ok(Ok(rows.into_iter().filter(|row| all || own(row)).collect()))
        })
        .await?
}

/// One key that the caller may see.
///
/// # Errors
/// 404 for strangers, foreign ids and other people's keys.
pub async fn get(keys: &Keys, call: Call, id: ApiKeyId) -> Result<api_key::Model, Refusal> {
    call.principal.require_scope("keys:read")?;
    keys.store
        .read(async move |db| {
            let standing = call.standing(&db, None).await?;
            let row = store::api_keys::find(&db, id).await?;
            let own = |row: &api_key::Model| row.user_id.is_some() && row.user_id.as_ref() == call.user_id();
            let seen = |row: &api_key::Model| {
                row.tenant_id == Some(call.tenant.id)
                    && standing.tenant.is_some_and(|role| role >= Role::Admin || own(row))
            };
            Ok(row.filter(seen).ok_or(Refusal::NotFound))
        })
        .await?
}

/// What is done to a key.
#[derive(Clone, Debug)]
pub enum Change {
    /// New name, scopes or end.
    Edit(Wanted),
    /// A new text; the old one is dead at commit.
    Rotate,
    /// The end.
    Revoke,
}

/// Changes a key; rotating answers its new text.
///
/// # Errors
/// 404 as [`get`]; 403 for scopes that the caller does not hold, and for rotating a broader key.
pub fn change(
    keys: &Keys,
    call: Call,
    id: ApiKeyId,
    change: Change,
) -> Planned<'_, impl Command<Output = (api_key::Model, Option<SecretString>)>> {
    keys.lanes.plan(async move {
        call.principal.require_scope("keys:write")?;
        let fresh = match change {
            Change::Rotate => Some(text::mint(&keys.registry.current().settings.api_keys.prefix)?),
            Change::Edit(_) | Change::Revoke => None,
        };
        let forget = keys.forget_verdicts.clone();
        Ok((call.tenant.id, ChangeKey { call, id, change, fresh, forget }))
    })
}

struct ChangeKey {
    call: Call,
    id: ApiKeyId,
    change: Change,
    fresh: Option<text::MintedKey>,
    forget: Arc<dyn Fn() + Send + Sync>,
}

impl Command for ChangeKey {
    type Output = (api_key::Model, Option<SecretString>);

    fn told_to(&self) -> Option<&Call> {
        Some(&self.call)
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Self::Output> {
        let conn = work.conn();
        let mut row = self.reachable(work).await?;
        let kind = match (&self.change, &self.fresh) {
            (Change::Edit(wanted), _) => {
                self.edited(&mut row, wanted)?;
                let to =
                    Edit { name: row.name.clone(), scopes: row.scopes.clone(), expires_at: row.expires_at };
                store::api_keys::edit(conn, self.id, to).await?;
                "api_key.edited"
            }
            (Change::Rotate, Some(fresh)) => {
                require_within(&self.call.principal, &row.scopes)?;
                store::api_keys::rotate(conn, self.id, &fresh.hash.0, &fresh.prefix).await?;
                row.prefix.clone_from(&fresh.prefix);
                "api_key.rotated"
            }
            (Change::Rotate, None) => return Err(Refusal::Internal.into()),
            (Change::Revoke, _) => {
                let now = work.now().await?;
                store::api_keys::revoke(conn, self.id, now).await?;
                row.revoked_at = Some(now);
                "api_key.revoked"
            }
        };
        told(work, &self.call, kind, &row);
        let forget = self.forget.clone();
        work.after_commit(move || forget());
        Ok((row, self.fresh.as_ref().map(|fresh| fresh.plaintext.clone())))
    }
}

impl ChangeKey {
    /// The live key, if the caller may change it: their own, or any of the tenant for owners and admins; a
    /// service key's role bounds who may rotate it.
    async fn reachable(&self, work: &Work<'_>) -> Result<api_key::Model, Stop> {
        let standing = self.call.standing(work.conn(), None).await?;
        let row = store::api_keys::find(work.conn(), self.id).await?;
        let row = row.filter(|row| row.tenant_id == Some(work.tenant()) && row.revoked_at.is_none());
        let (Some(row), Some(rank)) = (row, standing.tenant) else { return Err(Refusal::NotFound.into()) };
        let own = row.user_id.is_some() && row.user_id.as_ref() == self.call.user_id();
        if !own && rank < Role::Admin {
            return Err(Refusal::NotFound.into());
        }
        // whoever rotates a key holds it afterwards, and whoever holds it gains what an edit adds: neither may make
        // anybody somebody else, or more
        let gains = match &self.change {
            Change::Rotate => true,
            Change::Edit(wanted) => wanted.scopes.is_some() || wanted.expires_at.is_some(),
            Change::Revoke => false,
        };
        if gains && !own && (row.role.is_none() || row.role > Some(rank)) {
            return Err(Refusal::Forbidden("only its own person may do that with the key").into());
        }
        Ok(row)
    }

    fn edited(&self, row: &mut api_key::Model, wanted: &Wanted) -> Result<(), Refusal> {
        if let Some(name) = &wanted.name {
            row.name.clone_from(name);
        }
        if wanted.scopes.is_some() {
            row.scopes = granted_scopes(&self.call.principal, wanted.scopes.as_deref())?;
        }
        if let Some(end) = wanted.expires_at {
            require_future(end)?;
            row.expires_at = end;
        }
        Ok(())
    }
}

/// The scopes to be stored: what was asked for if the maker holds all of it; the maker's own if nothing was.
fn granted_scopes(maker: &Principal, asked: Option<&[String]>) -> Result<String, Refusal> {
    let Some(held) = &maker.scopes else { return Ok(asked.unwrap_or_default().join(" ")) };
    let Some(asked) = asked else { return Ok(held.join(" ")) };
    let asked = asked.join(" ");
    require_within(maker, &asked)?;
    Ok(asked)
}

/// Refuses scopes beyond the caller's own; none means all, which a scoped key does not hold.
fn require_within(caller: &Principal, scopes: &str) -> Result<(), Refusal> {
    if caller.scopes.is_none() {
        return Ok(());
    }
    if scopes.is_empty() || !scopes.split(' ').all(|scope| caller.holds(scope)) {
        return Err(Refusal::Forbidden("a key gives only scopes that it holds"));
    }
    Ok(())
}

fn require_future(end: Option<Millis>) -> Result<(), Refusal> {
    if end.is_some_and(|end| end <= Clock::wall()) {
        return Err(Refusal::field("expires_at", "has passed already"));
    }
    Ok(())
}

fn told(work: &mut Work<'_>, call: &Call, kind: &'static str, row: &api_key::Model) {
    work.event(NewEvent {
        kind,
        invite_id: None,
        workspace_id: None,
        actor: call.principal.actor(),
        data: Some(json!({ "key": row.id, "prefix": row.prefix, "user_id": row.user_id })),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::PrincipalKind;

    fn holding(scopes: Option<&[&str]>) -> Principal {
        Principal {
            kind: PrincipalKind::Person,
            user: None,
            confined_to: None,
            pinned_to: None,
            scopes: scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect()),
            system_admin: false,
        }
    }

    fn asked(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scoped_key_gives_only_what_it_holds_and_never_everything() {
        let scoped = holding(Some(&["invites:write", "keys:write"]));
        assert_eq!(granted_scopes(&scoped, None).as_deref(), Ok("invites:write keys:write"));
        assert_eq!(granted_scopes(&scoped, Some(&asked(&["invites:read"]))).as_deref(), Ok("invites:read"));
        for beyond in [&[][..], &["members:read"], &["invites:write", "made:up"]] {
            assert!(granted_scopes(&scoped, Some(&asked(beyond))).is_err(), "{beyond:?}");
        }
        let whole = holding(None);
        assert_eq!(granted_scopes(&whole, Some(&asked(&["made:up"]))).as_deref(), Ok("made:up"));
        assert_eq!(granted_scopes(&whole, None).as_deref(), Ok(""));
    }
}
