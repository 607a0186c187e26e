//! A database that fails in every way there is: nothing but 503 with `Retry-After` while it does, nothing lost that
//! was acknowledged, and life as before when it is back, without a restart. `postgres` breaks the road to the
//! database or locks it, `sqlite` locks the file or fills the disk. And a relay that fails in every way (`relay`):
//! nobody but the mails notices.

mod postgres;
mod relay;
mod sqlite;

use std::time::Duration;

use serde_json::json;

use crate::support::{
    Invited,
    Kind::{Org, Workspace},
    TestServer, acme_owner,
    client::Answer,
    eventually, globex_owner,
};

/// Tries to invite into acme's clinic.
async fn invite(server: &TestServer, email: &str) -> Answer {
    let body = json!({ "email": email, "role": "member" });
    server.post(&Workspace.collection(), &body).by(&acme_owner()).await
}

/// Ids of invites that were acknowledged.
#[derive(Default)]
struct Acknowledged(Vec<String>);

impl Acknowledged {
    /// Invites once; whatever is not acknowledged must be a call to come back.
    async fn try_one(&mut self, server: &TestServer) -> bool {
        let answer = invite(server, &format!("bob{}@example.com", uuid::Uuid::now_v7().simple())).await;
        if answer.status != 201 {
            answer.come_back();
            return false;
        }
        self.0.push(Invited::read(Workspace, &answer.json()).id);
        true
    }

    /// Invites once, where nothing is broken but perhaps slow.
    async fn one(&mut self, server: &TestServer) {
        eventually("a change", async || self.try_one(server).await.then_some(())).await;
    }

    /// Everything acknowledged is there, and the rows are as they must be.
    async fn assert_kept(&self, server: &TestServer) {
        let rows = server.inspect().await;
        for id in &self.0 {
            let found = format!("SELECT count(*) AS n FROM invites WHERE id = {}", rows.id(id));
            assert_eq!(rows.count(&found).await, 1, "{id} was acknowledged");
        }
        rows.assert_sound().await;
        rows.assert_told().await;
    }
}

/// Waits until the server takes changes again.
async fn recovered(server: &TestServer, acknowledged: &mut Acknowledged) {
    acknowledged.one(server).await;
    let ready = async || (server.admin("/readyz").await.status == 200).then_some(());
    eventually("readiness", ready).await;
    // and the mailer too
    let last = json!({ "email": "last@example.com", "role": "member" });
    server.post(&Org.collection(), &last).by(&acme_owner()).patiently().await.expect(201);
    server.letters_to("last@example.com", 1).await;
}

/// An invite of another tenant, which a fault of the first does not concern.
async fn globex_goes_on(server: &TestServer, at: usize) {
    let answer = server
        .post(
            &Org.globex_collection(),
            &json!({ "email": format!("carol{at}@example.com"), "role": "member" }),
        )
        .by(&globex_owner())
        .patiently()
        .await;
    answer.expect(201);
}

/// What needs no change goes on: a preview and a list.
async fn reads_go_on(server: &TestServer, invited: &Invited) {
    server.preview(invited).patiently().await.expect(200);
    server.get(&Workspace.collection()).by(&acme_owner()).patiently().await.expect(200);
}

/// Alive all the time.
async fn alive(server: &TestServer) {
    assert_eq!(server.get("/healthz").await.status, 200);
}

/// Waits until so many calls at once are all taken. On a starved machine some may be told to come back, as in trouble.
async fn all_at_once_are_taken(server: &TestServer, calls: usize) {
    eventually("all of a flood to be taken", async || {
        let (answers, _) = flood(server, calls).await;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 201).collect();
        refused.iter().for_each(|answer| answer.come_back());
        refused.is_empty().then_some(())
    })
    .await;
}

/// Calls at once and hands back the slowest answer's time, for figures taken by hand.
async fn flood(server: &TestServer, calls: usize) -> (Vec<Answer>, Duration) {
    let since = std::time::Instant::now();
    let one = async |at: usize| (invite(server, &format!("flood{at}@example.com")).await, since.elapsed());
    let answers = futures_util::future::join_all((0..calls).map(one)).await;
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap_or_default();
    (answers.into_iter().map(|(answer, _)| answer).collect(), slowest)
}
