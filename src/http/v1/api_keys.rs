//! API keys that callers make for themselves.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use entity::{ApiKeyId, Millis, api_key};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::{self, ErrorBody},
    invite_body::Data,
    member_body::BareAndData,
};
use crate::{
    domain::{Clock, Refusal, clock, clock::rfc3339},
    http::{
        error::ApiError,
        extract::{Body, Caller, id},
        once::{self, Once},
    },
    keys::own::{self, Change, Wanted},
};

/// Body of a create.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateKey {
    /// For telling keys apart.
    #[serde(default)]
    #[schema(required = true, value_type = String)]
    pub name: Option<String>,
    /// Scopes; absent means the caller's own, an empty list all that the caller may.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// End of life, RFC 3339 with a zone.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// Only `user`.
    #[serde(default)]
    pub key_type: Option<String>,
}

/// Body of a scoped create.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateScopedKey {
    /// Name of the key: the person in your own system.
    #[serde(default)]
    pub external_user_id: Option<String>,
    /// Scopes.
    #[serde(default)]
    #[schema(required = true, value_type = Vec<String>)]
    pub scopes: Option<Vec<String>>,
    /// End of life, RFC 3339 with a zone.
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// Body of an edit; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditKey {
    /// For telling keys apart.
    #[serde(default)]
    pub name: Option<String>,
    /// Scopes, replaced as a whole.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// End of life, RFC 3339 with a zone; null means never.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(required = false, value_type = Option<String>)]
    pub expires_at: Option<Option<String>>,
}

/// An API key. Its text is in `key` and `token` where it was just made, never again.
#[derive(Clone, Serialize, ToSchema)]
pub struct KeyBody {
    /// Its id.
    pub id: Uuid,
    /// The tenant it manages.
    pub tenant_id: Option<Uuid>,
    /// For telling keys apart.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// The same.
    pub key_prefix: String,
    /// `user` or `service`.
    pub key_type: &'static str,
    /// Always `api`.
    pub key_purpose: &'static str,
    /// Scopes; empty means all that its person may.
    pub scopes: Vec<String>,
    /// `active`, `expired` or `revoked`.
    pub status: &'static str,
    /// End of life.
    pub expires_at: Option<String>,
    /// Last use, to the minute.
    pub last_used_at: Option<String>,
    /// When made.
    pub created_at: String,
    /// The whole key, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl KeyBody {
    fn of(row: &api_key::Model, plaintext: Option<&SecretString>) -> Self {
        let plaintext = plaintext.map(|text| text.expose_secret().to_owned());
        Self {
            id: row.id.0,
            tenant_id: row.tenant_id.map(|id| id.0),
            name: row.name.clone(),
            prefix: row.prefix.clone(),
            key_prefix: row.prefix.clone(),
            key_type: if row.user_id.is_some() { "user" } else { "service" },
            key_purpose: "api",
            scopes: row.scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            status: match (row.revoked_at, row.expires_at) {
                (Some(_), _) => "revoked",
                (None, Some(end)) if end <= Clock::wall() => "expired",
                _ => "active",
            },
            expires_at: row.expires_at.map(rfc3339),
            last_used_at: row.last_used_at.map(rfc3339),
            created_at: rfc3339(row.inserted_at),
            key: plaintext.clone(),
            token: plaintext,
        }
    }
}

/// Keys.
#[derive(Serialize, ToSchema)]
pub struct KeyList {
    /// In order of making.
    pub data: Vec<KeyBody>,
    /// How many there are.
    pub total: usize,
    /// Always null: everything is in one answer.
    pub next_cursor: Option<String>,
}

