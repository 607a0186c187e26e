//! The configuration of a test server: the two tenants every test knows, and what a test changes about them
//! by dotted key. Limits are off unless a test turns one on, so that no test meets another one's counters.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{Table, Value};
use usher::http::edge::crowd::Crowd;

use super::{proxy::Proxy, smtp_sink::SmtpSink};

/// Tenant `acme`: two domains, an owner, one workspace; its people come from the server's issuer.
pub const ACME: &str = "01900000-0000-7000-8000-00000000acde";
/// The workspace of acme, "Dr. Smith Clinic".
pub const CLINIC: &str = "01900000-0000-7000-8000-0000000000a1";
/// Tenant `globex`: its own domain and its own issuer.
pub const GLOBEX: &str = "01900000-0000-7000-8000-00000000910b";
/// The workspace of globex, "Plant 7".
pub const PLANT: &str = "01900000-0000-7000-8000-0000000000b1";

/// Primary domain of acme.
pub const ACME_HOST: &str = "app.acme.test";
/// Second domain of acme.
pub const ACME_ALIAS: &str = "join.acme.test";
/// Domain of globex.
pub const GLOBEX_HOST: &str = "people.globex.test";
/// A host that serves every tenant by path.
pub const PLATFORM: &str = "localhost";

/// Issuer of the server and its secret.
pub const ISSUER: (&str, &str) =
    ("https://auth.example.test", "a-test-secret-that-is-at-least-32-bytes-long");
/// Issuer of globex alone and its secret.
pub const GLOBEX_ISSUER: (&str, &str) =
    ("https://login.globex.test", "globex-keeps-its-own-secret-of-32-bytes-or-more");

const SERVER: &str = r#"
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
base_url = "http://localhost:8080"
platform_hosts = ["localhost", "127.0.0.1"]
link_scheme = "https"

[database]
max_connections = 5

[tokens]
active_key = "k1"
[[tokens.keys]]
id = "k1"
secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

[[auth.issuers]]
issuer = "https://auth.example.test"
audience = "usher"
algorithms = ["HS256"]
hs256_secret = "a-test-secret-that-is-at-least-32-bytes-long"
system_admin_claim = "role=system_admin"

[mail]
transport = "memory"
from = "Usher <no-reply@example.test>"

[limits]
invites_per_inviter = "off"
invites_per_recipient = "off"
invites_per_api_key = "off"
invites_per_tenant = "off"
requests_per_ip = "off"
"#;

const ACME_FILE: &str = r##"
id = "01900000-0000-7000-8000-00000000acde"
slug = "acme"
name = "Acme Corp"
domains = ["app.acme.test", "join.acme.test"]
owners = ["owner@acme.test"]

[branding]
primary_color = "#0a7d5a"
support_email = "help@acme.test"

[links]
sign_in_url = "https://app.acme.test/login?return_to={return_to}"
after_accept_url = "https://app.acme.test/welcome"

[mail]
from = "Acme Corp <invites@acme.test>"
reply_to = "help@acme.test"

[invites]
ttl = "14d"

[[workspaces]]
id = "01900000-0000-7000-8000-0000000000a1"
name = "Dr. Smith Clinic"
slug = "clinic"
"##;

const GLOBEX_FILE: &str = r#"
id = "01900000-0000-7000-8000-00000000910b"
slug = "globex"
name = "Globex"
domains = ["people.globex.test"]
owners = ["owner@globex.test"]

[[auth.issuers]]
issuer = "https://login.globex.test"
audience = "usher"
algorithms = ["HS256"]
hs256_secret = "globex-keeps-its-own-secret-of-32-bytes-or-more"

[[workspaces]]
id = "01900000-0000-7000-8000-0000000000b1"
name = "Plant 7"
"#;

/// What a test server is configured with.
#[derive(Clone)]
pub struct Setup {
    server: Table,
    tenants: BTreeMap<String, Table>,
    /// Relay that takes its mails, if they leave by SMTP.
    pub sink: Option<SmtpSink>,
    /// Run the built binary instead of a server inside the test.
    pub own_process: bool,
    /// Program and arguments that run the binary, whose path and arguments follow.
    pub launcher: Vec<String>,
    /// The road to the database, if it may break.
    pub road: Option<Proxy>,
    /// What such a process logs, as `USHER_LOG`; nothing for the usual.
    pub log: Option<&'static str>,
    /// When a thread of a server inside the test has fallen behind.
    pub crowd: Crowd,
}

