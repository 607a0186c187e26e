//! What handlers are given: the caller, the tenant of a path, a body as an object, an id. Their types state
//! what a route needs.

use std::{future::Future, pin::Pin, rc::Rc, str::FromStr, sync::Arc, time::Duration};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderName},
    web,
};
use entity::{InviteId, TenantId, WorkspaceId};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{
    edge::host::Visit,
    error::{ApiError, Family},
    once,
    state::State,
};
use crate::{
    config::settings,
    domain::{EmailAddress, FieldError, Refusal, Scope},
    identity::{Call, Principal, agree, first_sight, single_header},
    store,
    tenancy::Site,
    tenants,
};

/// Largest body in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Which tenant is meant, by id or slug.
const TENANT: HeaderName = HeaderName::from_static("x-miosa-tenant");
/// Longest a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(9);

/// Where a request came in, without asking who calls.
pub struct Visitor {
    /// Shared state.
    pub state: web::Data<State>,
    /// Site, host, client.
    pub visit: Rc<Visit>,
    /// `X-MIOSA-Tenant`, an id or slug.
    pub named: Option<String>,
}

impl Visitor {
    fn of(req: &HttpRequest) -> Result<Self, Refusal> {
        let state = req.app_data::<web::Data<State>>().cloned().ok_or(Refusal::Internal)?;
        let visit = req.extensions().get::<Rc<Visit>>().cloned().ok_or(Refusal::Internal)?;
        let mut named = req.headers().get_all(TENANT);
        let first = named.next().map(|value| value.to_str().unwrap_or("?").trim().to_owned());
        if named.next().is_some() {
            return Err(Refusal::BadRequest("X-MIOSA-Tenant is given twice".into()));
        }
        Ok(Self { state, visit, named: first.filter(|name| !name.is_empty()) })
    }

    /// The tenant that host and header together allow; `None` where they say nothing.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where they contradict each other or name nobody.
    pub fn only_tenant(&self) -> Result<Option<Arc<settings::Tenant>>, Refusal> {
        let own = match &self.visit.site {
            Site::Tenant(tenant) => Some(tenant.clone()),
            Site::Platform | Site::Retired(_) => None,
        };
        let Some(name) = &self.named else { return Ok(own) };
        let named = self.state.registry.current().tenant_named(name).cloned().ok_or(Refusal::NotFound)?;
        if own.is_some_and(|own| own.id != named.id) {
            return Err(Refusal::NotFound);
        }
        self.visit.is_for(&named);
        Ok(Some(named))
    }

    /// What a list across tenants is narrowed to. A name of nobody narrows it to nothing, exactly as the name of a
    /// tenant does in which the caller has nothing: whether there is such a tenant shows nowhere.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where host and header contradict each other.
    pub fn narrowed_to(&self) -> Result<Option<TenantId>, Refusal> {
        match self.only_tenant() {
            Err(Refusal::NotFound) if self.site_tenant().is_none() => Ok(Some(TenantId(Uuid::nil()))),
            only => Ok(only?.map(|tenant| tenant.id)),
        }
    }

    /// What a public route serves: the tenant of a white-label host, whatever headers say.
    #[must_use]
    pub fn site_tenant(&self) -> Option<TenantId> {
        match &self.visit.site {
            Site::Tenant(tenant) => Some(tenant.id),
            Site::Platform | Site::Retired(_) => None,
        }
    }

    /// Notes the tenant that a refusal tells of, on routes that are of no tenant until they end.
    #[must_use]
    pub fn noted(&self, refusal: Refusal) -> Refusal {
        if let Refusal::AlreadyAccepted { by_you: Some(given) } = &refusal
            && let Some(tenant) = self.state.registry.current().tenant(given.tenant_id)
        {
            self.visit.is_for(tenant);
        }
        refusal
    }

    /// Counts an unknown token or a failed credential against the client's address.
    #[must_use]
    pub fn counted(&self, refusal: Refusal) -> Refusal {
        let rate = self.state.settings().limits.requests_per_ip;
        self.state.limits.failed(self.visit.client, rate, refusal)
    }
}

impl FromRequest for Visitor {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::of(req).map_err(ApiError::of(family(req))))
    }
}

/// Somebody with a valid credential.
pub struct Caller {
    /// Where it came in.
    pub at: Visitor,
    /// Who.
    pub principal: Principal,
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move { Self::of(&req).await.map_err(ApiError::of(family(&req))) })
    }
}

/// Which contract the refusals of a request follow.
fn family(req: &HttpRequest) -> Family {
    Family::of_route(req.method(), req.path())
}

