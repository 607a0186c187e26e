//! What is particular to the paths of the invitations family before any handler: a slash at the end means nothing,
//! and errors, whoever makes them, say `success: false`.

use actix_web::{
    dev::ServiceRequest,
    http::uri::{PathAndQuery, Uri},
};

/// Where the family lives.
const FAMILY: &str = "/api/v1/invitations";
/// Where it creates: below, the organisation, and this.
const ORGANIZATIONS: (&str, &str) = ("/api/v1/organizations/", "/members/invite");

/// Whether answers on this path are `success` and `data`.
pub(super) fn is_worn(path: &str) -> bool {
    let below = path.strip_prefix(FAMILY).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below || path.starts_with(ORGANIZATIONS.0) && path.ends_with(ORGANIZATIONS.1)
}

/// Routes a path of the family with a slash at its end like the one without.
pub(super) fn drop_last_slash(req: &mut ServiceRequest) {
    let Some(path) = req.path().strip_suffix('/').filter(|path| is_worn(path)) else { return };
    let query = req.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(shorter) = PathAndQuery::try_from(format!("{path}{query}")) else { return };
    let mut parts = req.uri().clone().into_parts();
    parts.path_and_query = Some(shorter);
    if let Ok(uri) = Uri::from_parts(parts) {
        req.match_info_mut().get_mut().update(&uri);
        req.head_mut().uri = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_the_paths_of_the_family_lose_their_last_slash() {
        for (path, becomes) in [
            ("/api/v1/invitations/", "/api/v1/invitations"),
            ("/api/v1/invitations/?a=b", "/api/v1/invitations?a=b"),
            ("/api/v1/invitations/x/accept/", "/api/v1/invitations/x/accept"),
            ("/api/v1/organizations/acme/members/invite/", "/api/v1/organizations/acme/members/invite"),
            ("/api/v1/invitationsx/", "/api/v1/invitationsx/"),
            ("/api/v1/workspaces/", "/api/v1/workspaces/"),
            ("/api/v1/invitations", "/api/v1/invitations"),
        ] {
            let mut req = TestRequest::with_uri(path).to_srv_request();
            drop_last_slash(&mut req);
            assert_eq!(req.uri().to_string(), becomes);
            assert_eq!(req.match_info().as_str(), becomes.split('?').next().unwrap());
        }
    }
}
