//! What parameters and fields mean, by their name: the same name means the same everywhere, so each is told
//! once. Handlers and bodies say the rest in their own comments.

use serde_json::Value;
use utoipa::openapi::{
    KnownFormat, ObjectBuilder, RefOr, Required, Schema, SchemaFormat,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ArrayItems, Object, SchemaType, Type},
};

/// Name, whether it is a UUID, what it is, an example.
const PATH: [(&str, bool, &str, &str); 11] = [
    ("workspace_id", true, "Id of the workspace.", "01900000-0000-7000-8000-0000000000b1"),
    ("invite_id", true, "Id of the invite.", "01900000-0000-7000-8000-0000000000c1"),
    ("workspaceId", true, "Id of the workspace.", "01900000-0000-7000-8000-0000000000b1"),
    ("invitationId", true, "Id of the invitation.", "01900000-0000-7000-8000-0000000000c1"),
    ("userId", false, "Id of the user: the prefix of their issuer and the `sub` of their token.", "user_42"),
    (
        "invitation",
        false,
        "Id of the invitation, or the token of its link: whichever the route takes. Neither stands for the other.",
        "01900000-0000-7000-8000-0000000000c1",
    ),
    ("key_id", true, "Id of the API key.", "01900000-0000-7000-8000-0000000000d1"),
    ("tenant_id", false, "Id or slug of the organisation (tenant).", "acme"),
    ("user_id", false, "Id of the user: the prefix of their issuer and the `sub` of their token.", "user_42"),
    ("member_id", false, "Id of the member, which is their user id.", "user_42"),
    (
        "token",
        false,
        "Last part of the invitation link.",
        "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.eyJpIjoiMDE5In0.c2ln",
    ),
];

/// Name of a field and what it may look like.
const EXAMPLES: [(&str, &str); 15] = [
    ("email", "alice@example.com"),
    ("role", "member"),
    ("locale", "de"),
    ("message", "Looking forward to working with you."),
    ("note", "Sorry, wrong team."),
    ("slug", "clinic"),
    ("user_id", "user_42"),
    ("invited_by", "user_1"),
    ("added_by", "user_1"),
    ("tenant_name", "Acme Corp"),
    ("workspace_name", "Dr. Smith Clinic"),
    ("inviter_name", "Bob Jones"),
    ("primary_color", "#0a7d5a"),
    ("support_email", "help@example.com"),
    ("external_workspace_id", "customer-17"),
];

/// What a `name` may look like, by what has it: the beginning of the schema's name.
const NAMES: [(&str, &str); 12] = [
    ("CreateWorkspace", "Dr. Smith Clinic"),
    ("EditWorkspace", "Dr. Smith Clinic"),
    ("WorkspaceBody", "Dr. Smith Clinic"),
    ("WorkspaceMember", "Bob Jones"),
    ("OrgMember", "Bob Jones"),
    ("OrgBody", "Acme Corp"),
    ("TenantBody", "Acme Corp"),
    ("Place", "Acme Corp"),
    ("NamedPlace", "Acme Corp"),
    ("RoleBody", "Developer"),
    ("BrandingBody", "Acme Corp"),
    ("", "Back end"),
];

/// Schemas, a field of theirs and everything it can be.
const CLOSED: [(&[&str], &str, &[&str]); 5] = [
    (&["InviteBody", "InvitationBody"], "status", &["pending", "accepted", "declined", "revoked", "expired"]),
    (&["PreviewBody"], "state", &["pending", "accepted", "expired"]),
    (
        &["InviteBody", "WaitingInvite", "InvitationBody"],
        "delivery",
        &["none", "queued", "retrying", "sent", "bounced", "failed", "cancelled"],
    ),
    (&["InviteBody", "WaitingInvite", "PreviewBody"], "scope", &["org", "workspace"]),
    (
        &[
            "CreateInvite",
            "EditInvite",
            "AddMember",
            "SetRole",
            "InviteBody",
            "WaitingInvite",
            "PreviewBody",
            "MemberRecord",
            "WorkspaceMember",
            "OrgMember",
        ],
        "role",
        &["owner", "admin", "member", "viewer"],
    ),
];

