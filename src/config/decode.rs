//! Reading the server's tree into settings, section by section. Sections that a tenant may override are read
//! by the functions of [`sections`](super::sections), for the server and for every tenant alike.

use entity::UserId;
use secrecy::SecretString;

use crate::{
    config::{
        issuers::{Owner, issuers},
        reader::{Context, Section, Unique},
        secrets, sections,
        settings::{ApiKeys, Compat, Database, Lane, Server, Settings},
        tree::Node,
        values,
    },
    domain::{MasterKey, MasterKeys},
};

/// Everything but the tenants; `None` only if there are problems.
pub(super) fn server(cx: &Context, tree: &Node) -> Option<Settings> {
    let root = Section::root(cx, tree, "");
    let server = listening(root.section("server"));
    let database = database(root.section("database"));
    let tokens = tokens(root.section("tokens"));
    let issuers = issuers(root.section("auth"), Owner::Server);
    let api_keys = api_keys(root.section("api_keys"));
    let mail = sections::mail(root.section("mail"));
    sections::invites(root.section("invites"));
    let limits = sections::limits(root.section("limits"));
    let retention = sections::retention(root.section("retention"));
    sections::branding(root.section("branding"), None);
    sections::links(root.section("links"));
    root.maybe("locale", values::locale);
    let compat = compat(root.section("compat"));
    let admins = admins(root.section("system"));
    let lane = lane(root.section("lane"));
    root.finish();
    Some(Settings {
        server: server?,
        database: database?,
        tokens,
        issuers,
        api_keys: api_keys?,
        mail: mail?,
        limits: limits?,
        retention: retention?,
        compat: compat?,
        admins,
        lane: lane?,
        tenants: Vec::new(),
    })
}

fn listening(section: Section<'_>) -> Option<Server> {
    let cx = section.cx;
    let listen = section.need("listen", values::listen);
    let admin_listen = section.need("admin_listen", |text| match text {
        "" | "off" => Ok(None),
        text => values::listen(text).map(Some),
    });
    let mut platform_hosts = Vec::new();
    for (host, spot) in section.list("platform_hosts", values::host) {
        cx.claim(Unique::Host, host.as_str(), "a platform host", &spot);
        platform_hosts.push(host);
    }
    let base_url = section.need("base_url", values::origin);
    if let Some((_, host)) = &base_url
        && !platform_hosts.contains(host)
    {
        cx.claim(Unique::Host, host.as_str(), "the host of `server.base_url`", &section.spot("base_url"));
        platform_hosts.push(host.clone());
    }
    let trusted_proxies = section.list("trusted_proxies", |text| {
        let net = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        net.map_err(|_| "is not a network like 10.0.0.0/8".to_owned())
    });
    let scheme =
        section.need("link_scheme", |text| values::one_of(text, &[("https", "https"), ("http", "http")]));
    let link_port = section.integer("link_port", 0..=65535);
    section.finish();
    Some(Server {
        listen: listen?,
        admin_listen: admin_listen?,
        base_url: base_url?.0,
        platform_hosts,
        trusted_proxies: trusted_proxies.into_iter().map(|(net, _)| net).collect(),
        link_scheme: scheme?.to_owned(),
        link_port: u16::try_from(link_port?).ok()?,
    })
}

fn database(section: Section<'_>) -> Option<Database> {
    let cx = section.cx;
    let url = secrets::text_or_file(&section, "url", "url_file");
    let fine = url.as_ref().is_some_and(|(url, spot)| {
        let sqlite = url
            .strip_prefix("sqlite://")
            .is_some_and(|path| !path.is_empty() && path != ":memory:" && !path.contains('?'));
        let postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
            && reqwest::Url::parse(url).is_ok();
        if !sqlite && !postgres {
            spot.problem(
                cx,
                "is not a database like sqlite://data/usher.db or postgres://user:password@host/name",
            );
        }
        sqlite || postgres
    });
    let max_connections = section.integer("max_connections", 1..=10_000);
    section.finish();
    let (url, _) = url.filter(|_| fine)?;
    Some(Database { url: SecretString::from(url), max_connections: u32::try_from(max_connections?).ok()? })
}

