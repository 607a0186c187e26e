//! The closed catalogue of refusals: every way in which a call can be turned down, with what the caller needs
//! to know. Knows no HTTP status (see `http::error`) and never carries a database text, a token or an address.

use entity::{Role, TenantId, WorkspaceId};

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Name as on the wire.
    pub field: &'static str,
    /// What is wrong and what would be right, to be read after the field's name.
    pub message: String,
}

impl FieldError {
    /// A field and what is wrong with it.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// A call turned down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    // ---- the link and the invite
    /// The token is not genuine here.
    InvalidToken,
    /// Past its end of life.
    Expired,
    /// Withdrawn.
    Revoked,
    /// The addressee said no.
    Declined,
    /// Already accepted; `by_you` tells a repeating caller that it was them.
    AlreadyAccepted {
        /// Set when the caller is who accepted.
        by_you: Option<Membership>,
    },
    /// Closed by a newer invite to the same address.
    Superseded,
    /// The credential's address is not the invited one.
    EmailMismatch,
    /// The credential's address is not verified.
    EmailNotVerified,
    /// Who sent it could not send it any more.
    InviterNotAuthorized,
    /// The tenant is full.
    SeatLimitReached {
        /// The limit.
        limit: i64,
    },

    // ---- members and what is managed
    /// Already belongs there.
    AlreadyMember,
    /// Does not belong to the tenant.
    NotTenantMember,
    /// The last owner stays.
    LastOwner,
    /// The configuration files own it.
    ManagedByConfig,
    /// A workspace of that name exists.
    WorkspaceNameExists {
        /// Which.
        existing: WorkspaceId,
    },

