//! Reading roles from what people write, and their names in the three API families.

pub use entity::Role;

use crate::domain::refusal::{FieldError, Refusal};

/// A role of a workspace, exactly as spelled: `owner`, `admin`, `member` or `viewer`.
///
/// # Errors
/// [`Refusal::MissingRole`] when empty, [`Refusal::Validation`] otherwise.
pub fn workspace_role(text: &str) -> Result<Role, Refusal> {
    read(text, &[Role::Owner, Role::Admin, Role::Member, Role::Viewer])
}

/// A role of a tenant: `owner`, `admin` or `member`; a tenant has no viewers.
///
/// # Errors
/// As [`workspace_role`].
pub fn tenant_role(text: &str) -> Result<Role, Refusal> {
    read(text, &[Role::Owner, Role::Admin, Role::Member])
}

/// A role by its name in Workspace Sharing: `read`, `write` or `admin`. Owners are not made there.
///
/// # Errors
/// [`Refusal::Validation`].
pub fn shared_role(text: &str) -> Result<Role, Refusal> {
    match text {
        "read" => Ok(Role::Viewer),
        "write" => Ok(Role::Member),
        "admin" => Ok(Role::Admin),
        _ => Err(Refusal::field("permissions", "must be one of read, write, admin")),
    }
}

/// The name of a role in Workspace Sharing, which has none of its own for owners.
#[must_use]
pub const fn shared_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "read",
        Role::Member => "write",
        Role::Admin | Role::Owner => "admin",
    }
}

/// The name that people know a role by.
#[must_use]
pub const fn title(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Admin => "Admin",
        Role::Member => "Developer",
        Role::Viewer => "Viewer",
    }
}

/// The role of this id or title, in any case.
#[must_use]
pub fn by_name(text: &str) -> Option<Role> {
    [Role::Owner, Role::Admin, Role::Member, Role::Viewer]
        .into_iter()
        .find(|role| text.eq_ignore_ascii_case(role.as_str()) || text.eq_ignore_ascii_case(title(*role)))
}

fn read(text: &str, allowed: &[Role]) -> Result<Role, Refusal> {
    if text.is_empty() {
        return Err(Refusal::MissingRole);
    }
    Role::parse(text).filter(|role| allowed.contains(role)).ok_or_else(|| {
        let names: Vec<&str> = allowed.iter().map(|role| role.as_str()).collect();
        Refusal::Validation(vec![FieldError::new("role", format!("must be one of {}", names.join(", ")))])
    })
}
