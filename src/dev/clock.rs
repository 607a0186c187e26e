//! Moving time, so that expiry can be seen without waiting. Credentials live on the wall clock and never age by
//! this.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::{
    domain::{Clock, Refusal, clock::rfc3339_millis},
    http::{error::ApiError, extract::Body},
};

/// Furthest move at once: ten years, in seconds.
const FURTHEST: i64 = 10 * 366 * 86_400;

/// Body of an advance.
#[derive(Debug, Deserialize)]
pub(super) struct Advance {
    seconds: Option<i64>,
}

/// Moves the clock and answers the new time.
pub(super) async fn advance(clock: web::Data<Clock>, body: Body<Advance>) -> Result<HttpResponse, ApiError> {
    let seconds = body.0.seconds.filter(|seconds| (-FURTHEST..=FURTHEST).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        Refusal::field("seconds", format!("must be a whole number between -{FURTHEST} and {FURTHEST}"))
    })?;
    clock.advance_millis(seconds * 1000);
    Ok(HttpResponse::Ok().json(json!({
        "now": rfc3339_millis(clock.now()),
        "offset_seconds": clock.offset_millis() / 1000,
    })))
}
