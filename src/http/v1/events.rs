//! The feed of a tenant's events.

use std::{
    future::{Ready, ready},
    sync::LazyLock,
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, get};
use utoipa::IntoParams;

use super::{
    body::ErrorBody,
    event_body::FeedBody,
    list_query::{names_of, parameters},
};
use crate::{
    domain::Refusal,
    http::{error::ApiError, extract::Caller},
    tenants::feed::{self, Asked, LONGEST_WAIT, MOST},
};

/// Events of an answer, if nothing else is asked for.
const USUAL: u64 = 100;

/// The parameters of the feed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the names and their meaning are what the document and the reader take from it")]
pub struct FeedParams {
    /// Number of the last event known, the `next_after` of the answer before; from the beginning if absent.
    #[param(minimum = 0, example = 0)]
    after: Option<i64>,
    /// How many at most; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Seconds to wait for an event if there is none yet.
    #[param(minimum = 0, maximum = 30)]
    wait: Option<u64>,
}

/// The feed as it is asked for.
pub struct FeedQuery(Asked);

impl FromRequest for FeedQuery {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(req.query_string()).map(Self).map_err(ApiError::from))
    }
}

fn read(query: &str) -> Result<Asked, Refusal> {
    static KNOWN: LazyLock<Vec<String>> = LazyLock::new(names_of::<FeedParams>);
    let given = parameters(query, &KNOWN)?;
    let number = |name: &'static str, least: u64, most: u64, otherwise: u64| {
        let Some(text) = given.get(name) else { return Ok(otherwise) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Refusal::field(name, format!("must be an integer from {least} to {most}")))
    };
    let last = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
    Ok(Asked {
        after: i64::try_from(number("after", 0, last, 0)?).unwrap_or(i64::MAX),
        limit: number("limit", 1, MOST, USUAL)?,
        wait: Duration::from_secs(number("wait", 0, LONGEST_WAIT.as_secs(), 0)?),
    })
}

/// Read what has happened in the tenant, in order and without gaps; `wait` holds the answer until something has.
///
/// **Permissions**: owners and admins of the tenant, and keys of theirs that may read invites.
#[utoipa::path(tag = "events", operation_id = "list_events", params(FeedParams),
    responses(
        (status = 200, description = "What happened after that; empty if nothing has", body = FeedBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/events")]
pub async fn list_events(caller: Caller, asked: FeedQuery) -> Result<HttpResponse, ApiError> {
    let asked = asked.0;
    let (state, call) = caller.within_own().await?;
    let found = feed::feed(&state.tenants, call, asked).await?;
    Ok(HttpResponse::Ok().json(FeedBody::of(asked.after, &found)))
}
