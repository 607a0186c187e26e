//! Temporary.
use crate::{
    config::settings::{Settings, Tenant},
    domain::Host,
};
use arc_swap::ArcSwap;
use entity::TenantId;
use std::sync::Arc;
/// x
pub struct Registry {
    current: ArcSwap<Snapshot>,
}
/// x
pub struct Snapshot {
    /// x
    pub settings: Arc<Settings>,
    /// x
    pub generation: u64,
    tenants: Vec<Arc<Tenant>>,
}
/// x
#[derive(Clone, Debug)]
pub enum Site {
    /// x
    Platform,
    /// x
    Tenant(Arc<Tenant>),
    /// x
    Retired(Arc<Tenant>),
}
impl Registry {
    /// x
    pub fn new(settings: Arc<Settings>) -> Self {
        let tenants = settings.tenants.iter().cloned().map(Arc::new).collect();
        Self { current: ArcSwap::from_pointee(Snapshot { settings, generation: 1, tenants }) }
    }
    /// x
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}
impl Snapshot {
    /// x
    pub fn site(&self, _host: &Host) -> Option<Site> {
        None
    }
    /// x
    pub fn tenant(&self, id: TenantId) -> Option<&Arc<Tenant>> {
        self.tenants.iter().find(|t| t.id == id)
    }
    /// x
    pub fn tenant_named(&self, n: &str) -> Option<&Arc<Tenant>> {
        self.tenants.iter().find(|t| t.slug == n || t.id.to_string() == n)
    }
}