    // ---- who calls
    /// No credential, or none that is trusted; says why, never with the credential.
    Unauthenticated(&'static str),
    /// Known, but not allowed; says why.
    Forbidden(&'static str),
    /// The API key lacks a scope.
    InsufficientScope(&'static str),
    /// Several tenants are possible and none was named.
    AmbiguousOrg,
    /// Nothing there for this caller.
    NotFound,
    /// No such tenant for this caller.
    OrgNotFound,

    // ---- what was sent
    /// No `email`.
    MissingEmail,
    /// No `role`, or an empty one.
    MissingRole,
    /// No `user_id`.
    MissingUserId,
    /// Fields that cannot be taken.
    Validation(Vec<FieldError>),
    /// A path id that is no UUID.
    InvalidId,
    /// A body that is no JSON object of the right shape.
    BadRequest(String),
    /// A body of another content type.
    UnsupportedMediaType,
    /// A body beyond the limit.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A request target beyond the limit.
    UriTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Headers beyond the limits.
    HeadersTooLarge {
        /// Fields at most.
        fields: usize,
        /// Bytes at most, all together.
        bytes: usize,
    },
    /// An Idempotency-Key used before with another body.
    IdempotencyKeyReused,
    /// A path that exists, with other methods.
    MethodNotAllowed,
    /// A Host that belongs to nobody.
    UnknownHost,
    /// A body that did not arrive in time.
    RequestTimeout,

    // ---- not now
    /// Too often; says what was limited.
    RateLimited {
        /// Whole seconds to wait.
        retry_after: u64,
        /// What was limited, for people.
        what: &'static str,
    },
    /// Cannot be done now; the outcome of a change may be unknown.
    Unavailable {
        /// Whole seconds to wait.
        retry_after: u64,
        /// What is not there, for people.
        what: &'static str,
    },
    /// A fault of ours; the cause is in the log under the request id.
    Internal,
}

/// What an acceptance gave, repeated to a caller who asks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The workspace, for workspace invites.
    pub workspace_id: Option<WorkspaceId>,
    /// The role of the invite.
    pub role: Role,
}

impl Refusal {
    /// One field that cannot be taken.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Validation(vec![FieldError::new(field, message)])
    }

    /// The stable code of the wire contract.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidToken => "INVALID_TOKEN",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
            Self::Declined => "DECLINED",
            Self::AlreadyAccepted { .. } => "ALREADY_ACCEPTED",
            Self::Superseded => "SUPERSEDED",
            Self::EmailMismatch => "EMAIL_MISMATCH",
            Self::EmailNotVerified => "EMAIL_NOT_VERIFIED",
            Self::InviterNotAuthorized => "INVITER_NOT_AUTHORIZED",
            Self::SeatLimitReached { .. } => "SEAT_LIMIT_REACHED",
            Self::AlreadyMember => "ALREADY_MEMBER",
            Self::NotTenantMember => "NOT_TENANT_MEMBER",
            Self::LastOwner => "LAST_OWNER",
            Self::ManagedByConfig => "MANAGED_BY_CONFIG",
            Self::WorkspaceNameExists { .. } => "WORKSPACE_NAME_EXISTS",
            Self::Unauthenticated(_) => "invalid_token",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::AmbiguousOrg => "AMBIGUOUS_ORG",
            Self::NotFound => "NOT_FOUND",
            Self::OrgNotFound => "ORG_NOT_FOUND",
            Self::MissingEmail => "MISSING_EMAIL",
            Self::MissingRole => "MISSING_ROLE",
            Self::MissingUserId => "MISSING_USER_ID",
            Self::Validation(_) => "VALIDATION_ERROR",
            Self::InvalidId => "INVALID_ID",
            Self::BadRequest(_) => "BAD_REQUEST",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::TooLarge { .. } => "PAYLOAD_TOO_LARGE",
            Self::UriTooLong { .. } => "URI_TOO_LONG",
            Self::HeadersTooLarge { .. } => "HEADERS_TOO_LARGE",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::UnknownHost => "UNKNOWN_HOST",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::RateLimited { .. } => "rate_limit_exceeded",
            Self::Unavailable { .. } => "SERVICE_UNAVAILABLE",
            Self::Internal => "INTERNAL_ERROR",
        }
    }

    /// No more changes of this tenant, or of any, may wait.
    pub const TOO_MUCH_WAITS: Self =
        Self::Unavailable { retry_after: 1, what: "Too much is waiting for this organisation." };
    /// No time to look at what is asked.
    pub const TOO_MUCH_ASKED: Self = Self::Unavailable { retry_after: 1, what: "Too much is asked at once." };

    /// Whether it is for want of room: under a flood there are thousands of them a second, and each must cost little.
    #[must_use]
    pub fn is_for_room(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
            && [Self::TOO_MUCH_WAITS, Self::TOO_MUCH_ASKED].contains(self)
    }

    /// A sentence for people that tells the next step where there is one.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::InvalidToken => "This invitation link is not valid here.".into(),
            Self::Expired => "This invitation has expired. Ask for a new one.".into(),
            Self::Revoked => "This invitation was revoked.".into(),
            Self::Declined => "This invitation was declined.".into(),
            Self::AlreadyAccepted { by_you: Some(_) } => "You have already accepted this invitation.".into(),
            Self::AlreadyAccepted { by_you: None } => "This invitation was already accepted.".into(),
            Self::Superseded => "This invitation was replaced by a newer one to the same address.".into(),
            Self::EmailMismatch => {
                "This invitation is for another e-mail address. Sign in with the invited address.".into()
            }
            Self::EmailNotVerified => {
                "Your e-mail address is not verified. Verify it with your identity provider, then try again."
                    .into()
            }
            Self::InviterNotAuthorized => {
                "Whoever sent this invitation could not send it any more. Ask another admin to re-issue it."
                    .into()
            }
            Self::SeatLimitReached { limit } => format!("All {limit} seats of this organisation are taken."),
            Self::AlreadyMember => "Already a member.".into(),
            Self::NotTenantMember => "Not a member of the organisation. Invite them first.".into(),
            Self::LastOwner => {
                "The last owner can be neither removed nor demoted. Make somebody else owner first.".into()
            }
            Self::ManagedByConfig => "This is managed by the server's configuration files.".into(),
            Self::WorkspaceNameExists { .. } => {
                "A workspace of this name exists. Choose another, or send allow_duplicate_name.".into()
            }
            Self::Unauthenticated(why) => format!("No valid credential: {why}."),
            Self::Forbidden(why) => format!("Not allowed: {why}."),
            Self::InsufficientScope(scope) => format!("This API key lacks the scope {scope}."),
            Self::AmbiguousOrg => "You belong to several organisations. Name one with X-MIOSA-Tenant.".into(),
            Self::NotFound => "Not found.".into(),
            Self::OrgNotFound => "No such organisation.".into(),
            Self::MissingEmail => "email is required.".into(),
            Self::MissingRole => "role is required.".into(),
            Self::MissingUserId => "user_id is required.".into(),
            Self::Validation(fields) => {
                let all: Vec<String> = fields.iter().map(|f| format!("{} {}", f.field, f.message)).collect();
                format!("{}.", all.join("; "))
            }
            Self::InvalidId => "The id in the path is not a UUID.".into(),
            Self::BadRequest(why) => format!("The request cannot be read: {why}."),
            Self::UnsupportedMediaType => "Send the body as application/json.".into(),
            Self::TooLarge { limit } => format!("The body is larger than {limit} bytes."),
            Self::UriTooLong { limit } => format!("The request target is longer than {limit} bytes."),
            Self::HeadersTooLarge { fields, bytes } => {
                format!("The request has more than {fields} headers, or more than {bytes} bytes of them.")
            }
            Self::IdempotencyKeyReused => "This Idempotency-Key was used before, with another body.".into(),
            Self::MethodNotAllowed => "This path does not take that method. See the Allow header.".into(),
            Self::UnknownHost => "No organisation is served on this host.".into(),
            Self::RequestTimeout => "The body did not arrive in time.".into(),
            Self::RateLimited { retry_after, what } => {
                format!("Too many {what}. Try again in {retry_after} s.")
            }
            Self::Unavailable { what, .. } => format!("{what} Try again shortly."),
            Self::Internal => "Something went wrong on our side. The request id finds it in the log.".into(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl std::error::Error for Refusal {}
