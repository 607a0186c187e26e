//! How calls are refused, in the document: what each route can answer is told as refusals, and status, code,
//! message and body of each come from the one table of the server itself.

use std::collections::BTreeMap;

use actix_web::ResponseError;
use entity::WorkspaceId;
use serde_json::Value;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
    example::ExampleBuilder, schema::Type,
};

use crate::{
    domain::{FieldError, Refusal},
    http::error::{ApiError, Family},
};

/// Id shown in examples.
const ID: &str = "01900000-0000-7000-8000-000000000001";

/// What the answers of an operation depend on.
pub(super) struct Shape<'a> {
    pub family: Family,
    pub path: &'a str,
    pub id: &'a str,
    pub tag: &'a str,
    /// Needs no credential.
    pub open: bool,
    /// Is a POST, and so takes an `Idempotency-Key`.
    pub post: bool,
    pub takes_body: bool,
    pub takes_query: bool,
}

impl Shape<'_> {
    /// Whether it takes the token of a link.
    fn by_token(&self) -> bool {
        self.path.contains("{token}")
            || matches!(self.id, "get_invitation" | "accept_invitation" | "decline_invitation")
    }
}

/// A response that several operations share.
pub(super) struct Shared {
    pub status: String,
    /// Name among the components: its codes.
    pub name: String,
    pub response: Response,
}

/// The refusals of an operation, one response per status.
pub(super) fn of(shape: &Shape<'_>) -> Vec<Shared> {
    let mut by_status: BTreeMap<u16, Vec<ApiError>> = BTreeMap::new();
    for error in general(shape).into_iter().map(ApiError::of(shape.family)).chain(particular(shape)) {
        let errors = by_status.entry(error.status_code().as_u16()).or_default();
        if !errors.iter().any(|known| known.code() == error.code()) {
            errors.push(error);
        }
    }
    by_status.into_iter().map(|(status, errors)| shared(status, &errors)).collect()
}

/// A reference to a shared response.
pub(super) fn reference(shared: &Shared) -> RefOr<Response> {
    RefOr::Ref(Ref::from_response_name(&shared.name))
}

