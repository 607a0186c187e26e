//! The admin listener, never on a tenant's host: health, readiness with detail, metrics, and the question of a
//! TLS proxy whether a domain is ours.

use std::sync::Arc;

use actix_web::{HttpResponse, get, web};
use serde::Deserialize;
use serde_json::json;

use crate::{
    config::reload::ReloadHealth,
    domain::Host,
    store::Store,
    telemetry,
    tenancy::{Registry, Site},
};

/// What the admin listener looks at.
#[derive(Clone)]
pub struct AdminState {
    /// The database.
    pub store: Store,
    /// Domains.
    pub registry: Arc<Registry>,
    /// How reloads went; `None` without files.
    pub reloads: Option<ReloadHealth>,
}

/// Its paths; all take GET.
pub const PATHS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/domain-allowed"];

/// Its routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(healthz).service(readyz).service(metrics).service(domain_allowed);
}

#[get("/healthz")]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Ready: the database answers. A refused reload is told, but the old configuration serves.
#[get("/readyz")]
async fn readyz(state: web::Data<AdminState>) -> HttpResponse {
    let database = state.store.ping().await;
    let reload = state.reloads.as_ref().map(ReloadHealth::state);
    let body = json!({
        "status": if database.is_ok() { "ok" } else { "unavailable" },
        "database": if database.is_ok() { "ok" } else { "unavailable" },
        "engine": if state.store.is_postgres() { "postgresql" } else { "sqlite" },
        "tenants": state.registry.current().settings.tenants.len(),
        "configuration": reload.map(|reload| json!({
            "in_force": reload.in_force,
            "succeeded": reload.succeeded,
            "failed": reload.failed,
            "problems": reload.problems,
        })),
    });
    if database.is_ok() {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

#[get("/metrics")]
async fn metrics() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(telemetry::render_metrics())
}

#[derive(Deserialize)]
struct Asked {
    domain: String,
}

/// Whether a certificate may be asked for: 200 for a host that is served, 404 for any other.
#[get("/domain-allowed")]
async fn domain_allowed(state: web::Data<AdminState>, asked: web::Query<Asked>) -> HttpResponse {
    let site = Host::parse(&asked.domain).and_then(|host| state.registry.current().site(&host));
    match site {
        Some(Site::Platform | Site::Tenant(_) | Site::Retired(_)) => HttpResponse::Ok().finish(),
        None => HttpResponse::NotFound().finish(),
    }
}
