//! Reading one tenant's file, resolved over the server's sections. Hosts, ids, slugs and issuers are claimed
//! while reading, so a second one is refused with both files named.

use entity::{TenantId, WorkspaceId};

use crate::{
    config::{
        issuers::{Owner, issuers},
        reader::{Context, Section, Spot, Unique},
        sections,
        settings::{Cors, Tenant, Workspace},
        tree::{Node, Origin, Value},
        values,
    },
    domain::Host,
};

/// What a tenant inherits key by key where its file says nothing.
const INHERITED: [&str; 7] = ["mail", "invites", "limits", "retention", "branding", "links", "locale"];

/// One tenant; `None` only if there are problems.
pub(super) fn tenant(cx: &Context, server: &Node, own: &Node) -> Option<Tenant> {
    let resolved = over_server(server, own);
    let root = Section::root(cx, &resolved, "tenant");
    let id = root.need("id", |text| values::uuid(text).map(TenantId));
    if let Some(id) = id {
        cx.claim(Unique::TenantId, &id.to_string(), "the id of a tenant", &root.spot("id"));
    }
    let slug = root.need("slug", values::slug);
    if let Some(slug) = &slug {
        cx.claim(Unique::Slug, slug, "the slug of a tenant", &root.spot("slug"));
    }
    let name = root.need("name", values::name);
    let domains = hosts(&root, "domains", "a domain of a tenant");
    let retired_domains = hosts(&root, "retired_domains", "a retired domain of a tenant");
    if domains.is_empty() && !retired_domains.is_empty() {
        root.problem("retired_domains", "need a domain in `domains` to redirect to");
    }
    let owners = root.list("owners", values::address);
    let branding = sections::branding(root.section("branding"), Some(&domains));
    let links = sections::links(root.section("links"));
    let mail = sections::mail(root.section("mail"));
    let invites = sections::invites(root.section("invites"));
    let limits = sections::limits(root.section("limits"));
    let retention = sections::retention(root.section("retention"));
    let cors = cors(root.section("cors"));
    let issuers = issuers(root.section("auth"), Owner::Tenant(id));
    let workspaces = root.sections("workspaces").into_iter().filter_map(workspace).collect();
    let locale = root.maybe("locale", values::locale);
    only_the_servers(cx, own);
    unused_relay(cx, &resolved, own);
    root.finish();
    Some(Tenant {
        id: id?,
        slug: slug?,
        name: name?,
        domains,
        retired_domains,
        owners: owners.into_iter().map(|(address, _)| address).collect(),
        branding,
        links,
        mail: mail?,
        invites: invites?,
        limits: limits?,
        retention: retention?,
        cors,
        issuers,
        workspaces,
        locale,
    })
}

/// The tenant's tree with the server's values below its own.
fn over_server(server: &Node, own: &Node) -> Node {
    let mut resolved = Node::table(own.origin.clone());
    if let Value::Table(into) = &mut resolved.value {
        let inherited =
            INHERITED.iter().filter_map(|key| Some(((*key).to_owned(), server.get(key)?.clone())));
        into.extend(inherited);
    }
    resolved.overlay(own.clone());
    resolved
}

fn hosts(root: &Section<'_>, key: &'static str, as_what: &'static str) -> Vec<Host> {
    let hosts = root.list(key, values::host);
    for (host, spot) in &hosts {
        root.cx.claim(Unique::Host, host.as_str(), as_what, spot);
    }
    hosts.into_iter().map(|(host, _)| host).collect()
}

fn workspace(section: Section<'_>) -> Option<Workspace> {
    let id = section.need("id", |text| values::uuid(text).map(WorkspaceId));
    if let Some(id) = id {
        section.cx.claim(Unique::WorkspaceId, &id.to_string(), "the id of a workspace", &section.spot("id"));
    }
    let name = section.need("name", values::name);
    let slug = section.maybe("slug", values::slug);
    section.finish();
    Some(Workspace { id: id?, name: name?, slug })
}

/// `[cors]`: origins that browsers are compared with byte by byte, so each is kept in their spelling.
fn cors(section: Section<'_>) -> Cors {
    const ANY: &str = "*";
    let listed = section.list("allowed_origins", |text| match text {
        ANY => Ok(ANY.to_owned()),
        text => values::origin(text).map(|(origin, _)| origin).map_err(|_| {
            "is not an origin like https://app.example.com (scheme, host and port; no path, no pattern)"
                .to_owned()
        }),
    });
    let any = listed.iter().any(|(origin, _)| origin == ANY);
    let credentials = section.flag("allow_credentials").unwrap_or(false);
    if any && listed.len() > 1 {
        section.problem("allowed_origins", "must hold `*` alone or no `*`: it stands for every origin");
    }
    if any && credentials {
        section
            .problem("allow_credentials", "must be false where `allowed_origins` is `*`: name the origins");
    }
    section.finish();
    let origins = listed.into_iter().map(|(origin, _)| origin).filter(|_| !any).collect();
    Cors { origins, any, credentials }
}

/// A limit per client address is counted before any tenant is known; mails and answers are kept for all alike.
fn only_the_servers(cx: &Context, own: &Node) {
    const KEYS: [(&str, &str, &str); 4] = [
        ("limits", "requests_per_ip", "it is counted before the tenant is known"),
        ("retention", "mails", "it is the same for all tenants"),
        ("retention", "failed_mails", "it is the same for all tenants"),
        ("retention", "answers", "it is the same for all tenants"),
    ];
    for (section, key, why) in KEYS {
        if let Some(node) = own.get(section).and_then(|section| section.get(key)) {
            let spot = Spot { origin: node.origin.clone(), key: format!("{section}.{key}") };
            spot.problem(cx, format!("belongs to usher.toml: {why}"));
        }
    }
}

/// A relay of its own that no mail will pass is probably a forgotten `transport`.
fn unused_relay(cx: &Context, resolved: &Node, own: &Node) {
    let text = |node: Option<&Node>| match node.map(|node| &node.value) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let Some(mail) = own.get("mail") else { return };
    let Some(url) = mail.get("url").or_else(|| mail.get("url_file")) else { return };
    let transport = text(resolved.get("mail").and_then(|mail| mail.get("transport")));
    if transport.as_deref() != Some("smtp") && url.origin != Origin::Default {
        let spot = Spot { origin: url.origin.clone(), key: "mail.url".to_owned() };
        cx.warn(&spot, "is not used, since `mail.transport` is not smtp");
    }
}
