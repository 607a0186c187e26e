//! What no handler took: a path that exists answers 405 with what it allows, any other 404.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_web::{HttpRequest, HttpResponse, ResponseError, http::header, web};

use crate::{domain::Refusal, http::error::ApiError};

/// Methods by route pattern, read off the OpenAPI document and completed with the pages: when they are first asked for,
/// since making the document takes memory that an idle server need not have touched.
pub struct Allowed(LazyLock<Methods>);

impl Allowed {
    /// The methods that this finds.
    #[must_use]
    pub fn new(find: fn() -> Methods) -> Self {
        Self(LazyLock::new(find))
    }

    fn header(&self, pattern: &str) -> Option<String> {
        let mut methods = self.0.0.get(&shape(pattern))?.clone();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        Some(methods.join(", "))
    }
}

/// Methods by the shape of a pattern.
#[derive(Debug, Default)]
pub struct Methods(BTreeMap<String, Vec<&'static str>>);

impl Methods {
    /// Reads the methods of every path of the document.
    #[must_use]
    pub fn of(document: &utoipa::openapi::OpenApi) -> Self {
        let mut allowed = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            let methods = [
                ("GET", item.get.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let methods = methods.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
            allowed.insert(shape(path), methods);
        }
        Self(allowed)
    }

    /// Adds a route that the document does not show.
    pub fn add(&mut self, pattern: &str, method: &'static str) {
        self.0.entry(shape(pattern)).or_default().push(method);
    }
}

/// A pattern without the names of its parameters, which say nothing about what it matches.
fn shape(pattern: &str) -> String {
    let parts = pattern.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The default service.
pub async fn unmatched(req: HttpRequest, allowed: web::Data<Allowed>) -> HttpResponse {
    let pattern = req.match_pattern();
    if let Some(methods) = pattern.and_then(|pattern| allowed.header(&pattern)) {
        let mut answer = ApiError::from(Refusal::MethodNotAllowed).error_response();
        if let Ok(value) = header::HeaderValue::from_str(&methods) {
            answer.headers_mut().insert(header::ALLOW, value);
        }
        return answer;
    }
    ApiError::from(Refusal::NotFound).error_response()
}

/// Path parameters that cannot be read name nothing.
#[must_use]
pub fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|_, _| ApiError::from(Refusal::NotFound).into())
}

/// Query strings that cannot be read answer like every other error.
#[must_use]
pub fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|_, _| {
        ApiError::from(Refusal::field("query", "has a parameter of the wrong type")).into()
    })
}
