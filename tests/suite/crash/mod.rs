//! Killing the process without warning while it is written to by twenty: whatever was acknowledged is there
//! after the restart, nothing is half done, and every invite gets its mail, a repeat per crash at most.
//!
//! `USHER_CRASH_CYCLES` sets how often it is killed. With `USHER_CRASH_LEDGER=FILE` each stretch of 25 cycles adds
//! a line to the file, and a later run goes on where the lines end: a long run may be interrupted.

mod ledger;

use std::{
    fs,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use serde_json::json;

use self::ledger::{Ledger, Tried};
use crate::support::{
    ACME, CLINIC, Engine, Invited, Kind::Workspace, Setup, TestServer, acme_owner, both_engines,
    client::Call, database::Inspector, eventually, person, rounds, smtp_sink::Ending,
};

both_engines!(
    a_killed_process_loses_nothing_it_has_acknowledged => setup(),
    a_mail_that_has_left_is_not_repeated_by_the_next_server => setup(),
);

/// Kills on one database, before it is looked over as a whole and left for a new one.
const STRETCH: usize = 25;
/// Writers at a time.
const WRITERS: usize = 20;

fn setup() -> Setup {
    Setup::new().smtp().process()
}

async fn a_killed_process_loses_nothing_it_has_acknowledged(server: TestServer) {
    let (engine, wanted) = (server.engine, rounds("USHER_CRASH_CYCLES", 3));
    let mut done = journaled(engine);
    let mut first = Some(server);
    while done < wanted {
        let server = first.take().unwrap_or_else(|| TestServer::start(engine, setup()));
        let stretch = Stretch::new(server, STRETCH.min(wanted - done));
        let figures = stretch.run(done).await;
        done += figures.crashes;
        journal(engine, &figures);
    }
}

async fn a_mail_that_has_left_is_not_repeated_by_the_next_server(mut server: TestServer) {
    let (sink, rows) = (server.setup.sink.clone().unwrap(), server.inspect().await);
    sink.end("bob", Ending::Later);
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    eventually("the mail to be whole", async || (sink.letters().len() == 1).then_some(())).await;
    // from here on nothing of acme can be written down
    if server.engine == Engine::Sqlite {
        rows.execute("BEGIN IMMEDIATE").await;
    } else {
        rows.execute("BEGIN").await;
        let acme = rows.id(ACME);
        let lock =
            format!("SELECT count(*) AS n FROM (SELECT 1 FROM tenants WHERE id = {acme} FOR UPDATE) AS held");
        assert_eq!(rows.count(&lock).await, 1);
    }
    sink.take_all();
    eventually("its note", async || noted(&server, &rows).await.then_some(())).await;
    server.kill();
    rows.execute("ROLLBACK").await;
    assert_eq!(expire_leases(&rows).await, 1);
    server.serve();
    let sent = "SELECT count(*) AS n FROM outbox WHERE state = 'sent'";
    eventually("the next server to write it down", async || (rows.count(sent).await == 1).then_some(()))
        .await;
    assert_eq!(server.show(&invited, &acme_owner()).await.expect(200)["data"]["delivery"], "sent");
    assert_eq!(sink.letters().len(), 1);
    rows.assert_told().await;
}

/// Whether a mail is noted as taken: in its row, or in a file beside the database where rows wait for one writer.
async fn noted(server: &TestServer, rows: &Inspector) -> bool {
    if server.engine == Engine::Postgres {
        return rows.count("SELECT count(*) AS n FROM outbox WHERE last_error = 'taken'").await == 1;
    }
    let notes = format!("{}-taken", server.database_url().trim_start_matches("sqlite://"));
    fs::read_dir(notes).is_ok_and(|mut notes| notes.next().is_some())
}

/// Spares the minute until the next server takes over the mails of one that is surely gone.
async fn expire_leases(rows: &Inspector) -> u64 {
    rows.execute("UPDATE outbox SET lease_until = 0 WHERE state = 'leased'").await
}

/// What one stretch has shown.
struct Figures {
    crashes: usize,
    acknowledged: usize,
    letters: usize,
    repeats: usize,
    slowest_start: Duration,
}

struct Stretch {
    server: TestServer,
    ledger: Arc<Ledger>,
    crashes: usize,
}

impl Stretch {
    fn new(server: TestServer, crashes: usize) -> Self {
        Self { server, ledger: Arc::default(), crashes }
    }

    /// Kills and looks, again and again; `before` only counts on in what is shown.
    async fn run(mut self, before: usize) -> Figures {
        let mut slowest_start = Duration::ZERO;
        for crash in 1..=self.crashes {
            self.write_and_kill(crash).await;
            expire_leases(&self.server.inspect().await).await;
            let since = Instant::now();
            self.server.serve();
            slowest_start = slowest_start.max(since.elapsed());
            let rows = self.server.inspect().await;
            self.ledger.check(&rows).await;
            rows.assert_sound().await;
            rows.assert_told().await;
            show(self.server.engine, &format!("crash {}, {} invites", before + crash, self.ledger.len()));
        }
        self.settle().await;
        let rows = self.server.inspect().await;
        rows.assert_nobody_missing().await;
        rows.assert_told().await;
        rows.assert_no_token().await;
        let letters = self.server.letters();
        let repeats = self.ledger.check_mails(&rows, &letters, self.crashes).await;
        // one a kill at most, over many; a single one may repeat all that was in flight, eight a relay
        assert!(repeats <= self.crashes.max(8), "{repeats} mails were repeated");
        Figures {
            crashes: self.crashes,
            acknowledged: self.ledger.len(),
            letters: letters.len(),
            repeats,
            slowest_start,
        }
    }

    async fn write_and_kill(&mut self, crash: usize) {
        let base = format!("http://{}", self.server.addr());
        let before = self.ledger.len();
        let writers: Vec<_> = (0..WRITERS)
            .map(|at| {
                let writer = Writer {
                    client: self.server.client.clone(),
                    base: base.clone(),
                    name: format!("w{crash}x{at}"),
                    ledger: self.ledger.clone(),
                };
                tokio::spawn(writer.write())
            })
            .collect();
        // the fault comes at any moment: 50 to 1,500 ms into the writing
        let moment = 50 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * 1450 / 255;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        eventually("something to lose", async || (self.ledger.len() > before + 2).then_some(())).await;
        self.server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
    }

    /// Waits until every mail owed has left or is no longer wanted.
    async fn settle(&self) {
        let rows = self.server.inspect().await;
        let deadline = Instant::now() + Duration::from_secs(240);
        let owed = "SELECT count(*) AS n FROM outbox WHERE state IN ('queued', 'leased')";
        while rows.count(owed).await > 0 {
            assert!(Instant::now() < deadline, "mails stay behind");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let given_up = "SELECT count(*) AS n FROM outbox WHERE state = 'dead'";
        assert_eq!(rows.count(given_up).await, 0, "mails were given up");
    }
}

/// Makes invites and ends some of them until the server is gone.
struct Writer {
    client: Client,
    base: String,
    name: String,
    ledger: Arc<Ledger>,
}

impl Writer {
    async fn write(self) {
        let mut at = 0;
        while self.one(at).await.is_some() {
            at += 1;
        }
    }

    /// One invite and what becomes of it; `None` when the server does not answer any more.
    async fn one(&self, at: usize) -> Option<()> {
        let owner = acme_owner();
        let who = person(&format!("{}x{at}@example.com", self.name));
        let body = json!({ "email": who.email() });
        let made =
            self.call(Method::POST, &format!("/api/v1/workspaces/{CLINIC}/invites")).json(&body).by(&owner);
        let answer = made.send().await.ok()?;
        if answer.status != 201 {
            assert_eq!(answer.status, 503, "{}", answer.text());
            return Some(());
        }
        let invited = Invited::read(Workspace, &answer.json());
        self.ledger.created(&invited.id, who.email());
        let (item, token) = (Workspace.item(&invited.id), Workspace.token(&invited.token));
        let (tried, change) = match at % 5 {
            0 | 1 => (Tried::End("accepted"), self.call(Method::POST, &format!("{token}/accept")).by(&who)),
            2 => (Tried::End("revoked"), self.call(Method::DELETE, &item).by(&owner)),
            3 => (Tried::End("declined"), self.call(Method::POST, &format!("{token}/decline")).by(&who)),
            _ => (Tried::Rotation, self.call(Method::POST, &format!("{item}/resend")).by(&owner)),
        };
        self.ledger.tries(&invited.id, tried);
        let answer = change.json(&json!({ "rotate": true })).send().await.ok()?;
        match answer.status {
            200 | 204 => self.ledger.done(&invited.id),
            status => assert_eq!(status, 503, "{}", answer.text()),
        }
        Some(())
    }

    fn call(&self, method: Method, path: &str) -> Call {
        Call::new(&self.client, method, format!("{}{path}", self.base))
    }
}

/// Cycles that earlier runs have written down for this engine.
fn journaled(engine: Engine) -> usize {
    let Some(file) = std::env::var_os("USHER_CRASH_LEDGER") else { return 0 };
    let text = fs::read_to_string(file).unwrap_or_default();
    let ours = text.lines().filter_map(|line| line.strip_prefix(&format!("{engine:?} crashes=")));
    ours.filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok()).sum()
}

fn journal(engine: Engine, figures: &Figures) {
    let Figures { crashes, acknowledged, letters, repeats, slowest_start } = figures;
    let line = format!(
        "{engine:?} crashes={crashes} acknowledged={acknowledged} lost=0 half=0 mails={letters} \
         repeats={repeats} slowest_start_ms={}",
        slowest_start.as_millis()
    );
    show(engine, &line);
    if let Some(file) = std::env::var_os("USHER_CRASH_LEDGER") {
        let mut file = fs::File::options().create(true).append(true).open(file).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// Shows how far a long run is, past the capture of tests.
fn show(engine: Engine, line: &str) {
    if std::env::var_os("USHER_CRASH_LEDGER").is_some() {
        let _ = writeln!(std::io::stderr(), "{engine:?}: {line}");
    }
}
