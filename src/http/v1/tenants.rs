//! Tenants as their members see them. What the configuration files own cannot be written here.

use actix_web::{HttpResponse, delete, get, post, put, web};
use entity::Role;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{body::ErrorBody, member_body::BareAndData};
use crate::{
    config::settings,
    domain::{Refusal, clock::rfc3339},
    http::{
        error::ApiError,
        extract::{Body, Caller},
        once::{self, Once},
        state::State,
    },
    identity::{Call, PrincipalKind},
    tenants::own,
};

/// A tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrgBody {
    /// Its id.
    pub id: Uuid,
    /// Its display name.
    pub name: String,
    /// Its short name.
    pub slug: String,
    /// The caller's role there; null for system admins.
    pub role: Option<&'static str>,
    /// Always null.
    pub owner_user_id: Option<String>,
    /// Always null: usher bills nobody.
    pub plan_id: Option<String>,
    /// Always null.
    pub plan_name: Option<String>,
    /// Always empty.
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// Its looks, as configured.
    pub branding: Option<BrandingBody>,
}

impl OrgBody {
    fn of(tenant: &settings::Tenant, role: Option<Role>) -> Self {
        Self {
            id: tenant.id.0,
            name: tenant.name.clone(),
            slug: tenant.slug.clone(),
            role: role.map(Role::as_str),
            owner_user_id: None,
            plan_id: None,
            plan_name: None,
            settings: Map::new(),
            branding: BrandingBody::of(tenant),
        }
    }
}

/// The caller's tenants.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrgList {
    /// In order of joining.
    pub data: Vec<OrgBody>,
    /// How many there are.
    pub total: usize,
}

/// Looks of a tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BrandingBody {
    /// Display name.
    pub name: String,
    /// The same, as some clients name it.
    pub product_name: String,
    /// Logo.
    pub logo_url: Option<String>,
    /// `#rrggbb`.
    pub primary_color: Option<String>,
    /// Always null.
    pub background_color: Option<String>,
    /// Where to ask for help.
    pub support_email: Option<String>,
    /// The same as a page.
    pub support_url: Option<String>,
}

impl BrandingBody {
    fn of(tenant: &settings::Tenant) -> Option<Self> {
        let looks = &tenant.branding;
        (*looks != settings::Branding::default()).then(|| Self {
            name: tenant.name.clone(),
            product_name: tenant.name.clone(),
            logo_url: looks.logo_url.clone(),
            primary_color: looks.primary_color.clone(),
            background_color: None,
            support_email: looks.support_email.clone(),
            support_url: looks.support_url.clone(),
        })
    }
}

