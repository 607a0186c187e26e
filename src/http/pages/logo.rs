//! A tenant's logo: the file it configured, served at one path on its own hosts, and on platform hosts only to
//! whoever names the tenant and what the file is made of, which a page tells and nobody can guess.

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use moka::future::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::view::encoded;
use crate::{
    config::settings,
    domain::Refusal,
    http::{error::ApiError, extract::Visitor},
    mail::delivery::LOGO_PATH,
    tenancy::Site,
};

/// Largest file served, in bytes; a larger one is no logo.
const MOST: u64 = 512 * 1024;
/// How long a file is remembered before it is read again.
const LIFE: Duration = Duration::from_secs(5);

/// The files of this worker.
#[derive(Clone)]
pub(super) struct Logos(Cache<PathBuf, Option<Arc<Logo>>>);

/// A file.
struct Logo {
    bytes: web::Bytes,
    kind: &'static str,
    /// Hex digest of the bytes.
    version: String,
}

impl Default for Logos {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(256).time_to_live(LIFE).build())
    }
}

impl Logos {
    async fn get(&self, path: &Path) -> Option<Arc<Logo>> {
        self.0.get_with_by_ref(path, async { read(path).await.map(Arc::new) }).await
    }
}

async fn read(path: &Path) -> Option<Logo> {
    let kind = kind_of(path)?;
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await;
    let read = match file {
        Ok(file) => file.take(MOST + 1).read_to_end(&mut bytes).await,
        Err(error) => Err(error),
    };
    match read {
        Ok(_) if u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST) => {
            let digest = Sha256::digest(&bytes);
            let version = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            Some(Logo { bytes: bytes.into(), kind, version })
        }
        Ok(_) => {
            tracing::warn!(path = %path.display(), "a logo is larger than 512 KiB and is not served");
            None
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a logo cannot be read");
            None
        }
    }
}

fn kind_of(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

/// Where a page finds the tenant's logo: a file served here, else a URL on one of the tenant's own domains.
pub(super) async fn logo_of(tenant: &settings::Tenant, own_host: bool, logos: &Logos) -> Option<String> {
    let Some(path) = &tenant.branding.logo_file else { return tenant.branding.logo_url.clone() };
    let version = &logos.get(path).await?.version;
    Some(if own_host {
        format!("{LOGO_PATH}?v={version}")
    } else {
        format!("{LOGO_PATH}?tenant={}&v={version}", encoded(&tenant.slug, b""))
    })
}

/// The same on the tenant's own host, without a look at the file.
pub(super) fn logo_on_own_host(tenant: &settings::Tenant) -> Option<String> {
    match tenant.branding.logo_file {
        Some(_) => Some(LOGO_PATH.to_owned()),
        None => tenant.branding.logo_url.clone(),
    }
}

/// Which logo is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    tenant: Option<String>,
    v: Option<String>,
}

/// The file.
#[get("/usher/logo")]
pub(super) async fn logo_file(
    visitor: Visitor,
    asked: web::Query<Asked>,
    logos: web::Data<Logos>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let snapshot = visitor.state.registry.current();
    let (tenant, named) = match &visitor.visit.site {
        Site::Tenant(tenant) => (Some(tenant), false),
        Site::Platform => (asked.tenant.as_deref().and_then(|slug| snapshot.tenant_named(slug)), true),
        Site::Retired(_) => (None, true),
    };
    let path = tenant.and_then(|tenant| tenant.branding.logo_file.as_deref()).ok_or(Refusal::NotFound)?;
    let logo = logos.get(path).await.ok_or(Refusal::NotFound)?;
    let exact = asked.v.as_ref() == Some(&logo.version);
    if named && !exact {
        return Err(Refusal::NotFound.into());
    }
    Ok(answer(&logo, exact, req.headers().get(header::IF_NONE_MATCH)))
}

fn answer(logo: &Logo, exact: bool, known: Option<&header::HeaderValue>) -> HttpResponse {
    let tag = format!("\"{}\"", logo.version);
    let known = known.and_then(|value| value.to_str().ok()).is_some_and(|known| {
        known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
    });
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((header::ETAG, tag))
        .insert_header((
            header::CACHE_CONTROL,
            if exact { "public, max-age=31536000, immutable" } else { "public, max-age=300" },
        ))
        // an SVG opened by itself is a document: it may draw and do nothing else
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox",
        ));
    if known { answer.finish() } else { answer.content_type(logo.kind).body(logo.bytes.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::tests::tenant;

    #[actix_web::test]
    async fn a_logo_is_served_by_its_kind_and_named_by_its_content() {
        let dir = std::env::temp_dir().join(format!("usher-logo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        let (small, large) = (dir.join("a.SVG"), dir.join("b.png"));
        std::fs::write(&small, "<svg/>").unwrap();
        std::fs::write(&large, vec![0; 512 * 1024 + 1]).unwrap();
        let logos = Logos::default();
        let mut tenant = tenant();
        tenant.branding.logo_file = Some(small.clone());
        let own = logo_of(&tenant, true, &logos).await.unwrap();
        let platform = logo_of(&tenant, false, &logos).await.unwrap();
        let logo = logos.get(&small).await.unwrap();
        assert_eq!(own, format!("/usher/logo?v={}", logo.version));
        assert_eq!(platform, format!("/usher/logo?tenant=acme&v={}", logo.version));
        assert_eq!((logo.kind, logo.version.len()), ("image/svg+xml", 32));
        assert!(logos.get(&large).await.is_none() && logos.get(&dir.join("none.png")).await.is_none());
        tenant.branding.logo_file = Some(large);
        assert_eq!(logo_of(&tenant, true, &logos).await, None);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let logo = Logo { bytes: "<svg/>".into(), kind: "image/svg+xml", version: "abc".into() };
        for (known, status) in [("\"abc\"", 304), ("W/\"abc\", \"x\"", 304), ("*", 304), ("\"abd\"", 200)] {
            let value = header::HeaderValue::from_static(known);
            assert_eq!(answer(&logo, false, Some(&value)).status(), status, "{known}");
        }
        let fresh = answer(&logo, true, None);
        assert!(fresh.headers().get(header::CACHE_CONTROL).unwrap().to_str().unwrap().contains("immutable"));
        assert!(
            fresh
                .headers()
                .get(header::CONTENT_SECURITY_POLICY)
                .unwrap()
                .to_str()
                .unwrap()
                .contains("sandbox")
        );
    }
}