fn shared(status: u16, errors: &[ApiError]) -> Shared {
    let codes: Vec<&str> = errors.iter().map(ApiError::code).collect();
    let lines: Vec<String> =
        errors.iter().map(|error| format!("`{}`: {}", error.code(), error.refusal.message())).collect();
    let examples = errors.iter().map(|error| {
        let mut body = error.body();
        for pointer in ["/request_id", "/error/request_id"] {
            if let Some(id) = body.pointer_mut(pointer) {
                *id = Value::from(ID);
            }
        }
        (error.code(), ExampleBuilder::new().value(Some(body)).build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ErrorBody")))
        .examples_from_iter(examples)
        .build();
    let mut response =
        ResponseBuilder::new().description(lines.join("\n\n")).content("application/json", content);
    if matches!(status, 429 | 503) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
        let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Whole seconds to wait."));
        response = response.header("Retry-After", header.build());
    }
    Shared { status: status.to_string(), name: codes.join("."), response: response.build() }
}

/// What any such route can answer.
fn general(shape: &Shape<'_>) -> Vec<Refusal> {
    let mut all = vec![
        Refusal::BadRequest("X-MIOSA-Tenant is given twice".into()),
        Refusal::UriTooLong { limit: 8192 },
        Refusal::UnknownHost,
        Refusal::HeadersTooLarge { fields: 64, bytes: 16_384 },
        Refusal::RateLimited { retry_after: 60, what: "unknown links or credentials from your address" },
        Refusal::Internal,
        Refusal::Unavailable { retry_after: 1, what: "The server is busy." },
    ];
    if !shape.by_token() {
        all.push(Refusal::NotFound);
    }
    let of_invitation = shape.path.contains("{invitation}") && !shape.by_token();
    if of_invitation || ["{workspace_id}", "{invite_id}", "{key_id}"].iter().any(|id| shape.path.contains(id))
    {
        all.push(Refusal::InvalidId);
    }
    if !shape.open {
        all.push(Refusal::Unauthenticated("the token has expired"));
        all.push(Refusal::Forbidden("this needs an admin"));
        all.push(Refusal::InsufficientScope("invites:write"));
    }
    if shape.post {
        all.push(Refusal::IdempotencyKeyReused);
    }
    if shape.takes_body {
        all.push(Refusal::RequestTimeout);
        all.push(Refusal::TooLarge { limit: 65_536 });
        all.push(Refusal::UnsupportedMediaType);
    }
    if shape.takes_body || shape.takes_query {
        all.push(Refusal::Validation(vec![FieldError::new("expires_in", "must be an integer")]));
    }
    let names_tenant = ["{tenant_id}", "{workspace_id}", "{token}", "{workspaceId}", "{invitationId}"]
        .iter()
        .any(|id| shape.path.contains(id));
    if !names_tenant && !matches!(shape.tag, "inbox" | "invitations") {
        all.push(Refusal::AmbiguousOrg);
        all.push(Refusal::OrgNotFound);
    }
    all
}

/// What this one can answer beyond that.
fn particular(shape: &Shape<'_>) -> Vec<ApiError> {
    let org_link = shape.path.starts_with("/api/v1/invites/");
    let family = match shape.id {
        "preview_org_invite" => Family::OrgPreview,
        "accept_org_invite" | "decline_org_invite" => Family::OrgLink,
        "edit_org_invite" | "edit_workspace_invite" | "edit_invitation" => Family::Editing,
        _ => shape.family,
    };
    let said = match shape.id.split_once('_').map_or(shape.id, |(verb, _)| verb) {
        "preview" => vec![Refusal::InvalidToken],
        "accept" => {
            [answering(), vec![Refusal::InviterNotAuthorized, Refusal::SeatLimitReached { limit: 50 }]]
                .concat()
        }
        "decline" => answering(),
        "get" if shape.tag == "invitations" => {
            vec![
                Refusal::InvalidToken,
                Refusal::NotFound,
                Refusal::Expired,
                Refusal::AlreadyAccepted { by_you: None },
            ]
        }
        "invite" => changing_invites("create", "org-invites"),
        verb if shape.tag == "sharing" => sharing(verb),
        verb if matches!(shape.tag, "org-invites" | "workspace-invites" | "invitations") => {
            changing_invites(verb, shape.tag)
        }
        verb if matches!(shape.tag, "tenant-members" | "workspace-members") => changing_members(verb),
        "create" | "edit" if shape.tag == "workspaces" => {
            let existing = uuid::Uuid::parse_str(ID).unwrap_or_default();
            vec![Refusal::WorkspaceNameExists { existing: WorkspaceId(existing) }]
        }
        "delete" if shape.tag == "workspaces" => vec![Refusal::ManagedByConfig],
        "put" | "delete" if shape.tag == "white-label" => vec![Refusal::ManagedByConfig],
        "update" if shape.tag == "tenants" => vec![Refusal::ManagedByConfig],
        _ => Vec::new(),
    };
    let mut all: Vec<ApiError> = said
        .into_iter()
        // without a token there is no link to be unknown and nobody else's invite to be had
        .filter(|refusal| {
            shape.by_token()
                || shape.tag == "sharing"
                || !matches!(refusal, Refusal::InvalidToken | Refusal::EmailMismatch)
        })
        .map(ApiError::of(family))
        .collect();
    if shape.path.contains("{token}") && !shape.open && !org_link {
        let docs = [Refusal::InvalidToken, Refusal::Revoked].into_iter().map(ApiError::of(Family::DocsLink));
        all.extend(docs);
    }
    all
}

fn answering() -> Vec<Refusal> {
    vec![
        Refusal::InvalidToken,
        Refusal::Expired,
        Refusal::AlreadyAccepted { by_you: None },
        Refusal::Revoked,
        Refusal::Declined,
        Refusal::EmailMismatch,
        Refusal::EmailNotVerified,
    ]
}

fn changing_invites(verb: &str, tag: &str) -> Vec<Refusal> {
    let finished = || vec![Refusal::AlreadyAccepted { by_you: None }, Refusal::Declined];
    match verb {
        "create" if tag == "org-invites" => {
            vec![Refusal::MissingEmail, Refusal::MissingRole, Refusal::AlreadyMember]
        }
        "create" => vec![Refusal::MissingEmail, Refusal::MissingRole],
        "revoke" => finished(),
        "resend" => [finished(), vec![Refusal::Revoked, Refusal::Superseded]].concat(),
        "edit" => {
            [finished(), vec![Refusal::Revoked, Refusal::Superseded, Refusal::Expired, Refusal::MissingRole]]
                .concat()
        }
        _ => Vec::new(),
    }
}

fn sharing(verb: &str) -> Vec<Refusal> {
    let finished = vec![
        Refusal::AlreadyAccepted { by_you: None },
        Refusal::Revoked,
        Refusal::Declined,
        Refusal::Superseded,
    ];
    match verb {
        "share" => vec![Refusal::AlreadyMember],
        "respond" => {
            let mut all = answering();
            all.retain(|refusal| *refusal != Refusal::InvalidToken);
            all.extend([Refusal::InviterNotAuthorized, Refusal::SeatLimitReached { limit: 50 }]);
            all
        }
        "edit" | "resend" => finished,
        "set" | "remove" => vec![Refusal::LastOwner],
        _ => Vec::new(),
    }
}

fn changing_members(verb: &str) -> Vec<Refusal> {
    match verb {
        "add" => vec![
            Refusal::MissingUserId,
            Refusal::MissingEmail,
            Refusal::MissingRole,
            Refusal::NotTenantMember,
            Refusal::AlreadyMember,
        ],
        "set" => vec![Refusal::MissingRole, Refusal::LastOwner],
        "remove" => vec![Refusal::LastOwner],
        "transfer" => vec![Refusal::MissingUserId, Refusal::NotTenantMember],
        _ => Vec::new(),
    }
}