/// List the caller's tenants; all of them for a system admin.
#[utoipa::path(tag = "tenants", operation_id = "list_tenants",
    responses(
        (status = 200, description = "Tenants", body = OrgList),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/platform/tenants")]
pub async fn list_tenants(caller: Caller) -> Result<HttpResponse, ApiError> {
    let only = caller.at.narrowed_to()?;
    let principal = &caller.principal;
    let snapshot = caller.at.state.registry.current();
    let shown = |id| {
        only.is_none_or(|only| only == id)
            && principal.pinned_to.is_none_or(|pin| pin == id)
            && principal.confined_to.is_none_or(|home| home == id)
    };
    let own = match (&principal.user, principal.kind) {
        (_, PrincipalKind::ServiceKey(_, role)) => {
            principal.pinned_to.map(|id| (id, role)).into_iter().collect()
        }
        (Some(user), _) => own::own(&caller.at.state.tenants, user.id.clone()).await?,
        (None, _) => vec![],
    };
    let role_in = |id| own.iter().find(|(tenant, _)| *tenant == id).map(|(_, role)| *role);
    let data: Vec<OrgBody> = if principal.system_admin {
        let all = snapshot.settings.tenants.iter().filter(|tenant| shown(tenant.id));
        all.map(|tenant| OrgBody::of(tenant, role_in(tenant.id))).collect()
    } else {
        let own = own.iter().filter(|(id, _)| shown(*id));
        own.filter_map(|(id, role)| Some(OrgBody::of(snapshot.tenant(*id)?, Some(*role)))).collect()
    };
    Ok(HttpResponse::Ok().json(OrgList { total: data.len(), data }))
}

/// The tenant that host, header or key name, or the only one the caller belongs to.
#[utoipa::path(tag = "tenants", operation_id = "get_current_tenant",
    responses(
        (status = 200, description = "The tenant", body = BareAndData<OrgBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/platform/tenants/current")]
pub async fn get_current_tenant(caller: Caller) -> Result<HttpResponse, ApiError> {
    let (_, call, role) = member(caller.within_own().await?).await?;
    Ok(HttpResponse::Ok().json(BareAndData::from(OrgBody::of(&call.tenant, role))))
}

/// Answer of a switch. usher mints no credentials.
#[derive(Debug, Serialize, ToSchema)]
pub struct Switched {
    /// The tenant.
    pub tenant: OrgBody,
    /// Always null.
    pub token: Option<String>,
    /// Always null.
    pub refresh_token: Option<String>,
}

/// Check that the caller may use a tenant. For people only: a key has one tenant.
#[utoipa::path(tag = "tenants", operation_id = "switch_tenant",
    responses(
        (status = 200, description = "The tenant", body = Switched),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/platform/tenants/{tenant_id}/switch")]
pub async fn switch_tenant(
    caller: Caller,
    path: web::Path<String>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    if caller.principal.kind != PrincipalKind::Person {
        return Err(Refusal::Forbidden("an API key cannot switch tenants").into());
    }
    let within = caller.within_named(&path).await.map_err(not_an_org)?;
    let (state, call, role) = member(within).await.map_err(not_an_org)?;
    let tenant = OrgBody::of(&call.tenant, role);
    let reply = once::ok(&Switched { tenant, token: None, refresh_token: None })?;
    Ok(once.answer_read(&state.tenants, call.tenant.id, reply).await?)
}

fn not_an_org(refusal: Refusal) -> Refusal {
    if refusal == Refusal::NotFound { Refusal::OrgNotFound } else { refusal }
}

/// Name and slug of a tenant are its file's.
///
/// **Permissions**: tenant owner; answers 409 `MANAGED_BY_CONFIG`.
#[utoipa::path(tag = "tenants", operation_id = "update_tenant", request_body = serde_json::Value,
    responses(
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[put("/tenants/{tenant_id}")]
pub async fn update_tenant(
    caller: Caller,
    path: web::Path<String>,
    _body: Body<Map<String, Value>>,
) -> Result<HttpResponse, ApiError> {
    managed(caller.within_named(&path).await?, Role::Owner).await
}

/// The plan: there are none, so everything is allowed.
#[utoipa::path(tag = "tenants", operation_id = "get_tenant_plan",
    responses(
        (status = 200, description = "The plan", body = serde_json::Value),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenant/plan")]
pub async fn get_tenant_plan(caller: Caller) -> Result<HttpResponse, ApiError> {
    let (_, call, _) = member(caller.within_own().await?).await?;
    let seats = call.tenant.invites.seats;
    let limits = seats.map(|seats| json!({ "seats": seats })).unwrap_or_else(|| json!({}));
    let since = rfc3339(entity::Millis(0));
    Ok(HttpResponse::Ok().json(json!({
        "id": "self-hosted", "name": "Self-hosted", "plan": "self-hosted", "status": "active",
        "limits": limits, "usage": {}, "metadata": {}, "created_at": since, "updated_at": since,
    })))
}

/// Looks, or null.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrandingAnswer {
    /// As configured.
    pub branding: Option<BrandingBody>,
}

/// The looks of the caller's tenant.
#[utoipa::path(tag = "white-label", operation_id = "get_branding",
    responses(
        (status = 200, description = "Looks", body = BrandingAnswer),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenant/branding")]
pub async fn get_branding(caller: Caller) -> Result<HttpResponse, ApiError> {
    let (_, call, _) = member(caller.within_own().await?).await?;
    Ok(HttpResponse::Ok().json(BrandingAnswer { branding: BrandingBody::of(&call.tenant) }))
}

/// Looks are the file's.
///
/// **Permissions**: tenant owner or admin; answers 409 `MANAGED_BY_CONFIG`.
#[utoipa::path(tag = "white-label", operation_id = "put_branding", request_body = serde_json::Value,
    responses(
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[put("/tenant/branding")]
pub async fn put_branding(caller: Caller, _body: Body<Map<String, Value>>) -> Result<HttpResponse, ApiError> {
    managed(caller.within_own().await?, Role::Admin).await
}

/// Looks are the file's.
///
/// **Permissions**: tenant owner or admin; answers 409 `MANAGED_BY_CONFIG`.
#[utoipa::path(tag = "white-label", operation_id = "delete_branding",
    responses(
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/tenant/branding")]
pub async fn delete_branding(caller: Caller) -> Result<HttpResponse, ApiError> {
    managed(caller.within_own().await?, Role::Admin).await
}

/// The domain of a tenant's links.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainBody {
    /// Primary domain, or null.
    pub preview_domain: Option<String>,
    /// The same, as some clients name it.
    pub domain: Option<String>,
    /// Origin of links without a domain.
    pub default_domain: String,
    /// `configured` or `not_configured`.
    pub status: &'static str,
    /// Whether it serves.
    pub verified: bool,
    /// Always null: the operator sets DNS up.
    pub verified_at: Option<String>,
    /// Always null.
    pub cname_target: Option<String>,
    /// Always null.
    pub dns_instructions: Option<String>,
    /// Always empty.
    pub records: Vec<String>,
}

/// The domain of the caller's tenant.
#[utoipa::path(tag = "white-label", operation_id = "get_preview_domain",
    responses(
        (status = 200, description = "The domain", body = DomainBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenant/preview-domain")]
pub async fn get_preview_domain(caller: Caller) -> Result<HttpResponse, ApiError> {
    let (_, body) = domain(caller).await?;
    Ok(HttpResponse::Ok().json(body))
}

/// Whether the domain of the caller's tenant serves: it does as soon as it is configured.
#[utoipa::path(tag = "white-label", operation_id = "verify_preview_domain",
    responses(
        (status = 200, description = "The domain", body = DomainBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/tenant/preview-domain/verify")]
pub async fn verify_preview_domain(caller: Caller, once: Once) -> Result<HttpResponse, ApiError> {
    let ((state, call), body) = domain(caller).await?;
    Ok(once.answer_read(&state.tenants, call.tenant.id, once::ok(&body)?).await?)
}

/// Whether the domain of the caller's tenant serves: the same by GET.
#[utoipa::path(tag = "white-label", operation_id = "get_preview_domain_verification",
    responses(
        (status = 200, description = "The domain", body = DomainBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenant/preview-domain/verify")]
pub async fn get_preview_domain_verification(caller: Caller) -> Result<HttpResponse, ApiError> {
    let (_, body) = domain(caller).await?;
    Ok(HttpResponse::Ok().json(body))
}

async fn domain(caller: Caller) -> Result<(Within, DomainBody), Refusal> {
    let (state, call, _) = member(caller.within_own().await?).await?;
    let primary = call.tenant.domains.first().map(ToString::to_string);
    let body = DomainBody {
        domain: primary.clone(),
        default_domain: state.settings().server.base_url.clone(),
        status: if primary.is_some() { "configured" } else { "not_configured" },
        verified: primary.is_some(),
        preview_domain: primary,
        verified_at: None,
        cname_target: None,
        dns_instructions: None,
        records: vec![],
    };
    Ok(((state, call), body))
}

/// Domains are the file's.
///
/// **Permissions**: tenant owner or admin; answers 409 `MANAGED_BY_CONFIG`.
#[utoipa::path(tag = "white-label", operation_id = "put_preview_domain", request_body = serde_json::Value,
    responses(
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[put("/tenant/preview-domain")]
pub async fn put_preview_domain(
    caller: Caller,
    _body: Body<Map<String, Value>>,
) -> Result<HttpResponse, ApiError> {
    managed(caller.within_own().await?, Role::Admin).await
}

/// Domains are the file's.
///
/// **Permissions**: tenant owner or admin; answers 409 `MANAGED_BY_CONFIG`.
#[utoipa::path(tag = "white-label", operation_id = "delete_preview_domain",
    responses(
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/tenant/preview-domain")]
pub async fn delete_preview_domain(caller: Caller) -> Result<HttpResponse, ApiError> {
    managed(caller.within_own().await?, Role::Admin).await
}

/// A call within a tenant and the state it came with.
type Within = (web::Data<State>, Call);

/// The caller's role in the tenant; strangers find nothing.
async fn member((state, call): Within) -> Result<(web::Data<State>, Call, Option<Role>), Refusal> {
    let asked = call.clone();
    let standing = state.store.read(async move |db| asked.standing(&db, None).await).await?;
    call.require_member(standing)?;
    Ok((state, call, standing.tenant))
}

/// What files own is refused to those who could write it, and to others like everything else.
async fn managed(within: Within, least: Role) -> Result<HttpResponse, ApiError> {
    let (_, _, role) = member(within).await?;
    if role < Some(least) {
        return Err(Refusal::Forbidden("your role does not allow that").into());
    }
    Err(Refusal::ManagedByConfig.into())
}
