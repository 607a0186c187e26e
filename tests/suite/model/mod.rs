//! A model of what invites are, asked the same as the server: random changes in random order, with time moved in
//! between, and after each of them the same rows. The model knows nothing of how the server does it.
//!
//! `USHER_MODEL_STEPS` sets how many changes are made; `USHER_MODEL_SEED` repeats a run that failed, whose seed is in
//! its message.

mod people;
mod world;

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use self::{
    people::Chance,
    world::{Change, World},
};
use crate::support::{
    ACME, Engine, Kind, Setup, TestServer, acme_owner, both_engines, client::Answer, database::Inspector,
    invites::token_of, rounds,
};

both_engines!(the_server_does_what_the_model_does => setup());

/// Time moves in ticks, so that the time the test itself takes decides nothing: an invite lives for two of them and a
/// bit, the pause between two mails is less than one.
const TICK: Duration = Duration::from_secs(25 * 60);
const LIFE: u64 = 60 * 60;

fn setup() -> Setup {
    // nothing is forgotten, however long the run
    ["invites", "mails", "failed_mails"]
        .iter()
        .fold(Setup::new().server("invites.resend_cooldown", "10m"), |setup, kind| {
            setup.server(&format!("retention.{kind}"), "off")
        })
}

async fn the_server_does_what_the_model_does(server: TestServer) {
    let seed = rounds("USHER_MODEL_SEED", usize::try_from(server.now()).unwrap());
    let mut run = Run::new(server, seed).await;
    for step in 0..rounds("USHER_MODEL_STEPS", 150) {
        let change = run.world.pick(&mut run.chance);
        run.trace.push(format!("{step}: {change:?}"));
        run.make(change).await;
        run.compare().await;
    }
    let rows = run.servers[0].inspect().await;
    rows.assert_sound().await;
    rows.assert_told().await;
    rows.assert_no_token().await;
}

/// One run: the servers, the model, and what was done so far.
struct Run {
    /// Two on PostgreSQL; each change goes to either.
    servers: Vec<TestServer>,
    rows: Inspector,
    world: World,
    chance: Chance,
    seed: usize,
    trace: Vec<String>,
}

impl Run {
    async fn new(server: TestServer, seed: usize) -> Self {
        let rows = server.inspect().await;
        let mut servers = vec![server];
        if servers[0].engine == Engine::Postgres {
            servers.push(servers[0].replica());
        }
        // the owner's row is there before the first change
        servers[0].get("/api/v1/me/invites").by(&acme_owner()).await.expect(200);
        Self { servers, rows, world: World::default(), chance: Chance::new(seed), seed, trace: Vec::new() }
    }

    /// Makes the change on the server and on the model, and compares the answers.
    async fn make(&mut self, change: Change) {
        let at = self.chance.below(self.servers.len());
        let (server, owner) = (&self.servers[at], acme_owner());
        let body = json!({ "expires_in": LIFE });
        let answer = match &change {
            Change::Wait => {
                self.servers.iter().for_each(|server| server.advance(TICK));
                self.world.wait();
                return;
            }
            Change::Create(kind, who) => {
                let body = json!({ "email": people::address(*who), "role": "member", "expires_in": LIFE });
                server.post(&kind.collection(), &body).by(&owner).await
            }
            Change::Resend(id, rotate) => {
                let path = format!("{}/resend", self.world.kind(id).item(id));
                server.post(&path, &json!({ "rotate": rotate })).by(&owner).await
            }
            Change::Extend(id) => server.patch(&self.world.kind(id).item(id), &body).by(&owner).await,
            Change::Revoke(id) => server.delete(&self.world.kind(id).item(id)).by(&owner).await,
            Change::Accept(link, who) => self.present(server, link.kind, &link.token, "accept", *who).await,
            Change::Decline(link, who) => self.present(server, link.kind, &link.token, "decline", *who).await,
            Change::Remove(who) => {
                let path = format!("/api/v1/tenants/{ACME}/members/{}", people::person_of(*who).user_id());
                server.delete(&path).by(&owner).await
            }
        };
        let given = Given { status: answer.status, code: code_of(&answer), id: None, token: None };
        let given = given.with(&answer);
        let expected = self.world.make(&change, &given);
        if expected != given.code {
            self.fail(&format!("{change:?}: expected {expected:?}, got {}", answer.text()));
        }
    }

    async fn present(&self, server: &TestServer, kind: Kind, token: &str, verb: &str, who: usize) -> Answer {
        server.post(&format!("{}/{verb}", kind.token(token)), &json!({})).by(&people::person_of(who)).await
    }

    /// The rows are as the model has them.
    async fn compare(&self) {
        let id = self.rows.hex("id");
        let invites = format!("SELECT {id} || ' ' || status || ' ' || version AS t FROM invites ORDER BY id");
        let mut found = self.rows.texts(&invites).await;
        found.sort();
        let expected: BTreeMap<String, String> = self.world.invites().collect();
        let expected: Vec<String> = expected.into_iter().map(|(id, state)| format!("{id} {state}")).collect();
        if found != expected {
            self.fail(&format!("invites are {found:#?}, and should be {expected:#?}"));
        }
        for (table, expected) in [
            ("tenant_members", self.world.members(Kind::Org)),
            ("workspace_members", self.world.members(Kind::Workspace)),
        ] {
            let sql = format!("SELECT user_id AS t FROM {table} ORDER BY user_id");
            let mut found = self.rows.texts(&sql).await;
            found.retain(|user| *user != acme_owner().user_id());
            if found != expected {
                self.fail(&format!("{table} are {found:?}, and should be {expected:?}"));
            }
        }
    }

    fn fail(&self, why: &str) -> ! {
        panic!("USHER_MODEL_SEED={}: {why}\nafter\n{}", self.seed, self.trace.join("\n"));
    }
}

/// What the server answered, as far as the model asks.
#[derive(Clone, Debug)]
pub struct Given {
    /// The status.
    pub status: u16,
    /// `ok`, `added`, or the code of a refusal.
    pub code: String,
    /// Id of the invite it shows.
    pub id: Option<String>,
    /// Token of the link it shows.
    pub token: Option<String>,
}

impl Given {
    fn with(mut self, answer: &Answer) -> Self {
        if self.status < 300 && !answer.body.is_empty() {
            let data = answer.json()["data"].clone();
            self.id = data["id"].as_str().map(str::to_owned);
            self.token = data["invite_url"].as_str().map(token_of);
        }
        self
    }
}

fn code_of(answer: &Answer) -> String {
    if answer.status >= 300 {
        return answer.json()["code"].as_str().unwrap().to_lowercase();
    }
    let added = !answer.body.is_empty() && answer.json()["type"] == "added";
    if added { "added".to_owned() } else { "ok".to_owned() }
}
