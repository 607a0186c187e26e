//! One line per request: id, tenant (where host or path name one), route (never the path, which may hold a token), status, time.
//! Previews, preflights and health checks are frequent and dull, so they log at `debug`.

use std::time::Instant;

use actix_web::{
    dev::ServiceRequest,
    http::{Method, StatusCode},
};
use uuid::Uuid;

/// A request under way.
pub(super) struct Entry {
    id: Uuid,
    method: Method,
    began: Instant,
}

impl Entry {
    pub(super) fn begin(req: &ServiceRequest, id: Uuid, began: Instant) -> Self {
        Self { id, method: req.method().clone(), began }
    }

    pub(super) fn end(self, status: StatusCode, route: Option<&str>, tenant: &str) {
        let route = route.unwrap_or("-");
        let seconds = self.began.elapsed().as_secs_f64();
        metrics::counter!("usher_requests_total", "status" => class(status)).increment(1);
        metrics::histogram!("usher_request_seconds").record(seconds);
        let (id, method, status, ms) = (self.id, self.method, status.as_u16(), seconds * 1000.0);
        if matches!(method, Method::GET | Method::OPTIONS) && status < 400 {
            tracing::debug!(request_id = %id, %method, tenant, route, status, ms, "request");
        } else {
            tracing::info!(request_id = %id, %method, tenant, route, status, ms, "request");
        }
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
