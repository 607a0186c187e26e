//! Version 1 of the API: one file per resource, each route a thin translation onto its use case.

pub mod api_keys;
pub mod body;
pub mod event_body;
pub mod events;
pub mod invitation_body;
pub mod invitations;
pub mod invite_body;
pub mod links;
pub mod list_query;
pub mod me;
pub mod member_body;
pub mod org_invites;
pub mod tenant_members;
pub mod tenants;
pub mod workspace_invites;
pub mod workspace_members;
pub mod workspaces;
