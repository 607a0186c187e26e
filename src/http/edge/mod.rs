//! What every request passes, in this order: an id, the host, a preflight's answer, a look whether there is room, the
//! handler behind a deadline and a fence, the headers of every answer, the log line. One middleware, because each costs
//! on the shortest requests. Errors on pages become pages here, whoever made them.

pub mod access_log;
mod cors;
pub mod crowd;
pub mod deadline;
mod envelope;
pub mod host;
pub mod limits;
pub mod methods;
pub mod request_id;
mod size;
mod unread;

use std::{pin::pin, rc::Rc, time::Instant};

use actix_web::{
    Error, HttpMessage, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use uuid::Uuid;

use cors::Cors;
use deadline::Failing;
use host::Visit;

use super::{
    error::{ApiError, Asked, with_asked},
    pages::errors::{self, Reader},
    state::State,
};
use crate::domain::Refusal;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The middleware of the public listener.
///
/// # Errors
/// None in practice: every error is made an answer here.
pub async fn edge(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let id = request_id::new();
    // HEAD works wherever GET does; the encoder leaves the body out by itself
    if req.method() == Method::HEAD {
        req.head_mut().method = Method::GET;
    }
    envelope::drop_last_slash(&mut req);
    unread::let_in(&req).await;
    unread::hold(&mut req);
    let asked = Asked { id, enveloped: envelope::is_worn(req.path()) };
    let is_page = errors::is_page(req.path());
    let arrived = size::check(&req).and_then(|()| host::resolve(&req)).map(Rc::new);
    let reader = Reader::of(&req).map(|reader| match &arrived {
        Ok(visit) => reader.on(&visit.site),
        Err(_) => reader,
    });
    let log = access_log::Entry::begin(&req, id, began);
    let visit = arrived.as_ref().ok().cloned();
    let for_whom =
        || visit.as_ref().and_then(|visit| visit.tenant()).map_or("-", |tenant| tenant.slug.as_str());
    let cors = visit.as_ref().and_then(|visit| Cors::of(&req, visit));
    let preflight = cors.as_ref().and_then(Cors::preflight);
    let failing = Rc::new(Failing { asked, reader, cors });
    let answering = pin!(async {
        match arrived {
            Ok(_) if let Some(answer) = preflight => Ok(req.into_response(answer).map_into_boxed_body()),
            Ok(visit) if let Some(refusal) = no_room(&req, &visit, began) => {
                Ok(req.into_response(HttpResponse::from_error(ApiError::from(refusal))))
            }
            Ok(visit) => {
                let _under_way = visit.changes.then(crowd::UnderWay::begin);
                req.extensions_mut().insert(visit);
                deadline::call(req, next, failing.clone()).await
            }
            Err(refusal) => {
                let answer = ApiError::from(refusal).error_response();
                Ok(req.into_response(answer).map_into_boxed_body())
            }
        }
    });
    match request_id::scope(asked, answering).await {
        Ok(mut answer) => {
            let error = answer.response().error().and_then(|error| error.as_error::<ApiError>());
            let for_room = error.is_some_and(|error| error.refusal.is_for_room());
            if let Some(reader) = &failing.reader {
                answer = as_page(answer, asked, reader);
            }
            if is_page {
                vary(answer.headers_mut());
            }
            dress(answer.headers_mut(), id);
            if let Some(cors) = &failing.cors {
                cors.dress(answer.status(), answer.headers_mut());
            }
            log.end(answer.status(), for_room, || answer.request().match_pattern(), for_whom());
            Ok(answer)
        }
        Err(error) => {
            log.end(error.as_response_error().status_code(), false, || None, for_whom());
            Err(error)
        }
    }
}

/// The middleware of the admin listener: HEAD and the headers of every answer, nothing else.
///
/// # Errors
/// As the handler.
pub async fn plain(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = request_id::new();
    if req.method() == Method::HEAD {
        req.head_mut().method = Method::GET;
    }
    let answering = pin!(next.call(req));
    let mut answer =
        request_id::scope(Asked { id, enveloped: false }, answering).await?.map_into_boxed_body();
    dress(answer.headers_mut(), id);
    Ok(answer)
}

/// An error for somebody who reads pages.
fn as_page(answer: ServiceResponse<BoxBody>, asked: Asked, reader: &Reader) -> ServiceResponse<BoxBody> {
    let (req, answer) = answer.into_parts();
    ServiceResponse::new(req, with_asked(asked, || reader.instead(answer)))
}

/// What the answer of a page depends on.
fn vary(headers: &mut HeaderMap) {
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-language"));
}

/// What refuses a change that could not be queued, or come to be queued in time, before anything is spent on it: under a
/// flood a refusal must cost little. Here the tenant is that of the host; that of a path is asked about once the
/// credential is known not to be another tenant's (`Caller::within`).
fn no_room(req: &ServiceRequest, visit: &Visit, now: Instant) -> Option<Refusal> {
    if !visit.changes {
        return None;
    }
    let state = state(req)?;
    if state.crowd.is_too_much(now) {
        metrics::counter!("usher_requests_crowded_out_total").increment(1);
        return Some(Refusal::TOO_MUCH_ASKED);
    }
    state.lanes.require_room(visit.site.tenant().map(|own| own.id)).err()
}

/// The headers of every answer, unless the handler chose its own.
fn dress(headers: &mut HeaderMap, id: Uuid) {
    if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// The shared state of a request's worker.
pub(super) fn state(req: &ServiceRequest) -> Option<&web::Data<State>> {
    req.app_data::<web::Data<State>>()
}
