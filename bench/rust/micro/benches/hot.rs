//! What usher's hot functions cost by themselves, without HTTP and without a database: the token of a link, a
//! credential, the host of a request, an address, a preview that is cached, a mail.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix::SystemRunner;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use entity::{InviteId, OutboxId, Role, TenantId, WorkspaceId};
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;
use usher::{
    actors::Lanes,
    config::{self, Documents, Source, settings::Settings},
    domain::{Clock, EmailAddress, LinkClaims, MasterKeys, Scope, link_token::LinkRow},
    identity::{Authenticator, bearer::mint_hs256},
    invites::{
        Invites,
        preview::preview,
        proof::{Kind, Presented},
    },
    mail::{
        letter::{Sender, write},
        render::{Invitation, Look, render},
    },
    store::{Store, migrate},
    tenancy::{Arrival, Headers, Registry},
    tenants::{Tenants, sync::sync},
};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));
const SALT: [u8; 32] = [7; 32];
const TTL: Duration = Duration::from_secs(600);

/// usher without HTTP, on a database of its own.
struct Bench {
    runtime: Runtime,
    settings: Arc<Settings>,
    store: Store,
    registry: Arc<Registry>,
    invites: Invites,
    file: PathBuf,
    /// tenants' actors live as long as it does
    _actors: SystemRunner,
}

impl Bench {
    fn start(home: &Path) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let file = home.join("usher.db");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let settings = settings(&file);
        runtime.block_on(migrate::up(&settings.database)).unwrap();
        let handle = runtime.handle().clone();
        let store = runtime.block_on(Store::connect(&settings.database, handle, Clock::default())).unwrap();
        let registry = Arc::new(Registry::new(settings.clone()));
        let actors = actix::System::new();
        let lanes = actors.block_on(async {
            let arbiter = actix::Arbiter::new().handle();
            let lanes = Lanes::new(store.clone(), settings.lane, settings.database.max_connections, arbiter);
            sync(&Tenants::new(store.clone(), lanes.clone()), &settings.tenants).await.unwrap();
            lanes
        });
        let invites = Invites::new(store.clone(), lanes, registry.clone(), || {});
        Self { runtime, settings, store, registry, invites, file, _actors: actors }
    }

    fn keys(&self) -> &MasterKeys {
        self.settings.tokens.as_ref().unwrap()
    }

    /// A pending invite in the database, and the text of its link.
    fn invite(&self, id: InviteId) -> String {
        let db = Connection::open(&self.file).unwrap();
        let now = Clock::wall();
        db.execute(
            "INSERT INTO invites (id, tenant_id, workspace_id, email, email_norm, role, status, version, salt, kid, inviter, \
             delivery, mails, expires_at, inserted_at, updated_at) VALUES (?1, ?2, ?3, 'person@example.test', \
             'person@example.test', 'member', 'pending', 1, ?4, 'k1', 'bench-owner', 'none', 0, ?5, ?6, ?6)",
            params![
                id.0.as_bytes(),
                TENANT.0.as_bytes(),
                WORKSPACE.0.as_bytes(),
                SALT,
                now.0 + 86_400_000,
                now.0
            ],
        )
        .unwrap();
        let claims = LinkClaims { id, version: 1 };
        self.keys().mint(row(), claims).unwrap().as_str().to_owned()
    }
}

fn row() -> LinkRow<'static> {
    LinkRow { tenant: TENANT, scope: Scope::Workspace(WORKSPACE), salt: &SALT, kid: "k1" }
}

fn settings(file: &Path) -> Arc<Settings> {
    let server = format!(
        r#"
        [server]
        admin_listen = "off"
        [database]
        url = "sqlite://{}"
        [tokens]
        active_key = "k1"
        [[tokens.keys]]
        id = "k1"
        secret = "dGhlIGJlbmNoJ3Mga2V5IG9mIGxpbmtzLi4uLi4uLi4="
        [[auth.issuers]]
        issuer = "https://auth.bench.test"
        audience = "usher"
        algorithms = ["HS256"]
        hs256_secret = "a-secret-of-the-bench-that-is-more-than-32-bytes"
        [mail]
        from = "Bench <no-reply@bench.test>"
        "#,
        file.display()
    );
    let tenant = format!(
        r#"
        id = "{}"
        slug = "bench"
        name = "Acme Corp"
        domains = ["invite.bench.test"]
        owners = ["owner@bench.test"]
        [[workspaces]]
        id = "{}"
        name = "Dr. Smith Clinic"
        slug = "clinic"
        "#,
        TENANT.0, WORKSPACE.0
    );
    let documents = Documents {
        server: ("usher.toml".into(), server),
        tenants: vec![("tenants/bench.toml".into(), tenant)],
    };
    config::compose(&Source::default(), &documents).unwrap().settings
}

