//! The handler behind a time limit and a fence: a handler that hangs is a 503, one that panics a 500, and both
//! are JSON like everything else.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
};
use futures_util::FutureExt;
use tokio::time::sleep;

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
    failing: Rc<Failing>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let waits = if req.path() == FEED { LONGEST_WAIT } else { Duration::ZERO };
    let handled = AssertUnwindSafe(next.call(req)).catch_unwind();
    let refusal = match within(LIMIT + waits, handled).await {
        Some(Ok(answer)) => return answer.map(ServiceResponse::map_into_boxed_body),
        Some(Err(_panic)) => {
            tracing::error!(request_id = %failing.asked.id, "a handler panicked");
            metrics::counter!("usher_handler_panics_total").increment(1);
            Refusal::Internal
        }
        None => {
            Refusal::Unavailable { retry_after: 1, what: "This took too long; a change may have happened." }
        }
    };
    Err(Failed { of: failing, error: refusal.into() }.into())
}

/// What a future comes to, unless it takes longer. What is there at once is not timed.
async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut clock) = (pin!(future), None);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let clock = clock.get_or_insert_with(|| Box::pin(sleep(limit)));
        clock.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// An answer without its request: it brings id and headers along.
#[derive(Debug)]
struct Failed {
    of: Rc<Failing>,
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
        let Failing { asked, reader, cors } = self.of.as_ref();
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

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, middleware::from_fn, test, web};

    use super::*;

    #[tokio::test]
    async fn what_takes_longer_than_it_may_comes_to_nothing() {
        let (short, long) = (Duration::from_millis(1), Duration::from_secs(3600));
        assert_eq!(within(long, async { 7 }).await, Some(7));
        assert_eq!(within(long, sleep(short)).await, Some(()));
        assert_eq!(within(short, sleep(long)).await, None);
    }

    async fn broken() -> HttpResponse {
        panic!("SELECT secret FROM rows at /srv/usher")
    }

    #[actix_web::test]
    async fn a_panic_is_a_500_that_says_nothing_and_the_next_request_is_served() {
        let fenced = from_fn(|req: ServiceRequest, next: Next<BoxBody>| {
            let asked = Asked { id: uuid::Uuid::now_v7(), enveloped: false };
            call(req, next, Rc::new(Failing { asked, reader: None, cors: None }))
        });
        let app =
            App::new().route("/", web::get().to(broken)).route("/fine", web::get().to(HttpResponse::Ok));
        let app = test::init_service(app.wrap(fenced)).await;
        let request = test::TestRequest::get().uri("/").to_request();
        let answer = match test::try_call_service(&app, request).await {
            Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        };
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "INTERNAL_ERROR");
        let text = body.to_string();
        assert!(!text.contains("SELECT") && !text.contains("/srv") && !text.contains("panic"), "{text}");
        let request = test::TestRequest::get().uri("/fine").to_request();
        assert_eq!(test::call_service(&app, request).await.status(), 200);
    }
}
