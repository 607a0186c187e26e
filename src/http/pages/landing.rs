//! What a link shows whoever opens it: who invites, into what, as what, until when, and how to go on. One page
//! per state; opening it changes nothing, however often and by whatever machine. Also what `/` says.

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{StatusCode, header},
    web,
};
use entity::{InviteStatus, Millis};

use super::{
    errors::accepted_languages,
    logo::{Logos, logo_of},
    view::{Fact, Link, Sign, View, encoded},
    words::{self, Words, languages},
};
use crate::{
    domain::{Refusal, Scope, clock::rfc3339, email},
    http::{
        error::{ApiError, Family},
        extract::Visitor,
    },
    invites::{
        preview::{self, Preview},
        proof::{Kind, Presented},
    },
    tenancy::{Site, links},
};

/// The page of a link into an organisation.
#[get("/invites/{token}")]
pub async fn org_page(
    visitor: Visitor,
    token: web::Path<String>,
    logos: web::Data<Logos>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    show(&visitor, token.into_inner(), Kind::Org, &logos, &req).await
}

/// The page of a link into a workspace.
#[get("/workspace-invites/{token}")]
pub async fn workspace_page(
    visitor: Visitor,
    token: web::Path<String>,
    logos: web::Data<Logos>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    show(&visitor, token.into_inner(), Kind::Workspace, &logos, &req).await
}

/// What a host says that somebody opens without a link.
#[get("/")]
pub async fn home(
    visitor: Visitor,
    logos: web::Data<Logos>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let tenant = match &visitor.visit.site {
        Site::Tenant(tenant) => Some(tenant.as_ref()),
        Site::Platform | Site::Retired(_) => None,
    };
    let accepted = accepted_languages(req.headers());
    let words =
        Words::of(tenant.and_then(|tenant| tenant.locale.as_deref()).into_iter().chain(languages(accepted)));
    let logo = match tenant {
        Some(tenant) => logo_of(tenant, true, &logos).await,
        None => None,
    };
    let view = View { logo, ..View::saying(words, tenant, words.home) };
    Ok(view.answer(StatusCode::OK)?)
}

async fn show(
    visitor: &Visitor,
    token: String,
    kind: Kind,
    logos: &Logos,
    req: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let site = &visitor.visit.site;
    let link = Presented { token, kind, within: site.tenant().map(|tenant| tenant.id) };
    let preview = preview::preview(&visitor.state.invites, &link).await;
    let family = if kind == Kind::Org { Family::OrgPreview } else { Family::Standard };
    let preview = preview.map_err(|refusal| visitor.counted(refusal));
    let snapshot = visitor.state.registry.current();
    if let Site::Retired(tenant) = site {
        return moved(preview, &links::primary_origin(&snapshot, tenant), &link.token);
    }
    let preview = preview.map_err(ApiError::of(family))?;
    let tenant = preview.tenant.clone();
    let origin = links::origin(&snapshot, &tenant, preview.link_host.as_deref());
    let landing = Landing {
        preview: &preview,
        url: format!("{origin}{}", links::landing_path(preview.scope, &link.token)),
        now: visitor.state.store.clock().now(),
        languages: accepted_languages(req.headers()),
        logo: logo_of(&tenant, matches!(site, Site::Tenant(_)), logos).await,
    };
    Ok(landing.view().answer(StatusCode::OK)?)
}

/// A domain that the tenant gave up still leads to its live links, and to nothing else.
fn moved(preview: Result<Preview, Refusal>, primary: &str, token: &str) -> Result<HttpResponse, ApiError> {
    match preview {
        Ok(preview) if preview.status == InviteStatus::Pending => {
            let location = format!("{primary}{}", links::landing_path(preview.scope, token));
            Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish())
        }
        Ok(_) | Err(Refusal::InvalidToken) => Err(Refusal::UnknownHost.into()),
        Err(refusal) => Err(refusal.into()),
    }
}

/// A link and who looks at it.
struct Landing<'a> {
    preview: &'a Preview,
    /// The link as it was mailed.
    url: String,
    now: Millis,
    languages: &'a str,
    logo: Option<String>,
}

