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

/// Calls the handler. A request may not be kept across the call, so what fails here is answered without it.
pub(super) async fn call(
    asked: Asked,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    reader: Option<Reader>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let waits = if req.path() == FEED { LONGEST_WAIT } else { Duration::ZERO };
    let refusal = match timeout(LIMIT + waits, AssertUnwindSafe(next.call(req)).catch_unwind()).await {
        Ok(Ok(answer)) => return answer.map(ServiceResponse::map_into_boxed_body),
        Ok(Err(_panic)) => {
            tracing::error!(request_id = %asked.id, "a handler panicked");
            metrics::counter!("usher_handler_panics_total").increment(1);
            Refusal::Internal
        }
        Err(_elapsed) => {
            Refusal::Unavailable { retry_after: 1, what: "This took too long; a change may have happened." }
        }
    };
    Err(Failed { asked, error: refusal.into(), reader }.into())
}

/// An answer without its request: it brings id and headers along.
#[derive(Debug)]
struct Failed {
    asked: Asked,
    error: ApiError,
    reader: Option<Reader>,
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
        let mut answer = with_asked(self.asked, || {
            let answer = self.error.error_response();
            match &self.reader {
                Some(reader) => reader.instead(answer),
                None => answer,
            }
        });
        super::dress(answer.headers_mut(), self.asked.id);
        answer
    }
}
