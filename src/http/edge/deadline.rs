//! The handler behind a time limit and a fence: a handler that hangs is a 503, one that panics a 500, and both
//! are JSON like everything else.

use std::{fmt, panic::AssertUnwindSafe, time::Duration};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
};
use futures_util::FutureExt;
use tokio::time::timeout;

use super::cors::Cors;
use crate::{
    domain::Refusal,
    http::{
        error::{ApiError, Asked, with_asked},
        pages::errors::Reader,
    },
    tenants::feed::LONGEST_WAIT,
};

/// Longest a handler may take, its body included.
const LIMIT: Duration = Duration::from_secs(10);
/// The one route that may wait on purpose.
const FEED: &str = "/api/v1/events";

/// What an answer needs of its request, which may not be kept across the call of the handler.
#[derive(Debug)]
pub(super) struct Failing {
    pub asked: Asked,
    pub reader: Option<Reader>,
    pub cors: Option<Cors>,
}

/// Calls the handler. What fails here is answered without the request.
pub(super) async fn call(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    failing: Failing,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let waits = if req.path() == FEED { LONGEST_WAIT } else { Duration::ZERO };
    let refusal = match timeout(LIMIT + waits, AssertUnwindSafe(next.call(req)).catch_unwind()).await {
        Ok(Ok(answer)) => return answer.map(ServiceResponse::map_into_boxed_body),
        Ok(Err(_panic)) => {
            tracing::error!(request_id = %failing.asked.id, "a handler panicked");
            metrics::counter!("usher_handler_panics_total").increment(1);
            Refusal::Internal
        }
        Err(_elapsed) => {
            Refusal::Unavailable { retry_after: 1, what: "This took too long; a change may have happened." }
        }
    };
    Err(Failed { of: failing, error: refusal.into() }.into())
}

/// An answer without its request: it brings id and headers along.
#[derive(Debug)]
struct Failed {
    of: Failing,
    error: ApiError,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        self.error.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let Failing { asked, reader, cors } = &self.of;
        let mut answer = with_asked(*asked, || {
            let answer = self.error.error_response();
            match reader {
                Some(reader) => reader.instead(answer),
                None => answer,
            }
        });
        super::dress(answer.headers_mut(), asked.id);
        if let Some(cors) = cors {
            cors.dress(answer.status(), answer.headers_mut());
        }
        answer
    }
}