/// Make a key that acts as the caller.
///
/// **Permissions**: members of the tenant; a key needs `keys:write` and gives only scopes it holds.
#[utoipa::path(tag = "api-keys", operation_id = "create_api_key", request_body = CreateKey,
    responses(
        (status = 201, description = "The key, with its text", body = BareAndData<KeyBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/api-keys")]
pub async fn create_api_key(
    caller: Caller,
    body: Body<CreateKey>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    if body.0.key_type.as_deref().is_some_and(|kind| kind != "user") {
        return Err(Refusal::Forbidden("only keys of type user are made here").into());
    }
    let wanted = Wanted {
        name: Some(body::name("name", body.0.name)?),
        scopes: scopes(body.0.scopes)?,
        expires_at: Some(end(body.0.expires_at)?),
    };
    minted(caller, wanted, once).await
}

/// Make a key with scopes, named after a person in your own system.
///
/// **Permissions**: as making a key.
#[utoipa::path(tag = "api-keys", operation_id = "create_scoped_api_key", request_body = CreateScopedKey,
    responses(
        (status = 201, description = "The key, with its text", body = BareAndData<KeyBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/api-keys/scoped")]
pub async fn create_scoped_api_key(
    caller: Caller,
    body: Body<CreateScopedKey>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let scopes = scopes(body.0.scopes)?.filter(|scopes| !scopes.is_empty());
    let scopes = scopes.ok_or_else(|| Refusal::field("scopes", "must name at least one"))?;
    let name = body::name("external_user_id", body.0.external_user_id)?;
    let wanted = Wanted { name: Some(name), scopes: Some(scopes), expires_at: Some(end(body.0.expires_at)?) };
    minted(caller, wanted, once).await
}

async fn minted(caller: Caller, wanted: Wanted, once: Once) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_own().await?;
    let minting = own::mint(&state.keys, call, wanted);
    let answer =
        once.answer(minting, |(row, text)| once::created(&BareAndData::from(KeyBody::of(&row, Some(&text)))));
    Ok(answer.await?)
}

/// List the caller's keys; all of the tenant for its owners and admins.
#[utoipa::path(tag = "api-keys", operation_id = "list_api_keys",
    responses(
        (status = 200, description = "Keys", body = KeyList),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/api-keys")]
pub async fn list_api_keys(caller: Caller) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_own().await?;
    let rows = own::list(&state.keys, call).await?;
    let data: Vec<_> = rows.iter().map(|row| KeyBody::of(row, None)).collect();
    Ok(HttpResponse::Ok().json(KeyList { total: data.len(), data, next_cursor: None }))
}

/// Get one key.
#[utoipa::path(tag = "api-keys", operation_id = "get_api_key",
    responses(
        (status = 200, description = "The key", body = BareAndData<KeyBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/api-keys/{key_id}")]
pub async fn get_api_key(caller: Caller, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let key: ApiKeyId = id(&path)?;
    let (state, call) = caller.within_own().await?;
    let row = own::get(&state.keys, call, key).await?;
    Ok(HttpResponse::Ok().json(BareAndData::from(KeyBody::of(&row, None))))
}

/// Change name, scopes or end of a key.
///
/// **Permissions**: its person, tenant owners and admins.
#[utoipa::path(tag = "api-keys", operation_id = "edit_api_key", request_body = EditKey,
    responses(
        (status = 200, description = "The key as it is now", body = BareAndData<KeyBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/api-keys/{key_id}")]
pub async fn edit_api_key(
    caller: Caller,
    path: web::Path<String>,
    body: Body<EditKey>,
) -> Result<HttpResponse, ApiError> {
    let key: ApiKeyId = id(&path)?;
    let wanted = Wanted {
        name: body.0.name.map(|name| body::name("name", Some(name))).transpose()?,
        scopes: scopes(body.0.scopes)?,
        expires_at: body.0.expires_at.map(end).transpose()?,
    };
    let (state, call) = caller.within_own().await?;
    let (row, _) = own::change(&state.keys, call, key, Change::Edit(wanted)).await?;
    Ok(HttpResponse::Ok().json(BareAndData::from(KeyBody::of(&row, None))))
}

/// Give a key a new text; the old one is dead at once.
///
/// **Permissions**: its person; for a service key tenant owners and admins.
#[utoipa::path(tag = "api-keys", operation_id = "rotate_api_key",
    responses(
        (status = 200, description = "The key, with its new text", body = BareAndData<KeyBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/api-keys/{key_id}/rotate")]
pub async fn rotate_api_key(
    caller: Caller,
    path: web::Path<String>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let key: ApiKeyId = id(&path)?;
    let (state, call) = caller.within_own().await?;
    let rotating = own::change(&state.keys, call, key, Change::Rotate);
    let answer =
        once.answer(rotating, |(row, text)| once::ok(&BareAndData::from(KeyBody::of(&row, text.as_ref()))));
    Ok(answer.await?)
}

/// Revoke a key, at once.
///
/// **Permissions**: its person, tenant owners and admins.
#[utoipa::path(tag = "api-keys", operation_id = "delete_api_key",
    responses(
        (status = 204, description = "Revoked"),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/api-keys/{key_id}")]
pub async fn delete_api_key(caller: Caller, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let key: ApiKeyId = id(&path)?;
    let (state, call) = caller.within_own().await?;
    own::change(&state.keys, call, key, Change::Revoke).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What is known of a key's life.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyEvent {
    /// `created`, `last_used`, `revoked` or `expires`.
    pub r#type: &'static str,
    /// When.
    pub at: String,
}

/// The life of a key, in order of time.
#[utoipa::path(tag = "api-keys", operation_id = "list_api_key_events",
    responses(
        (status = 200, description = "What is known of its life", body = Data<Vec<KeyEvent>>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/api-keys/{key_id}/events")]
pub async fn list_api_key_events(caller: Caller, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let key: ApiKeyId = id(&path)?;
    let (state, call) = caller.within_own().await?;
    let row = own::get(&state.keys, call, key).await?;
    let mut life = vec![("created", Some(row.inserted_at)), ("last_used", row.last_used_at)];
    life.extend([("revoked", row.revoked_at), ("expires", row.expires_at)]);
    life.sort_by_key(|(_, at)| *at);
    let events = life.into_iter().filter_map(|(kind, at)| Some(KeyEvent { r#type: kind, at: rfc3339(at?) }));
    Ok(HttpResponse::Ok().json(Data { data: events.collect::<Vec<_>>() }))
}

/// Scopes as stored: words of lower-case letters, hyphens and one colon. Unknown ones are kept and grant nothing.
fn scopes(asked: Option<Vec<String>>) -> Result<Option<Vec<String>>, Refusal> {
    let word = |scope: &String| {
        (1..=64).contains(&scope.len())
            && scope.bytes().all(|b| b.is_ascii_alphanumeric() || b":_.*-".contains(&b))
    };
    match asked {
        Some(scopes) if scopes.len() > 50 || !scopes.iter().all(word) => {
            Err(Refusal::field("scopes", "must be at most 50 words such as invites:write"))
        }
        scopes => Ok(scopes),
    }
}

fn end(text: Option<String>) -> Result<Option<Millis>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let at = clock::parse_rfc3339(&text);
    at.map(Some)
        .ok_or_else(|| Refusal::field("expires_at", "must be RFC 3339 with a zone, as 2026-01-02T03:04:05Z"))
}
