//! A server under test: inside the test process (with its clock and mailbox at hand) or the built binary in a
//! process of its own, on SQLite or PostgreSQL, with a configuration directory and rows of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use serde_json::Value;
use usher::app::{Options, Running};

use super::{
    cli,
    client::{Call, http_client},
    eventually,
    postgres::TestDatabase,
    setup::{Scratch, Setup},
    smtp_sink::Letter,
};

/// The ports that processes listen on.
const FIRST_PORT: u16 = 12_000;
const PORTS: u32 = 20_000;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of its own.
    Sqlite,
    /// A database of its own in the throw-away cluster.
    Postgres,
}

/// Where the rows are, shared by replicas.
pub enum Rows {
    /// A file.
    File(PathBuf),
    /// A database.
    Database(TestDatabase),
}

enum Serving {
    Here(Box<Running>),
    Process { child: Child, addr: SocketAddr, admin: SocketAddr },
    Stopped,
}

/// A server of one test, stopped with it.
pub struct TestServer {
    /// The database it runs on.
    pub engine: Engine,
    /// What it is configured with.
    pub setup: Setup,
    /// Its client.
    pub client: Client,
    serving: Serving,
    rows: Arc<Rows>,
    scratch: Arc<Scratch>,
}

impl TestServer {
    /// Starts a server with rows of its own.
    pub fn start(engine: Engine, setup: Setup) -> Self {
        let mut server = Self::prepared(engine, setup);
        server.serve();
        server
    }

    /// Configuration and rows without a server yet.
    pub fn prepared(engine: Engine, setup: Setup) -> Self {
        let scratch = Arc::new(Scratch::new());
        let rows = match engine {
            Engine::Sqlite => Rows::File(scratch.path().join("data").join("usher.db")),
            Engine::Postgres => Rows::Database(TestDatabase::migrated().unwrap()),
        };
        Self::over(engine, setup, Arc::new(rows), scratch)
    }

    /// The same on a PostgreSQL database without any table.
    pub fn prepared_without_schema(engine: Engine, setup: Setup) -> Self {
        let mut server = Self::prepared(Engine::Sqlite, setup);
        if engine == Engine::Postgres {
            server.engine = engine;
            server.rows = Arc::new(Rows::Database(TestDatabase::empty().unwrap()));
            server.configure();
        }
        server
    }

    fn over(engine: Engine, setup: Setup, rows: Arc<Rows>, scratch: Arc<Scratch>) -> Self {
        let server = Self { engine, setup, client: http_client(), serving: Serving::Stopped, rows, scratch };
        server.configure();
        server
    }

    /// Another server on the same rows, with a configuration directory of its own.
    pub fn replica(&self) -> Self {
        let scratch = Arc::new(Scratch::new());
        let mut server = Self::over(self.engine, self.setup.clone(), self.rows.clone(), scratch);
        server.serve();
        server
    }

    /// Starts serving what is prepared or was stopped.
    pub fn serve(&mut self) {
        if self.setup.own_process {
            return self.serve_in_process_of_its_own();
        }
        let source = usher::config::Source {
            config_dir: self.config_dir(),
            data_dir: Some(self.data_dir()),
            listen: None,
            env: Vec::new(),
        };
        // on a thread of its own, so that it may block on whatever runtime it has
        let options = Options { source, crowd: self.setup.crowd, ..Options::default() };
        let started = std::thread::spawn(move || usher::app::start(options)).join();
        match started.unwrap() {
            Ok(running) => self.serving = Serving::Here(Box::new(running)),
            Err(error) => panic!("the server does not start: {error}"),
        }
    }

