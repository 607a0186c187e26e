//! Which site a request is for: the canonical host, matched exactly. An unknown one is nobody's, whatever the
//! path, except for the health check.

use std::{
    cell::OnceCell,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use actix_web::{
    dev::ServiceRequest,
    http::{
        Method,
        header::{self, HeaderName},
    },
};

use crate::{
    config::settings::Tenant,
    domain::{Host, Refusal},
    tenancy::{
        Site,
        arrival::{Arrival, Headers},
    },
};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a request came in.
#[derive(Debug)]
pub struct Visit {
    /// Platform, a tenant's own host, or a retired one.
    pub site: Site,
    /// The canonical host.
    pub host: Option<Host>,
    /// Address of the client.
    pub client: IpAddr,
    /// Whether it may change something: any method but GET and OPTIONS.
    pub changes: bool,
    tenant: OnceCell<Arc<Tenant>>,
}

impl Visit {
    fn new(req: &ServiceRequest, site: Site, host: Option<Host>, client: IpAddr) -> Self {
        let tenant = site.tenant().map_or_else(OnceCell::new, |own| OnceCell::from(own.clone()));
        let changes = !matches!(*req.method(), Method::GET | Method::OPTIONS);
        Self { site, host, client, changes, tenant }
    }

    /// The tenant it turned out to be for: whose pages may read the answer, and what the log names.
    pub(super) fn tenant(&self) -> Option<&Arc<Tenant>> {
        self.tenant.get()
    }

    /// Notes the tenant it turned out to be for; the first one noted stays.
    pub fn is_for(&self, tenant: &Arc<Tenant>) {
        let _ = self.tenant.set(tenant.clone());
    }
}

pub(super) fn resolve(req: &ServiceRequest) -> Result<Visit, Refusal> {
    let state = super::state(req).ok_or(Refusal::Internal)?;
    let snapshot = state.registry.current();
    let peer = req.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let values = |name: HeaderName| -> Vec<&str> {
        req.headers().get_all(name).map(|value| value.to_str().unwrap_or_default()).collect()
    };
    let headers = Headers {
        host: values(header::HOST),
        target: req.uri().authority().map(actix_web::http::uri::Authority::as_str),
        forwarded_host: values(FORWARDED_HOST),
        forwarded_for: values(FORWARDED_FOR),
        forwarded: values(header::FORWARDED),
    };
    let arrival = Arrival::of(peer, &headers, &snapshot.settings.server.trusted_proxies);
    let site = arrival.host.as_ref().and_then(|host| snapshot.site(host));
    match site {
        Some(Site::Retired(_)) if !is_landing(req) => Err(Refusal::UnknownHost),
        Some(site) => Ok(Visit::new(req, site, arrival.host, arrival.client)),
        None if req.path() == "/healthz" => Ok(Visit::new(req, Site::Platform, None, arrival.client)),
        None => Err(Refusal::UnknownHost),
    }
}

/// What a retired domain still answers: GET of a landing page, with a redirect.
fn is_landing(req: &ServiceRequest) -> bool {
    req.method() == Method::GET
        && (req.path().starts_with("/invites/") || req.path().starts_with("/workspace-invites/"))
}
