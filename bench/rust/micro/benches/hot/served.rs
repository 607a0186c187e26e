//! usher without its sockets, on a database of its own: what the server puts together at its start.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use actix::SystemRunner;
use actix_web::web;
use entity::{InviteId, TenantId, WorkspaceId};
use rusqlite::{Connection, params};
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;
use usher::{
    actors::Lanes,
    config::{self, Documents, Source, settings::Settings},
    domain::{Clock, LinkClaims, MasterKeys, Scope, link_token::LinkRow},
    http::{
        edge::{crowd::Crowd, limits::AddressLimits},
        state::State,
    },
    identity::{Authenticator, api_key},
    invites::Invites,
    keys::Keys,
    members::Members,
    store::{Store, migrate},
    tenancy::{Places, Registry},
    tenants::{Tenants, sync::sync},
    workspaces::Workspaces,
};
use uuid::Uuid;

use super::signer::Signer;

pub const TENANT: TenantId = TenantId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
pub const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));
const SALT: [u8; 32] = [7; 32];

/// All of usher but its sockets and its mailer.
pub struct Served {
    pub runtime: Runtime,
    pub settings: Arc<Settings>,
    pub state: web::Data<State>,
    pub signers: [Signer; 3],
    file: PathBuf,
    /// tenants' actors live as long as it does
    pub actors: SystemRunner,
}

impl Served {
    pub fn start(home: &Path) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        usher::telemetry::install_metrics();
        let (file, signers) = (home.join("usher.db"), Signer::all());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let settings = settings(home, &file, &signers);
        runtime.block_on(migrate::up(&settings.database)).unwrap();
        let handle = runtime.handle().clone();
        let store = runtime.block_on(Store::connect(&settings.database, handle, Clock::default())).unwrap();
        let actors = actix::System::new();
        let lanes = actors.block_on(async {
            let arbiter = actix::Arbiter::new().handle();
            let lanes = Lanes::new(store.clone(), settings.lane, settings.database.max_connections, arbiter);
            sync(&Tenants::new(store.clone(), lanes.clone()), &settings.tenants).await.unwrap();
            lanes
        });
        let state = web::Data::new(state(&settings, store, &lanes));
        let served = Self { runtime, settings, state, signers, file, actors };
        let people = served.signers.iter().map(|signer| (signer.subject(), signer.name()));
        for (subject, issuer) in people.collect::<Vec<_>>() {
            served.person(&subject, &issuer);
        }
        served
    }

    pub fn keys(&self) -> &MasterKeys {
        self.settings.tokens.as_ref().unwrap()
    }

    /// A person whose row is there, so that nothing is to be written of them.
    fn person(&self, id: &str, issuer: &str) {
        let email = format!("{}@example.test", id.to_ascii_lowercase());
        self.rows()
            .execute(
                "INSERT INTO users (id, issuer, subject, email, email_norm, inserted_at, updated_at) \
                 VALUES (?1, ?2, ?1, ?3, ?3, ?4, ?4)",
                params![id, issuer, email, Clock::wall().0],
            )
            .unwrap();
    }

    /// The text of an API key that is in the database.
    pub fn api_key(&self) -> String {
        let key = api_key::mint(&self.settings.api_keys.prefix).unwrap();
        self.rows()
            .execute(
                "INSERT INTO api_keys (id, tenant_id, role, email_state, name, prefix, hash, scopes, inserted_at) \
                 VALUES (?1, ?2, 'admin', 'absent', 'bench', ?3, ?4, '', ?5)",
                params![
                    Uuid::now_v7().as_bytes(),
                    TENANT.0.as_bytes(),
                    key.prefix,
                    key.hash.0,
                    Clock::wall().0
                ],
            )
            .unwrap();
        key.plaintext.expose_secret().to_owned()
    }

    /// A pending invite in the database, and the text of its link.
    pub fn invite(&self) -> String {
        let (id, now) = (InviteId(Uuid::now_v7()), Clock::wall());
        self.rows()
            .execute(
                "INSERT INTO invites (id, tenant_id, workspace_id, email, email_norm, role, status, version, salt, \
                 kid, inviter, delivery, mails, expires_at, inserted_at, updated_at) VALUES (?1, ?2, ?3, \
                 ?7, ?7, 'member', 'pending', 1, ?4, 'k1', 'bench-owner', 'none', 0, ?5, ?6, ?6)",
                params![
                    id.0.as_bytes(),
                    TENANT.0.as_bytes(),
                    WORKSPACE.0.as_bytes(),
                    SALT,
                    now.0 + 86_400_000,
                    now.0,
                    format!("person-{}@example.test", id.0)
                ],
            )
            .unwrap();
        self.keys().mint(row(), LinkClaims { id, version: 1 }).unwrap().as_str().to_owned()
    }

    fn rows(&self) -> Connection {
        Connection::open(&self.file).unwrap()
    }
}

/// What the link of an invite of the bench is derived from.
pub fn row() -> LinkRow<'static> {
    LinkRow { tenant: TENANT, scope: Scope::Workspace(WORKSPACE), salt: &SALT, kid: "k1" }
}

fn state(settings: &Arc<Settings>, store: Store, lanes: &Lanes) -> State {
    let registry = Arc::new(Registry::new(settings.clone()));
    let invites = Invites::new(store.clone(), lanes.clone(), registry.clone(), || {});
    invites.previews().watch();
    State {
        auth: Arc::new(Authenticator::new(store.clone(), settings).unwrap()),
        workspaces: Workspaces::new(store.clone(), lanes.clone(), || {}),
        places: Places::new(store.clone()),
        keys: Keys::new(store.clone(), lanes.clone(), registry.clone(), || {}),
        members: Members::new(store.clone(), lanes.clone(), registry.clone(), |_| {}),
        tenants: Tenants::new(store.clone(), lanes.clone()),
        limits: AddressLimits::default(),
        lanes: lanes.clone(),
        crowd: Crowd::default(),
        invites,
        registry,
        store,
    }
}

fn settings(home: &Path, file: &Path, signers: &[Signer]) -> Arc<Settings> {
    let issuers: String = signers.iter().map(|signer| signer.configured(home)).collect();
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
        [mail]
        from = "Bench <no-reply@bench.test>"
        {issuers}"#,
        file.display()
    );
    let tenant = |id: TenantId, slug: &str, more: &str| {
        let text = format!(
            r#"
            id = "{}"
            slug = "{slug}"
            name = "Acme Corp"
            domains = ["{slug}.bench.test"]
            {more}"#,
            id.0
        );
        (format!("tenants/{slug}.toml"), text)
    };
    let workspace =
        format!("[[workspaces]]\nid = \"{}\"\nname = \"Dr. Smith Clinic\"\nslug = \"clinic\"\n", WORKSPACE.0);
    let documents = Documents {
        server: ("usher.toml".into(), server),
        tenants: vec![
            tenant(TENANT, "invite", &workspace),
            // one whose API pages of another origin call
            tenant(
                TenantId(Uuid::from_u128(TENANT.0.as_u128() + 9)),
                "paged",
                "[cors]\nallowed_origins = [\"https://app.bench.test\"]\n",
            ),
        ],
    };
    config::compose(&Source::default(), &documents).unwrap().settings
}
