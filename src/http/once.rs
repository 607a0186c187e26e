//! `Idempotency-Key` as handlers meet it. Every POST takes [`Once`] and ends with [`Once::answer`]: it renders
//! what the use case decided, keeps that where the header is given, and tells it again when the request comes
//! again. Who calls and what the body was is left here by the extractors of both; without the header nothing is.
//! What tenant it was for is noted, told again or not.

use std::{
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{HeaderName, HeaderValue},
    },
    web,
};
use entity::TenantId;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{answer, edge::host::Visit, state::State};
use crate::{
    actors::{Command, Planned, Reply},
    domain::{IdempotencyKey, MasterKeys, Refusal, Repeatable, clock::millis_of},
    identity::Principal,
    tenants::Tenants,
};

/// The request's header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The answer's, where it was told before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A POST that is answered once, if it says so.
pub struct Once(HttpRequest);

/// Whose credential a request came with.
struct CalledBy(String);
/// SHA-256 of a request's body.
struct BodyHash([u8; 32]);

impl FromRequest for Once {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(req.clone())))
    }
}

/// Whether the answer shall be kept; on other methods than POST the header means nothing.
pub(super) fn is_asked(req: &HttpRequest) -> bool {
    req.method() == Method::POST && req.headers().contains_key(HEADER)
}

/// Leaves word of who calls.
pub(super) fn note_caller(req: &HttpRequest, principal: &Principal) {
    if is_asked(req) {
        req.extensions_mut().insert(CalledBy(principal.credential()));
    }
}

/// Leaves word of the body as it came.
pub(super) fn note_body(req: &HttpRequest, body: &[u8]) {
    req.extensions_mut().insert(BodyHash(Sha256::digest(body).into()));
}

impl Once {
    /// Runs a use case and answers with what `render` makes of it: one of [`ok`] and [`created`].
    ///
    /// # Errors
    /// As the use case; 400 for a key that is none, 422 for one that came with another body.
    pub async fn answer<C: Command>(
        self,
        planned: Planned<'_, C>,
        render: impl Fn(C::Output) -> Result<Reply, Refusal> + Send + Sync + 'static,
    ) -> Result<HttpResponse, Refusal> {
        let (tenant, reply) = planned.answered(self.request()?, render).await?;
        self.note_tenant(tenant);
        Ok(told(reply))
    }

    /// Answers what was only looked at: through the lane, and kept, only where the header is given.
    ///
    /// # Errors
    /// As [`Once::answer`].
    pub async fn answer_read(
        self,
        tenants: &Tenants,
        tenant: TenantId,
        reply: Reply,
    ) -> Result<HttpResponse, Refusal> {
        if !is_asked(&self.0) {
            return Ok(told(reply));
        }
        self.answer(tenants.tell(tenant, reply), Ok).await
    }

    /// On routes that name no tenant, what is answered says for which one it was.
    fn note_tenant(&self, tenant: TenantId) {
        let (noted, state) = (self.0.extensions(), self.0.app_data::<web::Data<State>>());
        if let (Some(visit), Some(state)) = (noted.get::<Rc<Visit>>(), state)
            && let Some(tenant) = state.registry.current().tenant(tenant)
        {
            visit.is_for(tenant);
        }
    }

    /// The request as it may come again, and what its answer is sealed with.
    fn request(&self) -> Result<Option<(Repeatable, MasterKeys)>, Refusal> {
        let req = &self.0;
        if !is_asked(req) {
            return Ok(None);
        }
        let mut given = req.headers().get_all(HEADER);
        let key = given.next().map_or(&b""[..], |value| value.as_bytes());
        if given.next().is_some() {
            return Err(Refusal::BadRequest("Idempotency-Key is given twice".into()));
        }
        let key = IdempotencyKey::parse(key)?;
        let noted = req.extensions();
        let caller = noted.get::<CalledBy>().ok_or(Refusal::Internal)?.0.clone();
        // a route that takes no body does not look at one
        let body = noted.get::<BodyHash>().map_or_else(|| Sha256::digest(b"").into(), |hash| hash.0);
        let state = req.app_data::<web::Data<State>>().ok_or(Refusal::Internal)?;
        let settings = state.settings();
        let keys = settings.tokens.clone().ok_or(Refusal::Internal)?;
        let kept = millis_of(settings.retention.answers);
        let (method, path) = (req.method().to_string(), req.path().to_owned());
        Ok(Some((Repeatable { key, caller, method, path, body, kept }, keys)))
    }
}

/// 200 with this body.
///
/// # Errors
/// [`Refusal::Internal`] for what cannot be written as JSON.
pub fn ok(body: &impl Serialize) -> Result<Reply, Refusal> {
    reply(StatusCode::OK, body)
}

/// 201 with this body.
///
/// # Errors
/// [`Refusal::Internal`] for what cannot be written as JSON.
pub fn created(body: &impl Serialize) -> Result<Reply, Refusal> {
    reply(StatusCode::CREATED, body)
}

fn reply(status: StatusCode, body: &impl Serialize) -> Result<Reply, Refusal> {
    let body = serde_json::to_vec(body).map_err(|_| Refusal::Internal)?;
    Ok(Reply { status: status.as_u16(), body, replayed: false })
}

fn told(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut answer = answer::json_of(status, reply.body);
    if reply.replayed {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}
