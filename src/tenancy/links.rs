//! Where links point: only ever to a configured domain or to the platform's origin, never to what a request
//! says. The host is chosen once, when an invite is made, and kept with it, so that mails, resends and the
//! command line repeat the same URL.

use crate::{
    config::settings::Tenant,
    domain::{Host, LinkToken, Scope},
    tenancy::Snapshot,
};

/// The host to keep with a new invite: the request's own white-label host if it is one of the tenant's, else
/// the tenant's primary domain; `None` if it has none, whose links are the platform's.
#[must_use]
pub fn link_host_for(tenant: &Tenant, request_host: Option<&Host>) -> Option<Host> {
    request_host.filter(|host| tenant.domains.contains(host)).or_else(|| tenant.domains.first()).cloned()
}

/// Scheme, host and port of an invite's links: its kept host while that is configured for the tenant, else the
/// tenant's primary domain, else the platform's. An invite without a kept host was made with the platform's
/// links and stays with them.
#[must_use]
pub fn origin(snapshot: &Snapshot, tenant: &Tenant, link_host: Option<&str>) -> String {
    let kept = link_host.and_then(|kept| tenant.domains.iter().find(|host| host.as_str() == kept));
    match (link_host, kept) {
        (None, _) => snapshot.settings.server.base_url.clone(),
        (Some(_), Some(kept)) => on_domain(snapshot, kept),
        (Some(_), None) => primary_origin(snapshot, tenant),
    }
}

/// Scheme, host and port of the tenant's primary domain, else the platform's.
#[must_use]
pub fn primary_origin(snapshot: &Snapshot, tenant: &Tenant) -> String {
    tenant
        .domains
        .first()
        .map_or_else(|| snapshot.settings.server.base_url.clone(), |primary| on_domain(snapshot, primary))
}

/// The landing page of an invite.
#[must_use]
pub fn invite_url(
    snapshot: &Snapshot,
    tenant: &Tenant,
    link_host: Option<&str>,
    scope: Scope,
    token: &LinkToken,
) -> String {
    format!("{}{}", origin(snapshot, tenant, link_host), landing_path(scope, token.as_str()))
}

/// The path of a landing page on whichever host.
#[must_use]
pub fn landing_path(scope: Scope, token: &str) -> String {
    match scope {
        Scope::Org => format!("/invites/{token}"),
        Scope::Workspace(_) => format!("/workspace-invites/{token}"),
    }
}

fn on_domain(snapshot: &Snapshot, host: &Host) -> String {
    let server = &snapshot.settings.server;
    let usual = if server.link_scheme == "http" { 80 } else { 443 };
    if server.link_port == 0 || server.link_port == usual {
        format!("{}://{host}", server.link_scheme)
    } else {
        format!("{}://{host}:{}", server.link_scheme, server.link_port)
    }
}