impl<'a> Landing<'a> {
    fn view(self) -> View<'a> {
        let preview = self.preview;
        let tenant = preview.tenant.as_ref();
        let chosen = preview.locale.as_deref().or(tenant.locale.as_deref());
        let words = Words::of(chosen.into_iter().chain(languages(self.languages)));
        let names = Names::of(preview);
        let gaps = names.gaps();
        let html = |sentence| words::html(sentence, &gaps);
        let said = |said: words::Said| View {
            heading: html(said.heading),
            lead: html(said.lead),
            logo: self.logo.clone(),
            ..View::saying(words, Some(tenant), said)
        };
        match preview.status {
            InviteStatus::Accepted => View {
                sign: Sign::Done,
                action: tenant
                    .links
                    .after_accept_url
                    .clone()
                    .map(|href| Link { href, label: words::text(words.open, &gaps) }),
                ..said(words.accepted)
            },
            InviteStatus::Pending => View {
                title: words::text(words.title, &gaps),
                heading: html(words.heading),
                lead: html(names.lead(words, preview.scope)),
                facts: self.facts(words, &names),
                action: tenant.links.sign_in_url.as_deref().map(|page| Link {
                    href: page.replace("{return_to}", &encoded(&self.url, b"")),
                    label: words.sign_in.to_owned(),
                }),
                hint: Some(html(match tenant.links.sign_in_url {
                    Some(_) => words.sign_in_as,
                    None => words.how_to_accept,
                })),
                footnote: Some(words.unexpected),
                ..said(words.expired)
            },
            // declined and revoked links show nothing and never come here
            InviteStatus::Expired | InviteStatus::Declined | InviteStatus::Revoked => View {
                sign: Sign::Late,
                lead: html(if names.inviter.is_some() { words.expired.lead } else { words.expired_unnamed }),
                facts: self.facts(words, &names),
                ..said(words.expired)
            },
        }
    }

    fn facts(&self, words: &Words, names: &Names) -> Vec<Fact> {
        let preview = self.preview;
        let fact = |label, value| Fact { label, value, time: None, more: None };
        let (role, may) = words.role(preview.role, preview.scope);
        let pending = preview.status == InviteStatus::Pending;
        let mut facts = vec![fact(words.label_address, names.address.clone())];
        if pending {
            facts.push(Fact { more: Some(may.to_owned()), ..fact(words.label_role, role.to_owned()) });
        }
        facts.push(Fact {
            time: Some(rfc3339(preview.expires_at)),
            more: pending.then(|| words.left(preview.expires_at, self.now)),
            ..fact(
                if pending { words.label_until } else { words.label_expired },
                words.date(preview.expires_at),
            )
        });
        facts
    }
}

/// What fills the gaps, made fit to be shown.
struct Names {
    tenant: String,
    workspace: Option<String>,
    inviter: Option<String>,
    address: String,
}

impl Names {
    fn of(preview: &Preview) -> Self {
        let name = |name: &Option<String>| name.as_deref().map(words::shown).filter(|name| !name.is_empty());
        Self {
            tenant: words::shown(&preview.tenant.name),
            workspace: name(&preview.workspace_name),
            inviter: name(&preview.inviter_name),
            address: email::mask(&preview.email),
        }
    }

