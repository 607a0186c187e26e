//! Errors as pages: for whoever asks for a page and names `text/html` in `Accept`. Everybody else gets the JSON
//! that was already made. A link that was never made, was withdrawn, or belongs to another host looks the same.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        StatusCode,
        header::{self, HeaderMap},
    },
};

use super::{
    logo::logo_on_own_host,
    view::{Sign, View},
    words::{Words, languages},
};
use crate::{config::settings, http::error, tenancy::Site};

/// Somebody who would read an error as a page.
#[derive(Clone, Debug)]
pub struct Reader {
    languages: String,
    tenant: Option<Arc<settings::Tenant>>,
}

/// Whether this path is a page, so that its answers depend on what the client accepts.
#[must_use]
pub fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with("/invites/") || path.starts_with("/workspace-invites/")
}

impl Reader {
    /// The reader behind a request; `None` if JSON is what it should get.
    #[must_use]
    pub fn of(req: &ServiceRequest) -> Option<Self> {
        let wants = is_page(req.path()) && names_html(req.headers());
        wants.then(|| Self { languages: accepted_languages(req.headers()).to_owned(), tenant: None })
    }

    /// The same, on this site.
    #[must_use]
    pub fn on(self, site: &Site) -> Self {
        let tenant = match site {
            Site::Tenant(tenant) => Some(tenant.clone()),
            Site::Platform | Site::Retired(_) => None,
        };
        Self { tenant, ..self }
    }

    /// The page in place of an answer that is an error; any other answer as it is. Headers that say what to
    /// do next are kept.
    #[must_use]
    pub fn instead(&self, answer: HttpResponse) -> HttpResponse {
        let status = answer.status();
        if !(status.is_client_error() || status.is_server_error()) {
            return answer;
        }
        let Ok(mut page) = self.view(status).answer(status) else { return answer };
        for name in [header::ALLOW, header::RETRY_AFTER] {
            if let Some(value) = answer.headers().get(&name) {
                page.headers_mut().insert(name, value.clone());
            }
        }
        page
    }

    fn view(&self, status: StatusCode) -> View<'_> {
        let tenant = self.tenant.as_deref();
        let chosen = tenant.and_then(|tenant| tenant.locale.as_deref());
        let words = Words::of(chosen.into_iter().chain(languages(&self.languages)));
        let (sign, said) = match status {
            StatusCode::NOT_FOUND => (Sign::Broken, words.unknown),
            StatusCode::MISDIRECTED_REQUEST => (Sign::Broken, words.nowhere),
            StatusCode::TOO_MANY_REQUESTS => (Sign::Wait, words.too_often),
            StatusCode::SERVICE_UNAVAILABLE => (Sign::Wait, words.unavailable),
            status if status.is_server_error() => (Sign::Broken, words.failed),
            _ => (Sign::Broken, words.refused),
        };
        let ours = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        View {
            sign,
            logo: tenant.and_then(logo_on_own_host),
            reference: ours.then(error::request_id).filter(|id| !id.is_empty()),
            ..View::saying(words, tenant, said)
        }
    }
}

/// What `Accept-Language` says.
pub(super) fn accepted_languages(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether `Accept` names HTML itself; `*/*` does not.
fn names_html(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
            html && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    })
}

#[cfg(test)]
mod tests {
    use actix_web::{body::MessageBody, test::TestRequest};

    use super::*;
    use crate::http::pages::tests::settings;

    fn reader(path: &str, accept: &str) -> Option<Reader> {
        Reader::of(&TestRequest::with_uri(path).insert_header((header::ACCEPT, accept)).to_srv_request())
    }

    #[test]
    fn only_who_names_html_on_a_page_gets_an_error_as_a_page() {
        for (path, accept, page) in [
            ("/invites/x", "text/html,application/xhtml+xml,*/*;q=0.8", true),
            ("/workspace-invites/x", "TEXT/HTML; q=0.9", true),
            ("/", "application/json, text/html", true),
            ("/invites/x", "*/*", false),
            ("/invites/x", "text/*", false),
            ("/invites/x", "application/json", false),
            ("/invites/x", "text/html;q=0, */*", false),
            ("/api/v1/invites/x", "text/html", false),
            ("/invites", "text/html", false),
        ] {
            assert_eq!(reader(path, accept).is_some(), page, "{path} {accept}");
        }
    }

    #[test]
    fn an_error_page_keeps_its_status_and_what_to_do_next() {
        let reader = reader("/invites/x", "text/html").unwrap();
        let json = HttpResponse::TooManyRequests().insert_header((header::RETRY_AFTER, "7")).json("x");
        let page = reader.instead(json);
        assert_eq!(page.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(page.headers().get(header::RETRY_AFTER).unwrap(), "7");
        assert_eq!(page.headers().get(header::CONTENT_TYPE).unwrap(), "text/html; charset=utf-8");
        let fine = reader.instead(HttpResponse::Ok().body("as it was"));
        assert_eq!(fine.into_body().try_into_bytes().unwrap(), "as it was");
    }

    #[test]
    fn the_page_of_an_unknown_link_names_the_tenant_of_the_host_and_nothing_else() {
        let tenant = settings().tenants[0].clone();
        let reader = reader("/invites/x", "text/html").unwrap().on(&Site::Tenant(tenant.clone()));
        let body = |reader: &Reader| {
            let page = reader.instead(HttpResponse::NotFound().finish()).into_body().try_into_bytes();
            String::from_utf8(page.unwrap().to_vec()).unwrap()
        };
        let page = body(&reader);
        assert!(page.contains("This link does not work") && page.contains("Acme Corp"));
        assert!(page.contains("help@acme.test") && !page.contains("Reference"));
        let retired = body(&reader.on(&Site::Retired(tenant)));
        assert!(!retired.contains("Acme Corp"));
    }
}
