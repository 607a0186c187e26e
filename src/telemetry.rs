//! Logs and metrics. Logs are structured, go to standard error, and never hold a token, a key or a whole
//! address; metrics are rendered on the admin listener and name no tenant.

use std::{io::IsTerminal, sync::OnceLock};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged unless `USHER_LOG` says otherwise. `actix_http` reports every broken connection as an error.
const DEFAULT_FILTER: &str =
    "info,actix_http=off,actix_server=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn";

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins logging: JSON, or readable lines on a terminal; `USHER_LOG_FORMAT=json|pretty` decides otherwise.
/// Called once per process; again it changes nothing.
pub fn init() {
    let filter = std::env::var("USHER_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER));
    let pretty = match std::env::var("USHER_LOG_FORMAT").as_deref() {
        Ok("json") => false,
        Ok("pretty") => true,
        _ => std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let _ = if pretty {
        registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    };
}

/// The process's metrics in Prometheus' text format; empty if they could not be installed.
#[must_use]
pub fn render_metrics() -> String {
    install_metrics().as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

/// Begins recording metrics.
pub fn install_metrics() -> &'static Option<PrometheusHandle> {
    METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().ok())
}