    fn gaps(&self) -> [(&'static str, &str); 5] {
        let workspace = self.workspace.as_deref();
        [
            ("tenant", &self.tenant),
            ("workspace", workspace.unwrap_or_default()),
            ("place", workspace.unwrap_or(&self.tenant)),
            ("inviter", self.inviter.as_deref().unwrap_or_default()),
            ("address", &self.address),
        ]
    }

    fn lead(&self, words: &Words, scope: Scope) -> &'static str {
        let into_workspace = matches!(scope, Scope::Workspace(_)) && self.workspace.is_some();
        match (into_workspace, self.inviter.is_some()) {
            (false, true) => words.lead_tenant,
            (true, true) => words.lead_workspace,
            (false, false) => words.lead_tenant_unnamed,
            (true, false) => words.lead_workspace_unnamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::body::MessageBody;
    use entity::{Role, WorkspaceId};

    use super::*;
    use crate::http::pages::tests::tenant;

    const URL: &str = "https://app.acme.test/workspace-invites/eyJ.abc.def";

    fn preview(status: InviteStatus) -> Preview {
        Preview {
            tenant: Arc::new(tenant()),
            scope: Scope::Workspace(WorkspaceId(uuid::Uuid::nil())),
            workspace_name: Some("Dr. Smith Clinic".into()),
            inviter_name: Some("Bob Jones".into()),
            email: "alice@example.com".into(),
            role: Role::Admin,
            status,
            expires_at: Millis(1_767_323_045_999),
            locale: None,
            link_host: None,
        }
    }

    fn page(preview: &Preview, languages: &str) -> String {
        let now = Millis(preview.expires_at.0 - 6 * 24 * 3_600_000);
        let landing = Landing { preview, url: URL.into(), now, languages, logo: None };
        let answer = landing.view().answer(StatusCode::OK).unwrap();
        String::from_utf8(answer.into_body().try_into_bytes().unwrap().to_vec()).unwrap()
    }

    fn hrefs(page: &str) -> Vec<&str> {
        page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn a_pending_invite_shows_who_invites_into_what_as_what_until_when_and_how_to_go_on() {
        let page = page(&preview(InviteStatus::Pending), "");
        for shown in [
            "<title>Invitation to join Dr. Smith Clinic</title>",
            "<bdi>Bob Jones</bdi> has invited you to the workspace <bdi>Dr. Smith Clinic</bdi> at <bdi>Acme Corp</bdi>.",
            "<bdi>a•••@example.com</bdi>",
            "<bdi>Admin</bdi><small>You can change everything in the workspace, manage its members and invite people.</small>",
            "<time datetime=\"2026-01-02T03:04:05Z\">2 January 2026, 03:04 UTC</time><small>6 days left</small>",
            "https://app.acme.test/login?a=1&amp;return_to=https%3A%2F%2Fapp.acme.test%2Fworkspace-invites%2FeyJ.abc.def",
            "mailto:help@acme.test",
        ] {
            assert!(page.contains(shown), "{shown}\n{page}");
        }
        assert!(!page.contains("alice"), "the address is masked everywhere");
    }

    #[test]
    fn without_a_page_to_sign_in_at_it_is_said_how_to_accept() {
        let mut preview = preview(InviteStatus::Pending);
        let mut bare = tenant();
        bare.links.sign_in_url = None;
        preview.tenant = Arc::new(bare);
        let page = page(&preview, "");
        assert!(
            page.contains("To accept, sign in to <bdi>Acme Corp</bdi>") && !page.contains("class=\"button\"")
        );
    }

    #[test]
    fn each_state_has_a_page_of_its_own() {
        let expired = page(&preview(InviteStatus::Expired), "");
        assert!(expired.contains("This invitation has expired") && expired.contains("Expired on"));
        assert!(
            expired.contains("ask <bdi>Bob Jones</bdi> for a new one")
                && !expired.contains("class=\"button\"")
        );
        let accepted = page(&preview(InviteStatus::Accepted), "");
        assert!(accepted.contains("This invitation was accepted") && !accepted.contains("example.com"));
        assert!(accepted.contains("app.acme.test/welcome"));
    }

    #[test]
    fn an_invite_without_names_still_reads_well() {
        for scope in [Scope::Org, preview(InviteStatus::Pending).scope] {
            for status in [InviteStatus::Pending, InviteStatus::Expired, InviteStatus::Accepted] {
                let nameless = Preview {
                    scope,
                    workspace_name: None,
                    inviter_name: Some("\u{202e}".into()),
                    ..preview(status)
                };
                let page = page(&nameless, "de");
                assert!(!page.contains("<bdi></bdi>"), "{page}");
                assert!(page.contains("<bdi>Acme Corp</bdi>") && page.contains("<html lang=\"de\">"));
            }
        }
    }

    #[test]
    fn the_language_is_the_invites_then_the_tenants_then_the_browsers() {
        let mut preview = preview(InviteStatus::Pending);
        assert!(page(&preview, "fr-CH, en;q=0.5").contains("<html lang=\"fr\">"));
        let mut german = tenant();
        german.locale = Some("de".into());
        preview.tenant = Arc::new(german);
        assert!(page(&preview, "fr").contains("<html lang=\"de\">"));
        preview.locale = Some("es-MX".into());
        assert!(page(&preview, "fr").contains("<html lang=\"es\">"));
    }

    #[test]
    fn markup_and_templates_in_names_stay_text() {
        let evil = "</h2><a href=https://evil>{{7*7}}{tenant}";
        let preview = Preview {
            workspace_name: Some(evil.into()),
            inviter_name: Some("\"><script>alert(1)</script>".into()),
            ..preview(InviteStatus::Pending)
        };
        let page = page(&preview, "");
        assert!(page.contains("&lt;/h2&gt;&lt;a href=https://evil&gt;{{7*7}}{tenant}"), "{page}");
        assert!(!page.contains("<script") && !page.contains("49"));
        assert!(hrefs(&page).iter().all(|href| !href.contains("evil")));
    }

    #[test]
    fn a_retired_domain_leads_to_live_links_only() {
        let go = |preview| moved(preview, "https://app.acme.test", "t");
        let live = go(Ok(preview(InviteStatus::Pending))).unwrap();
        assert_eq!(live.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(
            live.headers().get(header::LOCATION).unwrap(),
            "https://app.acme.test/workspace-invites/t"
        );
        for dead in [
            Ok(preview(InviteStatus::Expired)),
            Ok(preview(InviteStatus::Accepted)),
            Err(Refusal::InvalidToken),
        ] {
            assert_eq!(go(dead).unwrap_err().refusal, Refusal::UnknownHost);
        }
    }
}
