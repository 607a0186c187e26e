//! Every refusal becomes an answer here and nowhere else: one status per refusal and family of routes, and a
//! body that carries both shapes that clients read.

use std::{cell::Cell, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{Method, StatusCode, header},
};
use serde_json::{Map, Value, json};

use crate::domain::Refusal;

thread_local! {
    /// The request that this worker's current task answers; set by the edge around every poll.
    static ASKED: Cell<Option<Asked>> = const { Cell::new(None) };
}

/// What every error of a request says of it, wherever it is made.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its id.
    pub id: uuid::Uuid,
    /// Whether its family tells errors by `success: false`.
    pub enveloped: bool,
}

/// Which contract a route follows where contracts differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Everything but the following.
    #[default]
    Standard,
    /// Accept and decline of `/invites/{token}`: 400 where others say 404, 410 and 409.
    OrgLink,
    /// The preview of `/invites/{token}`: its own spelling of the code.
    OrgPreview,
    /// Editing: what has expired is in the way, not gone.
    Editing,
    /// Accept and decline of `/workspace-invites/{token}` where `compat.errors = "docs"`.
    DocsLink,
    /// Workspace Sharing, which knows 400, 403 and 404 where others tell more apart.
    Sharing,
    /// Those of its routes that know no 400 either: reading and removing.
    SharingPlain,
}

impl Family {
    /// The contract that every refusal of a route follows, whoever turns the call down.
    #[must_use]
    pub fn of_route(method: &Method, path: &str) -> Self {
        if !path.starts_with("/api/v2/") {
            return Self::Standard;
        }
        let removes = *method == Method::DELETE || (*method == Method::POST && path.ends_with("/remove"));
        if removes || *method == Method::GET { Self::SharingPlain } else { Self::Sharing }
    }

    /// The status of a refusal, where others answer `status`.
    fn fold(self, refusal: &Refusal, status: StatusCode) -> StatusCode {
        let bad = match self {
            Self::Sharing => StatusCode::BAD_REQUEST,
            Self::SharingPlain => StatusCode::FORBIDDEN,
            Self::Standard | Self::OrgLink | Self::OrgPreview | Self::Editing | Self::DocsLink => {
                return status;
            }
        };
        match (refusal, status.as_u16()) {
            (Refusal::EmailMismatch | Refusal::LastOwner, _) => StatusCode::FORBIDDEN,
            (Refusal::InvalidId, _) => StatusCode::NOT_FOUND,
            (_, 400 | 408 | 409 | 410 | 415 | 422) => bad,
            _ => status,
        }
    }
}

/// A refusal on its way out.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// What was refused.
    pub refusal: Refusal,
    /// By which contract.
    pub family: Family,
}

impl ApiError {
    /// The refusal as this family of routes answers it.
    pub fn of(family: Family) -> impl Fn(Refusal) -> Self {
        move |refusal| Self { refusal, family }
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match (&self.refusal, self.family) {
            (Refusal::InvalidToken | Refusal::Expired, Family::OrgLink) => "invalid_token",
            (Refusal::InvalidToken, Family::OrgPreview) => "invalid_token",
            (Refusal::Expired, Family::DocsLink) => "INVALID_TOKEN",
            (refusal, _) => refusal.code(),
        }
    }