async fn authenticate(req: &HttpRequest, at: &Visitor) -> Result<Option<Principal>, Refusal> {
    let settings = at.state.settings();
    let values = |name: &str| -> Vec<Vec<u8>> {
        req.headers().get_all(name).map(|value| value.as_bytes().to_vec()).collect()
    };
    let (bearer, key) = (values(header::AUTHORIZATION.as_str()), values(&settings.api_keys.header));
    let bearer = single_header(bearer.iter().map(Vec::as_slice))?;
    let key = single_header(key.iter().map(Vec::as_slice))?;
    at.state.auth.authenticate(bearer, key, at.site_tenant()).await
}

impl Caller {
    async fn of(req: &HttpRequest) -> Result<Self, Refusal> {
        // no credential at all is no failed one
        const NONE: Refusal = Refusal::Unauthenticated("send Authorization: Bearer <token or API key>");
        Self::if_any(req).await?.ok_or(NONE)
    }

    /// Whoever calls, where the route also serves callers without any credential.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] for a credential that is not good.
    pub async fn if_any(req: &HttpRequest) -> Result<Option<Self>, Refusal> {
        let at = Visitor::of(req)?;
        let principal = authenticate(req, &at).await.map_err(|refusal| at.counted(refusal))?;
        let Some(principal) = principal else { return Ok(None) };
        once::note_caller(req, &principal);
        Ok(Some(Self { at, principal }))
    }

    /// The call within this tenant, if host, header, key and path agree on it. A configured owner becomes one
    /// here, on first sight.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where they do not agree.
    pub async fn within(self, tenant: Arc<settings::Tenant>) -> Result<(web::Data<State>, Call), Refusal> {
        if self.at.only_tenant()?.is_some_and(|only| only.id != tenant.id) {
            return Err(Refusal::NotFound);
        }
        agree(&self.principal, tenant.id)?;
        self.at.visit.is_for(&tenant);
        if self.at.visit.changes {
            // not told to whose credential is another tenant's
            self.at.state.lanes.require_room(Some(tenant.id))?;
        }
        let state = self.at.state;
        let host = match &self.at.visit.site {
            Site::Tenant(_) => self.at.visit.host.clone(),
            Site::Platform | Site::Retired(_) => None,
        };
        let sighting = state.auth.first_sight().sighting(&self.principal);
        let call = Call { tenant, principal: self.principal, site_host: host, sighting, sharing: false };
        grant_owner(&state, &call).await?;
        Ok((state, call))
    }

    /// [`Caller::within`] for the tenant of a path, by id or slug.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn within_named(self, id_or_slug: &str) -> Result<(web::Data<State>, Call), Refusal> {
        let tenant = self.at.state.registry.current().tenant_named(id_or_slug).cloned();
        self.within(tenant.ok_or(Refusal::NotFound)?).await
    }

    /// [`Caller::within`] for the tenant that a workspace belongs to.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn within_workspace(self, id: WorkspaceId) -> Result<(web::Data<State>, Call), Refusal> {
        let tenant = self.at.state.places.tenant_of(id).await?;
        let tenant = tenant.and_then(|id| self.at.state.registry.current().tenant(id).cloned());
        self.within(tenant.ok_or(Refusal::NotFound)?).await
    }

    /// [`Caller::within`] for the tenant that an invite belongs to, with the scope of the invite.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn within_invite(self, id: InviteId) -> Result<(web::Data<State>, Call, Scope), Refusal> {
        let store = self.at.state.store.clone();
        let row = store.look_up(async move |db| store::invites::find_for_link(&db, id).await).await?;
        let row = row.ok_or(Refusal::NotFound)?;
        let tenant = self.at.state.registry.current().tenant(row.tenant_id).cloned();
        let (state, call) = self.within(tenant.ok_or(Refusal::NotFound)?).await?;
        Ok((state, call, Scope::of(row.workspace_id)))
    }

    /// Every tenant that host, header and key leave to this caller. Where they are a configured owner to be, they
    /// become one here.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where host and header contradict each other.
    pub async fn everywhere(
        self,
    ) -> Result<(web::Data<State>, Principal, Vec<Arc<settings::Tenant>>), Refusal> {
        let state = self.at.state.clone();
        let only = self.at.narrowed_to()?;
        let all = state.settings().tenants.clone();
        let left: Vec<_> = all
            .into_iter()
            .filter(|tenant| only.is_none_or(|only| only == tenant.id))
            .filter(|tenant| agree(&self.principal, tenant.id).is_ok())
            .collect();
        for tenant in &left {
            if owner_to_be(&state, tenant, &self.principal).await?.is_none() {
                continue;
            }
            let sighting = state.auth.first_sight().sighting(&self.principal);
            let (tenant, principal) = (tenant.clone(), self.principal.clone());
            grant_owner(&state, &Call { tenant, principal, site_host: None, sighting, sharing: false })
                .await?;
        }
        Ok((state, self.principal, left))
    }

    /// [`Caller::within`] for the only tenant that can be meant: by host, header, key, or because the caller
    /// belongs to one only.
    ///
    /// # Errors
    /// [`Refusal::AmbiguousOrg`] for a caller of several; [`Refusal::OrgNotFound`] for one of none.
    pub async fn within_own(self) -> Result<(web::Data<State>, Call), Refusal> {
        if let Some(tenant) = self.at.only_tenant()? {
            return self.within(tenant).await;
        }
        let snapshot = self.at.state.registry.current();
        let known = self.principal.pinned_to.or(self.principal.confined_to);
        if let Some(tenant) = known {
            let tenant = snapshot.tenant(tenant).cloned().ok_or(Refusal::NotFound)?;
            return self.within(tenant).await;
        }
        let user = self.principal.person()?.id.clone();
        let mut own = Vec::new();
        // before the memberships, among which whoever becomes an owner meanwhile is found
        for tenant in &snapshot.settings.tenants {
            if owner_to_be(&self.at.state, tenant, &self.principal).await?.is_some() {
                own.push(tenant.clone());
            }
        }
        for (id, _) in tenants::own::own(&self.at.state.tenants, user).await? {
            let known = own.iter().any(|known| known.id == id);
            own.extend(snapshot.tenant(id).filter(|_| !known).cloned());
        }
        match own.len() {
            0 => Err(Refusal::OrgNotFound),
            1 => self.within(own.swap_remove(0)).await,
            _ => Err(Refusal::AmbiguousOrg),
        }
    }
}

