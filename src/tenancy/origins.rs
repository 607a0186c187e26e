//! Whose pages may call the API from a browser: the list of one tenant, and all lists together, for answers on
//! a platform host that hold nothing of any tenant. Origins are compared byte by byte; there are no patterns.

use std::{collections::HashMap, sync::Arc};

use crate::config::settings::{Cors, Tenant};

/// What a browser is told about the page that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Pages of any origin may read this.
    Anyone,
    /// Pages of this very origin may.
    Listed {
        /// Also when the browser has sent cookies along.
        credentials: bool,
    },
}

/// What a tenant lets pages of this origin do; `None` is nothing.
#[must_use]
pub fn granted(cors: &Cors, origin: &str) -> Option<Grant> {
    if cors.any {
        return Some(Grant::Anyone);
    }
    let listed = cors.origins.iter().any(|listed| listed == origin);
    listed.then_some(Grant::Listed { credentials: cors.credentials })
}

/// The lists of all tenants together.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    listed: HashMap<String, bool>,
    any: bool,
}

impl Origins {
    pub(super) fn of(tenants: &[Arc<Tenant>]) -> Self {
        let mut all = Self::default();
        for cors in tenants.iter().map(|tenant| &tenant.cors) {
            all.any |= cors.any;
            for origin in &cors.origins {
                *all.listed.entry(origin.clone()).or_default() |= cors.credentials;
            }
        }
        all
    }

    /// Whether no tenant lets any page in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any && self.listed.is_empty()
    }

    /// What some tenant lets pages of this origin do.
    #[must_use]
    pub fn granted(&self, origin: &str) -> Option<Grant> {
        match self.listed.get(origin) {
            Some(credentials) => Some(Grant::Listed { credentials: *credentials }),
            None => self.any.then_some(Grant::Anyone),
        }
    }
}