fn tokens(section: Section<'_>) -> Option<MasterKeys> {
    let cx = section.cx;
    let active = section.maybe("active_key", |text| Ok(text.to_owned()));
    let mut keys: Vec<MasterKey> = Vec::new();
    let sections = section.sections("keys");
    let count = sections.len();
    for key in sections {
        let id = key.need("id", |text| Ok(text.to_owned()));
        let text = secrets::text_or_file(&key, "secret", "secret_file");
        if key.node("secret").is_none() && key.node("secret_file").is_none() {
            key.problem("secret", "is missing; give it or `secret_file`");
        }
        let secret = text.and_then(|(text, spot)| secrets::master_secret(cx, &text, &spot));
        let spot = key.spot("id");
        key.finish();
        let (Some(id), Some(secret)) = (id, secret) else { continue };
        match MasterKey::new(&id, secret) {
            Some(key) if keys.iter().all(|other| other.id() != key.id()) => keys.push(key),
            Some(_) => spot.problem(cx, "is already the id of another key"),
            None => spot.problem(cx, "must be 1 to 16 letters, digits, hyphens or underscores"),
        }
    }
    let keys = match (active, keys.first().map(|key| key.id().to_owned())) {
        // keys that are wrong are told already
        _ if keys.len() < count => None,
        (Some(active), Some(_)) => {
            let found = MasterKeys::new(&active, keys);
            if found.is_none() {
                section.problem("active_key", "is not the id of one of `tokens.keys`");
            }
            found
        }
        (None, Some(only)) if keys.len() == 1 => MasterKeys::new(&only, keys),
        (None, Some(_)) => {
            section.problem("active_key", "is missing: name the key that signs new links");
            None
        }
        (Some(_), None) => {
            section.problem("active_key", "names a key, but there is no `[[tokens.keys]]`");
            None
        }
        (None, None) => None,
    };
    section.finish();
    keys
}

fn api_keys(section: Section<'_>) -> Option<ApiKeys> {
    let word =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let prefix = section.need("prefix", |text| {
        let fine = (1..=16).contains(&text.len()) && word(text);
        fine.then(|| text.to_owned()).ok_or_else(|| "is not a prefix like msk_".to_owned())
    });
    let header = section.need("header", |text| {
        let fine =
            (1..=64).contains(&text.len()) && word(text) && !text.eq_ignore_ascii_case("authorization");
        fine.then(|| text.to_owned())
            .ok_or_else(|| "is not the name of a header of its own like X-API-Key".to_owned())
    });
    section.finish();
    Some(ApiKeys { prefix: prefix?, header: header? })
}

fn compat(section: Section<'_>) -> Option<Compat> {
    let compat =
        section.need("errors", |text| values::one_of(text, &[("sdk", Compat::Sdk), ("docs", Compat::Docs)]));
    section.finish();
    compat
}

fn admins(section: Section<'_>) -> Vec<UserId> {
    let admins = section.list("admins", values::line);
    section.finish();
    admins.into_iter().map(|(id, _)| UserId(id)).collect()
}

fn lane(section: Section<'_>) -> Option<Lane> {
    let actors = section.flag("actors");
    let [max_batch, queue_per_tenant, queue_total] = ["max_batch", "queue_per_tenant", "queue_total"]
        .map(|key| section.integer(key, 1..=1_000_000).and_then(|number| usize::try_from(number).ok()));
    let idle = section.need("idle", values::duration);
    section.finish();
    Some(Lane {
        actors: actors?,
        max_batch: max_batch?,
        queue_per_tenant: queue_per_tenant?,
        queue_total: queue_total?,
        idle: idle?,
    })
}
