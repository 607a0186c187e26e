//! The configured tenants and hosts, swapped as a whole when the configuration is reloaded. A request takes one
//! snapshot and decides everything by it.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use entity::TenantId;

use crate::{
    config::{
        Settings,
        settings::{Issuer, Tenant},
    },
    domain::Host,
    tenancy::origins::Origins,
};

/// The current snapshot; read without a lock.
#[derive(Debug)]
pub struct Registry {
    current: ArcSwap<Snapshot>,
}

impl Registry {
    /// A registry of these settings, generation 1.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { current: ArcSwap::from_pointee(Snapshot::new(settings, 1)) }
    }

    /// The settings and indexes in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts new settings in force, under the next generation. Requests under way keep what they took.
    pub fn replace(&self, settings: Arc<Settings>) {
        let mut next = Snapshot::new(settings, 0);
        self.current.rcu(|current| {
            next.generation = current.generation + 1;
            next.clone()
        });
    }
}

/// Settings with the indexes that requests need.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The settings.
    pub settings: Arc<Settings>,
    /// Grows with every reload: what was verified under an older one is verified again.
    pub generation: u64,
    sites: HashMap<Host, Site>,
    by_id: HashMap<TenantId, Arc<Tenant>>,
    by_slug: HashMap<String, Arc<Tenant>>,
    issuers: HashMap<String, Arc<Issuer>>,
    origins: Origins,
}

/// What a host serves.
#[derive(Clone, Debug)]
pub enum Site {
    /// Every tenant, by path.
    Platform,
    /// One tenant only.
    Tenant(Arc<Tenant>),
    /// Redirects of that tenant's live links, nothing else.
    Retired(Arc<Tenant>),
}

impl Site {
    /// The tenant whose own host this is.
    #[must_use]
    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        match self {
            Self::Platform => None,
            Self::Tenant(tenant) | Self::Retired(tenant) => Some(tenant),
        }
    }
}

impl Snapshot {
    fn new(settings: Arc<Settings>, generation: u64) -> Self {
        let mut sites = HashMap::new();
        let mut by_id = HashMap::new();
        let mut by_slug = HashMap::new();
        for tenant in &settings.tenants {
            by_id.insert(tenant.id, tenant.clone());
            by_slug.insert(tenant.slug.clone(), tenant.clone());
            sites.extend(tenant.domains.iter().map(|host| (host.clone(), Site::Tenant(tenant.clone()))));
            sites.extend(
                tenant.retired_domains.iter().map(|host| (host.clone(), Site::Retired(tenant.clone()))),
            );
        }
        sites.extend(settings.server.platform_hosts.iter().map(|host| (host.clone(), Site::Platform)));
        let issuers =
            settings.all_issuers().map(|issuer| (issuer.issuer.clone(), Arc::new(issuer.clone()))).collect();
        let origins = Origins::of(&settings.tenants);
        Self { settings, generation, sites, by_id, by_slug, issuers, origins }
    }

    /// What a host serves; `None` for one that is not configured (421).
    #[must_use]
    pub fn site(&self, host: &Host) -> Option<Site> {
        self.sites.get(host).cloned()
    }

    /// The configured tenant of this id.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&Arc<Tenant>> {
        self.by_id.get(&id)
    }

    /// The configured tenant of this id or slug, as paths and headers name it.
    #[must_use]
    pub fn tenant_named(&self, id_or_slug: &str) -> Option<&Arc<Tenant>> {
        // hyphenated only: other spellings of a UUID would be other URLs of the same thing
        match id_or_slug.parse() {
            Ok(id) if id_or_slug.len() == 36 => self.tenant(id),
            _ => self.by_slug.get(id_or_slug),
        }
    }

    /// What the tenants together let pages of other origins do.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Every trusted issuer, the server's first.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.settings.all_issuers()
    }

    /// The trusted issuer of exactly this `iss`.
    #[must_use]
    pub fn issuer(&self, iss: &str) -> Option<&Arc<Issuer>> {
        self.issuers.get(iss)
    }
}