impl Setup {
    /// The server and the two tenants, mails kept in memory.
    pub fn new() -> Self {
        let tenants = [("acme", ACME_FILE), ("globex", GLOBEX_FILE)];
        Self {
            server: SERVER.parse().unwrap(),
            tenants: tenants.map(|(slug, text)| (slug.to_owned(), text.parse().unwrap())).into(),
            sink: None,
            own_process: false,
            launcher: Vec::new(),
            road: None,
            log: None,
            crowd: Crowd::default(),
        }
    }

    /// Sets a key of the server's file, such as `invites.resend_cooldown`.
    pub fn server(mut self, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.server, key, value.into());
        self
    }

    /// Sets a key of acme's file.
    pub fn acme(self, key: &str, value: impl Into<Value>) -> Self {
        self.tenant("acme", key, value)
    }

    /// Sets a key of a tenant's file, which is made if it is not there.
    pub fn tenant(mut self, slug: &str, key: &str, value: impl Into<Value>) -> Self {
        set(self.tenants.entry(slug.to_owned()).or_default(), key, value.into());
        self
    }

    /// Adds a tenant by its whole file.
    pub fn add_tenant(mut self, slug: &str, file: &str) -> Self {
        self.tenants.insert(slug.to_owned(), file.parse().unwrap());
        self
    }

    /// Takes a tenant's file away.
    pub fn without_tenant(mut self, slug: &str) -> Self {
        self.tenants.remove(slug);
        self
    }

    /// Sets a key of the server's only issuer.
    pub fn issuer(mut self, key: &str, value: impl Into<Value>) -> Self {
        set(self.first_issuer(), key, value.into());
        self
    }

    /// Takes a key of the server's only issuer away.
    pub fn issuer_without(mut self, key: &str) -> Self {
        self.first_issuer().remove(key);
        self
    }

    fn first_issuer(&mut self) -> &mut Table {
        self.issuers().first_mut().and_then(Value::as_table_mut).unwrap()
    }

    fn issuers(&mut self) -> &mut Vec<Value> {
        let auth = self.server.get_mut("auth").unwrap();
        auth.get_mut("issuers").and_then(Value::as_array_mut).unwrap()
    }

    /// Adds an issuer that speaks for every tenant.
    pub fn add_issuer(mut self, issuer: Table) -> Self {
        self.issuers().push(Value::Table(issuer));
        self
    }

    /// Mails leave by real SMTP, into a sink of the test.
    pub fn smtp(self) -> Self {
        let sink = SmtpSink::start();
        let url = sink.url();
        self.mailed_by(sink, &url)
    }

    /// Mails leave by this sink, which is reached by a URL of its own.
    pub fn mailed_by(self, sink: SmtpSink, url: &str) -> Self {
        let mut this = self.server("mail.transport", "smtp").server("mail.url", url);
        this.sink = Some(sink);
        this
    }

    /// Writes pass no actor: every command commits alone.
    pub fn actors_bypassed(self) -> Self {
        self.server("lane.actors", false)
    }

    /// Runs as the built binary, in a process of its own.
    pub fn process(mut self) -> Self {
        self.own_process = true;
        self
    }

    /// Runs by another program, such as a shell that sets limits.
    pub fn launched_by(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Reaches PostgreSQL by this road.
    pub fn behind(mut self, road: Proxy) -> Self {
        self.road = Some(road);
        self
    }

    /// Every thread has fallen behind, always.
    pub fn crowded(mut self) -> Self {
        self.crowd = Crowd { lag: Duration::ZERO, many: 0 };
        self
    }

    /// Runs as the built binary and logs as `USHER_LOG` says.
    pub fn logging(mut self, filter: &'static str) -> Self {
        self.log = Some(filter);
        self.process()
    }

    /// Writes `usher.toml` and `tenants/*.toml` into a directory; what was there before goes.
    pub fn write(&self, dir: &Path, database_url: &str) {
        let tenants = dir.join("tenants");
        let _ = fs::remove_dir_all(&tenants);
        fs::create_dir_all(&tenants).unwrap();
        let mut server = self.server.clone();
        set(&mut server, "database.url", database_url.into());
        fs::write(dir.join("usher.toml"), toml::to_string(&server).unwrap()).unwrap();
        for (slug, table) in &self.tenants {
            fs::write(tenants.join(format!("{slug}.toml")), toml::to_string(table).unwrap()).unwrap();
        }
    }
}

/// Sets `a.b.c`, making the tables between.
fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = table.entry(head).or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut().unwrap(), rest, value);
        }
    }
}

/// A directory of this test, gone with it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty directory below the build's own temporary one.
    pub fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("usher-{}", uuid::Uuid::now_v7()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
