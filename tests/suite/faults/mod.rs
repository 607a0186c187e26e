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
    CLINIC, Invited,
    Kind::{Org, Workspace},
    TestServer, acme_owner,
    client::Answer,
    eventually, globex_owner,
};

/// Asserts that an answer tells the caller to come back, as every answer does that a broken database causes.
#[track_caller]
fn come_back(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
    answer.refused(503, "SERVICE_UNAVAILABLE");
}

/// Tries to invite into acme's clinic.
async fn invite(server: &TestServer, email: &str) -> Answer {
    let body = json!({ "email": email, "role": "member" });
    server.post(&format!("/api/v1/workspaces/{CLINIC}/invites"), &body).by(&acme_owner()).await
}

/// Ids of invites that were acknowledged.
#[derive(Default)]
struct Acknowledged(Vec<String>);

impl Acknowledged {
    /// Invites once; whatever is not acknowledged must be a call to come back.
    async fn try_one(&mut self, server: &TestServer) -> bool {
        let answer = invite(server, &format!("bob{}@example.com", uuid::Uuid::now_v7().simple())).await;
        if answer.status != 201 {
            come_back(&answer);
            return false;
        }
        self.0.push(Invited::read(Workspace, &answer.json()).id);
        true
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
    eventually("the first change after the fault", async || acknowledged.try_one(server).await.then_some(()))
        .await;
    let ready = async || (server.admin("/readyz").await.status == 200).then_some(());
    eventually("readiness", ready).await;
    // and the mailer too
    let email = "last@example.com";
    server.invite(Org, &acme_owner(), email, "member").await;
    server.letters_to(email, 1).await;
}

/// An invite of another tenant, which a fault of the first does not concern.
async fn globex_goes_on(server: &TestServer, at: usize) {
    let answer = server
        .post(
            &Org.globex_collection(),
            &json!({ "email": format!("carol{at}@example.com"), "role": "member" }),
        )
        .by(&globex_owner())
        .await;
    answer.expect(201);
}

/// Alive all the time.
async fn alive(server: &TestServer) {
    assert_eq!(server.get("/healthz").await.status, 200);
}

/// Calls at once and hands back the slowest answer's time, for figures taken by hand.
async fn flood(server: &TestServer, calls: usize) -> (Vec<Answer>, Duration) {
    let since = std::time::Instant::now();
    let one = async |at: usize| (invite(server, &format!("flood{at}@example.com")).await, since.elapsed());
    let answers = futures_util::future::join_all((0..calls).map(one)).await;
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap_or_default();
    (answers.into_iter().map(|(answer, _)| answer).collect(), slowest)
}