async fn grant_owner(state: &State, call: &Call) -> Result<(), Refusal> {
    let Some(email) = owner_to_be(state, &call.tenant, &call.principal).await? else { return Ok(()) };
    tenants::grant_owner::grant_owner(&state.tenants, call, email.clone()).await?;
    let seen = state.auth.first_sight();
    if let Some(user) = call.user_id() {
        seen.forget(user);
    }
    Ok(())
}

/// The address by which a caller is still to become an owner of the tenant, if there is one.
async fn owner_to_be(
    state: &State,
    tenant: &settings::Tenant,
    principal: &Principal,
) -> Result<Option<EmailAddress>, Refusal> {
    let Some(email) = first_sight::owners_to_grant(tenant, principal) else { return Ok(None) };
    let seen = state.auth.first_sight();
    if seen.is_granted(tenant.id, &email) {
        return Ok(None);
    }
    let (id, key) = (tenant.id, principal.person()?.grant_key(&email));
    let by_operator = key != email.norm();
    let granted =
        state.store.look_up(async move |db| store::owners_granted::exists(&db, id, &key).await).await?;
    if granted && !by_operator {
        seen.remember_granted(tenant.id, &email);
    }
    Ok((!granted).then_some(email))
}

/// A body: a JSON object, or nothing at all where nothing is needed.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let declared = req.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let json =
            match req.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default()) {
                None => true,
                Some(kind) => kind
                    .split(';')
                    .next()
                    .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")),
            };
        let (payload, family) = (payload.take(), family(req));
        let asked = once::is_asked(req).then(|| req.clone());
        Box::pin(async move {
            let body = async {
                let bytes = tokio::time::timeout(BODY_TIME, read(payload, declared)).await;
                let bytes = bytes.map_err(|_| Refusal::RequestTimeout)??;
                if !json && !bytes.is_empty() {
                    return Err(Refusal::UnsupportedMediaType);
                }
                if let Some(req) = asked {
                    once::note_body(&req, &bytes);
                }
                decode(&bytes)
            };
            body.await.map(Self).map_err(ApiError::of(family))
        })
    }
}

async fn read(mut payload: Payload, declared: Option<usize>) -> Result<Vec<u8>, Refusal> {
    let too_large = Refusal::TooLarge { limit: BODY_LIMIT };
    if declared.is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large);
    }
    let mut bytes = Vec::with_capacity(declared.unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Refusal::BadRequest("the body is broken off".into()))?;
        if bytes.len() + chunk.len() > BODY_LIMIT {
            return Err(too_large);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads an object of the right shape; an array would fill a struct by position, so it is no object.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let text = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(Refusal::BadRequest("the body must be a JSON object".into()));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            let path = error.path().to_string();
            let what = format!("`{path}` is given twice or is not of the right type");
            return Refusal::Validation(vec![FieldError::new("body", what)]);
        }
        Refusal::BadRequest(format!(
            "the body is no valid JSON (line {}, column {})",
            inner.line(),
            inner.column()
        ))
    })?;
    json.end().map_err(|_| Refusal::BadRequest("something follows the JSON object".into()))?;
    Ok(value)
}

/// An id of a path.
///
/// # Errors
/// [`Refusal::InvalidId`] if it is no UUID.
pub fn id<T: FromStr>(text: &str) -> Result<T, Refusal> {
    // hyphenated only: other spellings would be other URLs of the same thing
    let canonical = text.len() == 36;
    text.parse().ok().filter(|_| canonical).ok_or(Refusal::InvalidId)
}