    fn serve_in_process_of_its_own(&mut self) {
        let (addr, admin) = (free_port(), free_port());
        self.setup = self.setup.clone().server("server.admin_listen", admin.to_string());
        self.configure();
        let log = fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut words = self.setup.launcher.iter().map(std::ffi::OsString::from).collect::<Vec<_>>();
        words.push(cli::binary().into());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args(["serve", "--listen", &addr.to_string()])
            .args(cli::places(&self.config_dir(), &self.data_dir()))
            .current_dir(self.scratch.path())
            .env_clear()
            .envs(self.setup.log.map(|filter| ("USHER_LOG", filter)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.serving = Serving::Process { child, addr, admin };
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < deadline, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes the configuration anew, for a running server to reload.
    pub fn configure(&self) {
        let url = self.database_url();
        let url = self.setup.road.as_ref().map_or(url.clone(), |road| road.instead_of(&url));
        self.setup.write(&self.config_dir(), &url);
    }

    /// Stops gracefully and waits for it.
    pub fn stop(&mut self) {
        match std::mem::replace(&mut self.serving, Serving::Stopped) {
            Serving::Here(running) => std::thread::spawn(move || running.stop()).join().unwrap().unwrap(),
            Serving::Process { mut child, .. } => {
                signal(child.id(), "TERM");
                let _ = child.wait();
            }
            Serving::Stopped => {}
        }
    }

    /// Asks a process to stop and tells how it exited.
    pub fn terminate(&mut self) -> Option<i32> {
        match std::mem::replace(&mut self.serving, Serving::Stopped) {
            Serving::Process { mut child, .. } => {
                signal(child.id(), "TERM");
                child.wait().unwrap().code()
            }
            _ => panic!("only a process can be terminated"),
        }
    }

    /// Kills a process without any warning.
    pub fn kill(&mut self) {
        if let Serving::Process { child, .. } = &mut self.serving {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.serving = Serving::Stopped;
    }

    /// The id of a server process.
    pub fn pid(&self) -> u32 {
        match &self.serving {
            Serving::Process { child, .. } => child.id(),
            _ => panic!("only a process has an id"),
        }
    }

    /// Sends a signal by name to a server process.
    pub fn signal(&self, name: &str) {
        if let Serving::Process { child, .. } = &self.serving {
            signal(child.id(), name);
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        match &self.serving {
            Serving::Here(running) => running.addr,
            Serving::Process { addr, .. } => *addr,
            Serving::Stopped => panic!("stopped"),
        }
    }

    /// Where its admin listener listens.
    pub fn admin_addr(&self) -> SocketAddr {
        match &self.serving {
            Serving::Here(running) => running.admin.unwrap(),
            Serving::Process { admin, .. } => *admin,
            Serving::Stopped => panic!("stopped"),
        }
    }

    /// Moves the test clock; credentials do not notice.
    pub fn advance(&self, by: Duration) {
        let Serving::Here(running) = &self.serving else { panic!("a process has no test clock") };
        running.clock.advance_millis(i64::try_from(by.as_millis()).unwrap());
    }

    /// Moves the test clock back, as whoever corrects a machine's clock does.
    pub fn set_back(&self, by: Duration) {
        let Serving::Here(running) = &self.serving else { panic!("a process has no test clock") };
        running.clock.advance_millis(-i64::try_from(by.as_millis()).unwrap());
    }

    /// Now by the server's clock, in milliseconds.
    pub fn now(&self) -> i64 {
        let Serving::Here(running) = &self.serving else { panic!("a process has no test clock") };
        running.clock.now().0
    }

    /// Its connections, for what a server does by itself and nobody can ask for.
    pub fn store(&self) -> &usher::store::Store {
        let Serving::Here(running) = &self.serving else { panic!("a process keeps its connections") };
        running.store()
    }

    /// A call of any method.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call::new(&self.client, method, format!("http://{}{path}", self.addr()))
    }

    /// GET.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// POST of a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    /// PATCH with a JSON body.
    pub fn patch(&self, path: &str, body: &Value) -> Call {
        self.call(Method::PATCH, path).json(body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// GET on the admin listener.
    pub fn admin(&self, path: &str) -> Call {
        Call::new(&self.client, Method::GET, format!("http://{}{path}", self.admin_addr()))
    }

    /// The mails that have left so far.
    pub fn letters(&self) -> Vec<Letter> {
        match (&self.serving, &self.setup.sink) {
            (_, Some(sink)) => sink.letters(),
            (Serving::Here(running), None) => {
                running.mailbox().list().into_iter().map(Letter::from).collect()
            }
            _ => panic!("a process keeps its mails to itself: use a sink"),
        }
    }

    /// The mails to an address, once there are so many.
    pub async fn letters_to(&self, address: &str, count: usize) -> Vec<Letter> {
        eventually(&format!("{count} mails to {address}"), async || {
            let theirs: Vec<_> = self.letters().into_iter().filter(|letter| letter.to == address).collect();
            (theirs.len() >= count).then_some(theirs)
        })
        .await
    }

    /// Where its configuration is.
    pub fn config_dir(&self) -> PathBuf {
        self.scratch.path().join("config")
    }

    /// Where it keeps what it keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// A directory of this test.
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// What a server process has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.scratch.path().join("stderr.log")
    }

    /// Its database.
    pub fn database_url(&self) -> String {
        match &*self.rows {
            Rows::File(path) => format!("sqlite://{}", path.display()),
            Rows::Database(database) => database.url().to_owned(),
        }
    }

    /// Runs the built binary's command line on this configuration.
    pub async fn cli(&self, arguments: &[&str]) -> cli::Output {
        cli::usher(self.dir(), arguments, &cli::places(&self.config_dir(), &self.data_dir())).await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.serving, Serving::Stopped) {
            // the thread's panic is not ours: a failed test may be unwinding
            Serving::Here(running) => drop(std::thread::spawn(move || running.stop()).join()),
            Serving::Process { mut child, .. } => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Serving::Stopped => {}
        }
    }
}

/// An address on loopback for a process that is started next. It is below the ports that systems give to whoever asks
/// for any, so that no connection or server of another test takes it in between; each is given once.
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (0..PORTS)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(97)))
        .map(|count| SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST_PORT + (count % PORTS) as u16)))
        .find(|addr| TcpListener::bind(addr).is_ok())
        .unwrap()
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap();
    assert!(sent.success());
}