/// Tells what a path parameter is.
pub(super) fn describe_parameter(parameter: &mut Parameter) {
    let known = PATH.iter().find(|(name, ..)| parameter.name == *name);
    let (ParameterIn::Path, Some((_, uuid, what, example))) = (&parameter.parameter_in, known) else {
        return;
    };
    parameter.description = Some((*what).to_owned());
    let format = uuid.then_some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
    let schema = ObjectBuilder::new().schema_type(Type::String).format(format).examples([*example]);
    parameter.schema = Some(schema.build().into());
}

/// The header that names a tenant where host, path and key do not.
pub(super) fn tenant_header() -> Parameter {
    ParameterBuilder::new()
        .name("X-MIOSA-Tenant")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Id or slug of the organisation meant, for callers who belong to several. Host, path, header and \
             key must agree.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).examples(["acme"]).build()))
        .build()
}

pub(super) fn idempotency_header() -> Parameter {
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"))
        .examples(["7d1f0c52-8a3e-4b6f-9c1d-2e5a4b3c6d7e"])
        .build();
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Makes the call safe to repeat: for 24 hours the same caller's same request with the same key gets \
             the answer of the first, with `Idempotency-Replayed: true`. 1 to 255 visible ASCII characters that \
             nobody can guess, such as a UUID. Refusals are not kept.",
        ))
        .schema(Some(key))
        .build()
}

/// Adds formats, examples and closed sets to the fields of a schema, however deep.
pub(super) fn describe_schema(of: &str, schema: &mut Schema) {
    // a schema around another is named after both
    let of = of.rsplit('_').next().unwrap_or(of);
    match schema {
        Schema::Object(object) => {
            for (name, property) in &mut object.properties {
                describe_property(of, name, property);
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(item) = &mut array.items {
                describe_item(of, item);
            }
        }
        Schema::OneOf(any) => any.items.iter_mut().for_each(|item| describe_item(of, item)),
        Schema::AllOf(all) => all.items.iter_mut().for_each(|item| describe_item(of, item)),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(|item| describe_item(of, item)),
        _ => {}
    }
}

fn describe_item(of: &str, item: &mut RefOr<Schema>) {
    if let RefOr::T(schema) = item {
        describe_schema(of, schema);
    }
}

fn describe_property(of: &str, name: &str, property: &mut RefOr<Schema>) {
    let object = match property {
        RefOr::T(Schema::Object(object)) if is_text(object) => object,
        RefOr::T(Schema::Object(object)) if name == "expires_in" => {
            object.examples = vec![Value::from(604_800)];
            return;
        }
        other => return describe_item(of, other),
    };
    if name.ends_with("_at") {
        object.format.get_or_insert(SchemaFormat::KnownFormat(KnownFormat::DateTime));
        object.examples = vec![Value::from("2026-01-02T03:04:05Z")];
    } else if name == "invite_url" {
        object.format.get_or_insert(SchemaFormat::Custom("uri".to_owned()));
        object.examples = vec![Value::from("https://app.example.com/invites/eyJhbGci.eyJpIjoi.c2lnbmF0")];
    } else if name == "name" {
        let known = NAMES.iter().find(|(schema, _)| of.starts_with(schema));
        object.examples = known.map(|(_, example)| Value::from(*example)).into_iter().collect();
    } else if let Some((_, example)) = EXAMPLES.iter().find(|(known, _)| *known == name) {
        object.examples = vec![Value::from(*example)];
    }
    if let Some((.., values)) =
        CLOSED.iter().find(|(schemas, field, _)| schemas.contains(&of) && *field == name)
    {
        object.enum_values.get_or_insert(values.iter().copied().map(Value::from).collect());
    }
}

fn is_text(object: &Object) -> bool {
    match &object.schema_type {
        SchemaType::Type(only) => *only == Type::String,
        SchemaType::Array(types) => types.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}
