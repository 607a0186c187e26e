//! One throw-away PostgreSQL cluster per test process, one database per server in it. The cluster is stopped
//! and removed by a watchdog that waits for the end of the test process on a pipe, so that it goes away
//! however the process ends.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};

/// The cluster of this test process; `None` where no PostgreSQL is installed.
static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();

/// Database that new ones are copied from: migrated, without rows.
const TEMPLATE: &str = "usher_template";

struct Cluster {
    port: u16,
    /// Reaped by whoever inherits it: it outlives this process by a moment.
    _server: Child,
    /// Holds the pipe whose end tells that this process has ended.
    _watchdog: Child,
}

/// A database of one test, dropped with it.
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// A migrated database without rows; `None` where no PostgreSQL is installed.
    pub fn migrated() -> Option<Self> {
        Self::create(&format!("TEMPLATE {TEMPLATE}"))
    }

    /// A database without any table; `None` where no PostgreSQL is installed.
    pub fn empty() -> Option<Self> {
        Self::create("")
    }

    fn create(how: &str) -> Option<Self> {
        let cluster = cluster()?;
        let name = format!("t{}", uuid::Uuid::now_v7().simple());
        cluster.administer(&format!("CREATE DATABASE {name} {how}"));
        Some(Self { url: cluster.url(&name), name })
    }

    /// Where it is, for usher's configuration.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(cluster) = cluster() {
            // a panic here, while a failed test unwinds, would take the whole run down
            let _ = cluster.try_administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// Whether the PostgreSQL half can run; says so loudly where it cannot, and fails if it was required.
pub fn available() -> bool {
    cluster().is_some() || super::skip("PostgreSQL", "no initdb in /usr/lib/postgresql/*/bin or PATH")
}

/// A program of the installed PostgreSQL, such as `pg_dump`.
pub fn tool(name: &str) -> Option<PathBuf> {
    binaries().map(|bin| bin.join(name)).filter(|tool| tool.is_file())
}

fn cluster() -> Option<&'static Cluster> {
    CLUSTER.get_or_init(|| binaries().map(|bin| Cluster::start(&bin))).as_ref()
}

/// The directory of the newest installed server programs.
fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    found.sort();
    found.reverse();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    found.into_iter().find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
}

impl Cluster {
    fn start(bin: &Path) -> Self {
        let home = std::env::temp_dir().join(format!("usher-pg-{}", uuid::Uuid::now_v7().simple()));
        fs::create_dir_all(&home).unwrap();
        let account = unprivileged();
        if let Some((uid, gid)) = account {
            std::os::unix::fs::chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let data = home.join("data");
        let made = command(bin, "initdb", account)
            .args(["-A", "trust", "-U", "usher", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let port = super::server::free_port().port();
        let log = fs::File::create(home.join("log")).unwrap();
        let server = command(bin, "postgres", account)
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "max_connections=300", "-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "shared_buffers=64MB", "-c", "max_wal_size=256MB", "-p", &port.to_string()])
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let watchdog = watch(server.id(), &home);
        let cluster = Self { port, _server: server, _watchdog: watchdog };
        cluster.make_template(&home);
        cluster
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://usher@127.0.0.1:{}/{database}", self.port)
    }

    /// Waits until the server answers, then makes the migrated template.
    fn make_template(&self, home: &Path) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let log = fs::read_to_string(home.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.administer(&format!("CREATE DATABASE {TEMPLATE}"));
        let url = self.url(TEMPLATE);
        apart(async move {
            let db = connect(&url).await;
            Migrator::up(&db, None).await.unwrap();
            db.close().await.unwrap();
        })
        .unwrap();
    }

    fn administer(&self, sql: &str) {
        self.try_administer(sql).unwrap();
    }

    /// Runs a statement in the cluster's own database.
    fn try_administer(&self, sql: &str) -> std::thread::Result<()> {
        let (url, sql) = (self.url("postgres"), sql.to_owned());
        apart(async move {
            let db = connect(&url).await;
            db.execute_unprepared(&sql).await.unwrap();
            db.close().await.unwrap();
        })
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// Runs a future on a thread and runtime of its own: callable from `Drop` and from inside another runtime.
fn apart(work: impl Future<Output = ()> + Send + 'static) -> std::thread::Result<()> {
    let run =
        move || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::spawn(run).join()
}

/// PostgreSQL refuses to run as root; this is who it runs as then.
fn unprivileged() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let own = fs::metadata("/proc/self").map(|me| me.uid()).unwrap_or(1);
    if own != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn command(bin: &Path, program: &str, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(bin.join(program));
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    // its own group: Ctrl-C goes to the tests, whose end then stops it
    command.process_group(0).current_dir("/").stdin(Stdio::null());
    command
}

/// Stops the server and removes its files as soon as this process is gone.
fn watch(server: u32, home: &Path) -> Child {
    let script = "cat >/dev/null; kill -QUIT \"$1\"
        for turn in 1 2 3 4 5 6 7 8 9 10; do kill -0 \"$1\" 2>/dev/null || break; sleep 0.2; done
        rm -rf \"$2\"";
    Command::new("sh")
        .args(["-c", script, "usher-test-watchdog", &server.to_string()])
        .arg(home)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