    fn details(&self) -> Option<Value> {
        match &self.refusal {
            Refusal::AlreadyAccepted { by_you: Some(given) } => Some(json!({
                "accepted_by_you": true,
                "tenant_id": given.tenant_id,
                "workspace_id": given.workspace_id,
                "role": given.role,
            })),
            Refusal::InvalidToken if self.family == Family::OrgLink => Some(json!({ "reason": "not_found" })),
            Refusal::Expired if self.family == Family::OrgLink => Some(json!({ "reason": "expired" })),
            Refusal::SeatLimitReached { limit } => Some(json!({ "limit": limit })),
            Refusal::WorkspaceNameExists { existing } => Some(json!({ "existing": { "id": existing } })),
            Refusal::InsufficientScope(scope) => Some(json!({ "required_scope": scope })),
            Refusal::TooLarge { limit } | Refusal::UriTooLong { limit } => Some(json!({ "limit": limit })),
            Refusal::Validation(fields) => {
                let mut errors: Map<String, Value> = Map::new();
                for field in fields {
                    let of_field = errors.entry(field.field).or_insert_with(|| json!([]));
                    if let Value::Array(messages) = of_field {
                        messages.push(json!(field.message));
                    }
                }
                Some(json!({ "errors": errors }))
            }
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self.refusal {
            Refusal::RateLimited { retry_after, .. } | Refusal::Unavailable { retry_after, .. } => {
                Some(retry_after)
            }
            _ => None,
        }
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> Value {
        let (code, message, id) = (self.code(), self.refusal.message(), request_id());
        let mut inner = Map::new();
        let mut outer = Map::new();
        for map in [&mut inner, &mut outer] {
            map.insert("code".into(), json!(code));
            map.insert("message".into(), json!(message));
            map.insert("request_id".into(), json!(id));
            if let Some(seconds) = self.retry_after() {
                map.insert("retry_after".into(), json!(seconds));
                map.insert("retry_after_ms".into(), json!(seconds * 1000));
                map.insert("retryable".into(), json!(true));
            }
        }
        if let Refusal::WorkspaceNameExists { existing } = &self.refusal {
            inner.insert("existing".into(), json!({ "id": existing }));
        }
        if let Some(details) = self.details() {
            if let Some(errors) = details.get("errors") {
                outer.insert("errors".into(), errors.clone());
            }
            inner.insert("details".into(), details);
        } else {
            inner.insert("details".into(), json!({}));
        }
        outer.insert("error".into(), Value::Object(inner));
        if ASKED.get().is_some_and(|asked| asked.enveloped) {
            outer.insert("success".into(), json!(false));
        }
        Value::Object(outer)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, family: Family::Standard }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl ResponseError for ApiError {
    /// The one table of statuses.
    fn status_code(&self) -> StatusCode {
        let status = match (&self.refusal, self.family) {
            (
                Refusal::InvalidToken | Refusal::Expired | Refusal::Revoked,
                Family::OrgLink | Family::DocsLink,
            ) => StatusCode::BAD_REQUEST,
            (Refusal::Expired, Family::Editing) => StatusCode::CONFLICT,
            (Refusal::Expired, _) => StatusCode::GONE,
            (
                Refusal::Revoked
                | Refusal::Declined
                | Refusal::AlreadyAccepted { .. }
                | Refusal::Superseded
                | Refusal::InviterNotAuthorized
                | Refusal::SeatLimitReached { .. }
                | Refusal::AlreadyMember
                | Refusal::LastOwner
                | Refusal::ManagedByConfig
                | Refusal::WorkspaceNameExists { .. }
                | Refusal::AmbiguousOrg,
                _,
            ) => StatusCode::CONFLICT,
            (
                Refusal::EmailMismatch
                | Refusal::NotTenantMember
                | Refusal::MissingEmail
                | Refusal::MissingRole
                | Refusal::MissingUserId
                | Refusal::Validation(_)
                | Refusal::IdempotencyKeyReused,
                _,
            ) => StatusCode::UNPROCESSABLE_ENTITY,
            (Refusal::InvalidToken | Refusal::NotFound | Refusal::OrgNotFound, _) => StatusCode::NOT_FOUND,
            (Refusal::EmailNotVerified | Refusal::Forbidden(_) | Refusal::InsufficientScope(_), _) => {
                StatusCode::FORBIDDEN
            }
            (Refusal::Unauthenticated(_), _) => StatusCode::UNAUTHORIZED,
            (Refusal::InvalidId | Refusal::BadRequest(_), _) => StatusCode::BAD_REQUEST,
            (Refusal::MethodNotAllowed, _) => StatusCode::METHOD_NOT_ALLOWED,
            (Refusal::RequestTimeout, _) => StatusCode::REQUEST_TIMEOUT,
            (Refusal::TooLarge { .. }, _) => StatusCode::PAYLOAD_TOO_LARGE,
            (Refusal::UriTooLong { .. }, _) => StatusCode::URI_TOO_LONG,
            (Refusal::HeadersTooLarge { .. }, _) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            (Refusal::UnsupportedMediaType, _) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            (Refusal::UnknownHost, _) => StatusCode::MISDIRECTED_REQUEST,
            (Refusal::RateLimited { .. }, _) => StatusCode::TOO_MANY_REQUESTS,
            (Refusal::Unavailable { .. }, _) => StatusCode::SERVICE_UNAVAILABLE,
            (Refusal::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        self.family.fold(&self.refusal, status)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after() {
            answer.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if matches!(self.refusal, Refusal::Unauthenticated(_)) {
            answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        answer.json(self.body())
    }
}

/// Whether an answer of this status is the same for what belongs to others as for what never was, so that
/// nothing about it may depend on whose it is.
pub(super) fn hides_whose(status: StatusCode) -> bool {
    status == StatusCode::NOT_FOUND
}

/// The id of the request being answered on this worker.
#[must_use]
pub fn request_id() -> String {
    ASKED.get().map(|asked| asked.id.to_string()).unwrap_or_default()
}

/// Runs one poll with what is asked in place.
pub(super) fn with_asked<T>(asked: Asked, poll: impl FnOnce() -> T) -> T {
    let before = ASKED.replace(Some(asked));
    let result = poll();
    ASKED.set(before);
    result
}