fn links(c: &mut Criterion, bench: &Bench) {
    let (keys, claims) = (bench.keys(), LinkClaims { id: InviteId(Uuid::now_v7()), version: 1 });
    let token = keys.mint(row(), claims).unwrap().as_str().to_owned();
    c.bench_function("link token: mint", |b| b.iter(|| keys.mint(black_box(row()), black_box(claims))));
    c.bench_function("link token: parse and verify", |b| {
        b.iter(|| keys.verify(&keys.parse(black_box(&token)).unwrap(), row()))
    });
}

fn credentials(c: &mut Criterion, bench: &Bench) {
    let auth = Authenticator::new(bench.store.clone(), &bench.settings).unwrap();
    let issuer = &bench.settings.issuers[0];
    let mut subject = 0u32;
    let mut bearer = || {
        subject += 1;
        let email = format!("person-{subject}@example.test");
        let token = mint_hs256(issuer, &format!("person-{subject}"), Some(&email), Some(true), TTL);
        format!("Bearer {}", token.unwrap())
    };
    let known = bearer();
    let check = |header: &str| bench.runtime.block_on(auth.authenticate(Some(header), None, None)).unwrap();
    check(&known);
    c.bench_function("credential: HS256, seen before", |b| b.iter(|| check(black_box(&known))));
    // includes the look-up of the person's row
    c.bench_function("credential: HS256, first time", |b| {
        b.iter_batched(&mut bearer, |header| check(&header), BatchSize::SmallInput)
    });
}

fn hosts(c: &mut Criterion, bench: &Bench) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let resolve = |host: &str| {
        let snapshot = bench.registry.current();
        let headers = Headers { host: vec![host], ..Headers::default() };
        let arrival = Arrival::of(peer, &headers, &snapshot.settings.server.trusted_proxies);
        arrival.host.and_then(|host| snapshot.site(&host)).unwrap()
    };
    c.bench_function("host: platform", |b| b.iter(|| resolve(black_box("localhost:8080"))));
    c.bench_function("host: a tenant's own", |b| b.iter(|| resolve(black_box("invite.bench.test"))));
}

fn addresses(c: &mut Criterion) {
    let parse = |text: &str| EmailAddress::parse(text).unwrap();
    c.bench_function("address: ASCII", |b| b.iter(|| parse(black_box("Person.Name@Example.test"))));
    c.bench_function("address: international domain", |b| {
        b.iter(|| parse(black_box("person@bücher.example")))
    });
}

fn previews(c: &mut Criterion, bench: &Bench) {
    let token = bench.invite(InviteId(Uuid::now_v7()));
    let link = Presented { token, kind: Kind::Workspace, within: None };
    let show = || bench.runtime.block_on(preview(&bench.invites, black_box(&link))).unwrap();
    show();
    // an entry lives for less than a second, so one in very many is read anew
    c.bench_function("preview: cached", |b| b.iter(show));
}

fn mails(c: &mut Criterion) {
    let link = "https://invite.bench.test/workspace-invites/token";
    let facts = Invitation {
        to: "person@example.test",
        link,
        tenant: "Acme Corp",
        workspace: Some("Dr. Smith Clinic"),
        inviter: Some("Ada Lovelace"),
        role: Role::Member,
        expires_at: Clock::wall(),
        message: Some("Welcome to the clinic."),
        locale: Some("de-AT"),
        look: Look::default(),
    };
    let sender = Sender { from: "Bench <no-reply@bench.test>", reply_to: None };
    c.bench_function("mail: rendered", |b| b.iter(|| render(black_box(&facts)).unwrap()));
    c.bench_function("mail: rendered and written", |b| {
        b.iter(|| {
            let content = render(black_box(&facts)).unwrap();
            write(OutboxId(Uuid::now_v7()), sender, facts.to, link, content, Clock::wall()).unwrap()
        })
    });
}

fn all(c: &mut Criterion) {
    let home = std::env::temp_dir().join(format!("usher-micro-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let bench = Bench::start(&home);
    links(c, &bench);
    credentials(c, &bench);
    hosts(c, &bench);
    addresses(c);
    previews(c, &bench);
    mails(c);
    drop(bench);
    std::fs::remove_dir_all(home).unwrap();
}

criterion_group!(hot, all);
criterion_main!(hot);
