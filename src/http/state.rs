//! What handlers need, built once outside the server's factory and shared by all workers.

use std::sync::Arc;

use crate::{
    actors::Lanes,
    config::settings,
    http::edge::{crowd::Crowd, limits::AddressLimits},
    identity::Authenticator,
    invites::Invites,
    keys::Keys,
    members::Members,
    store::Store,
    tenancy::{Places, Registry},
    tenants::Tenants,
    workspaces::Workspaces,
};

/// Shared by all workers.
pub struct State {
    /// Settings and tenants in force.
    pub registry: Arc<Registry>,
    /// Credentials.
    pub auth: Arc<Authenticator>,
    /// Invitations.
    pub invites: Invites,
    /// Workspaces.
    pub workspaces: Workspaces,
    /// API keys.
    pub keys: Keys,
    /// Memberships.
    pub members: Members,
    /// Tenants.
    pub tenants: Tenants,
    /// The tenants of workspaces that a path names.
    pub places: Places,
    /// The database, for look-ups that only find the tenant of a path.
    pub store: Store,
    /// Where changes queue.
    pub lanes: Lanes,
    /// Limits by client address.
    pub limits: AddressLimits,
    /// When a thread has fallen behind.
    pub crowd: Crowd,
}

impl State {
    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<settings::Settings> {
        self.registry.current().settings.clone()
    }
}
