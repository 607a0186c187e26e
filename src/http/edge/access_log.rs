//! One line per request: id, tenant (where host or path name one), route (never the path, which may hold a token), status, time.
//! Previews, preflights and health checks are frequent and dull, so they log at `debug`, and so do refusals for want of
//! room, which a flood has thousands of a second and the figures count.

use std::{sync::LazyLock, time::Instant};

use actix_web::{
    dev::ServiceRequest,
    http::{Method, StatusCode},
};
use metrics::{Counter, Histogram};
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

    /// `route` is only asked where the line is written: finding it walks all routes once more.
    pub(super) fn end(
        self,
        status: StatusCode,
        for_room: bool,
        route: impl FnOnce() -> Option<String>,
        tenant: &str,
    ) {
        let seconds = self.began.elapsed().as_secs_f64();
        COUNTED.of(status).increment(1);
        COUNTED.seconds.record(seconds);
        let (id, method, status, ms) = (self.id, self.method, status.as_u16(), seconds * 1000.0);
        if for_room || (matches!(method, Method::GET | Method::OPTIONS) && status < 400) {
            if tracing::enabled!(tracing::Level::DEBUG) {
                let route = route().unwrap_or_else(|| "-".to_owned());
                tracing::debug!(request_id = %id, %method, tenant, route, status, ms, "request");
            }
        } else {
            let route = route().unwrap_or_else(|| "-".to_owned());
            tracing::info!(request_id = %id, %method, tenant, route, status, ms, "request");
        }
    }
}

/// The figures of all requests, found once: looking one up by name costs as much as a cached preview.
static COUNTED: LazyLock<Counted> = LazyLock::new(|| Counted {
    classes: ["2xx", "3xx", "4xx", "5xx"]
        .map(|class| metrics::counter!("usher_requests_total", "status" => class)),
    seconds: metrics::histogram!("usher_request_seconds"),
});

struct Counted {
    classes: [Counter; 4],
    seconds: Histogram,
}

impl Counted {
    fn of(&self, status: StatusCode) -> &Counter {
        let [good, elsewhere, refused, failed] = &self.classes;
        match status.as_u16() / 100 {
            2 => good,
            3 => elsewhere,
            4 => refused,
            _ => failed,
        }
    }
}
