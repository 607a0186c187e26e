//! `/docs`: the reference of the API as a page (Swagger UI), from assets inside the binary; it loads nothing
//! from elsewhere, and its policy lets it load nothing else.

use std::sync::{Arc, LazyLock};

use actix_web::{HttpResponse, get, http::header, web};
use utoipa_swagger_ui::{Config, serve};

use crate::{domain::Refusal, http::error::ApiError};

/// Its styles are set by script, hence `unsafe-inline` there and only there.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["/openapi.json"]).validator_url("none").deep_linking(true);
    Arc::new(config.display_operation_id(false).default_models_expand_depth(0).try_it_out_enabled(false))
});

/// The page lies in a folder, since its assets are beside it. Browsers keep the fragment.
#[get("/docs")]
pub async fn moved() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// The page and its assets.
#[get("/docs/{file:.*}")]
pub async fn docs(file: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let found = serve(&file, CONFIG.clone()).map_err(|error| {
        tracing::error!(%error, "the reference cannot be served");
        Refusal::Internal
    })?;
    let found = found.ok_or(Refusal::NotFound)?;
    let made_here = file.is_empty() || &*file == "index.html" || &*file == "swagger-initializer.js";
    let kind = match found.content_type.as_str() {
        "text/html" => "text/html; charset=utf-8".to_owned(),
        _ => found.content_type,
    };
    let cache = if made_here { "no-store" } else { "public, max-age=86400" };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, cache))
        .body(found.bytes.into_owned()))
}
