//! CORS: which pages of other origins a browser lets read answers of the API. Nothing is sent unless a tenant
//! lists origins, and never outside `/api`.
//!
//! An answer is for the pages of the tenant it turned out to be of: on a tenant's own host that one, on a
//! platform host the one that path, header or key led to. There, two kinds of answers are of no tenant and are
//! for the pages of any: a preflight, which carries neither credential nor tenant, and a refusal before a tenant
//! is known, together with every 404 (one that named a tenant would tell whose a foreign id is). A success that
//! spans tenants, such as an inbox on a platform host without `X-MIOSA-Tenant`, is for nobody's pages.
//!
//! The tenant is known only when the handler is done, which no middleware that decides by the request can wait
//! for; hence this file and not `actix-cors`.

use std::{fmt, rc::Rc, sync::Arc};

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};

use super::host::Visit;
use crate::{
    http::error::hides_whose,
    tenancy::{
        Site, Snapshot,
        origins::{Grant, granted},
    },
};

/// What a page may send; `HEAD` for whoever asks for `GET` without the body.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a page may send along, the header of API keys apart.
const HEADERS: &str = "Authorization, Content-Type, X-MIOSA-Tenant, Idempotency-Key";
/// What a page may read besides the body.
const EXPOSED: &str = "X-Request-Id, Retry-After, Idempotency-Replayed";
/// How long a browser may remember a preflight, in seconds. Answers themselves are judged anew each time.
const MAX_AGE: &str = "600";

/// What there is to decide about one request's answer.
pub(super) struct Cors {
    /// The page that asks; `None` where no browser does, or where the header is no single origin.
    origin: Option<HeaderValue>,
    /// Whether it asks before the request proper.
    preflight: bool,
    snapshot: Arc<Snapshot>,
    visit: Rc<Visit>,
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cors").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Cors {
    /// What concerns this request; `None` where no list of origins has a say.
    pub(super) fn of(req: &ServiceRequest, visit: &Rc<Visit>) -> Option<Self> {
        if !req.path().starts_with("/api/") {
            return None;
        }
        let snapshot = super::state(req)?.registry.current();
        let nothing = match &visit.site {
            Site::Tenant(own) => !own.cors.any && own.cors.origins.is_empty(),
            Site::Platform | Site::Retired(_) => snapshot.origins().is_empty(),
        };
        if nothing {
            return None;
        }
        let mut origins = req.headers().get_all(header::ORIGIN);
        let origin = origins.next().cloned().filter(|_| origins.next().is_none());
        let asks = req.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let preflight = req.method() == Method::OPTIONS && asks;
        Some(Self { origin, preflight, snapshot, visit: visit.clone() })
    }

    /// The answer to a preflight, if this is one and its page may call; any other OPTIONS is none of ours.
    pub(super) fn preflight(&self) -> Option<HttpResponse> {
        if !self.preflight {
            return None;
        }
        self.grant(StatusCode::NO_CONTENT)?;
        let key = &self.snapshot.settings.api_keys.header;
        let answer = HttpResponse::NoContent()
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, format!("{HEADERS}, {key}")))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE))
            .finish();
        Some(answer)
    }

    /// Puts on an answer who may read it.
    pub(super) fn dress(&self, status: StatusCode, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let (Some(origin), Some(grant)) = (&self.origin, self.grant(status)) else { return };
        let (shown, credentials) = match grant {
            Grant::Anyone => (HeaderValue::from_static("*"), false),
            Grant::Listed { credentials } => (origin.clone(), credentials),
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, shown);
        if credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if !self.preflight {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// What the page may do with an answer of this status.
    fn grant(&self, status: StatusCode) -> Option<Grant> {
        let origin = self.origin.as_ref()?.to_str().ok()?;
        if let Site::Tenant(own) = &self.visit.site {
            return granted(&own.cors, origin);
        }
        let of_no_tenant = self.preflight || status.is_client_error() || status.is_server_error();
        match self.visit.tenant() {
            Some(tenant) if !hides_whose(status) => granted(&tenant.cors, origin),
            None if !of_no_tenant => None,
            _ => self.snapshot.origins().granted(origin),
        }
    }
}
