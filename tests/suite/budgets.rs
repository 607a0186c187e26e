//! What commands cost: how many statements their transactions make, alone and many at once, beginning and committing
//! aside. On PostgreSQL a statement is a round trip, on SQLite its building and running is most of a command. Whoever
//! makes one more changes the table in `docs/BENCHMARKS.md` too, and says why.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    CLINIC, Engine, Invited, Kind::Workspace, TestServer, acme_owner, both_engines, person,
};

both_engines!(a_command_alone_makes_so_many_statements, of_many_at_once_each_makes_fewer);

fn collection() -> String {
    format!("/api/v1/workspaces/{CLINIC}/invites")
}

fn unmailed(email: &str) -> Value {
    json!({ "email": email, "role": "member", "send_email": false })
}

/// Creates an invite without a mail, so that nothing is done in the background.
async fn create(server: &TestServer, email: &str) -> Invited {
    let answer = server.post(&collection(), &unmailed(email)).by(&acme_owner()).await;
    Invited::read(Workspace, &answer.expect(201))
}

/// The fewest statements that a step of three made: the janitor may have come between.
async fn fewest(server: &TestServer, mut step: impl AsyncFnMut(usize)) -> u64 {
    let mut costs = Vec::new();
    for at in 0..3 {
        let before = server.store().statements();
        step(at).await;
        costs.push(server.store().statements() - before);
    }
    costs.into_iter().min().unwrap()
}

async fn a_command_alone_makes_so_many_statements(server: TestServer) {
    let owner = acme_owner();
    // the owner's row and grant are written once
    create(&server, "first@example.com").await;
    // the lock of the tenant, which tells the time as well
    let postgres = if server.engine == Engine::Postgres { 1 } else { 0 };

    let creates = fewest(&server, async |at| {
        create(&server, &format!("alice{at}@example.com")).await;
    });
    let creates = creates.await;

    let mut invited = Vec::new();
    for at in 0..3 {
        invited.push(create(&server, &format!("bob{at}@example.com")).await);
    }
    let accepts = fewest(&server, async |at| {
        let who = person(&format!("bob{at}@example.com"));
        server.accept(&invited[at], &who).await.expect(200);
    });
    let accepts = accepts.await;

    let mut invited = Vec::new();
    for at in 0..3 {
        invited.push(create(&server, &format!("carol{at}@example.com")).await);
    }
    let revokes = fewest(&server, async |at| {
        server.delete(&format!("{}/{}", collection(), invited[at].id)).by(&owner).await.expect(200);
    });
    let revokes = revokes.await;
    assert_eq!([creates, accepts, revokes].map(|cost| cost - postgres), [7, 8, 6], "create, accept, revoke");
}

async fn of_many_at_once_each_makes_fewer(server: TestServer) {
    let owner = acme_owner();
    create(&server, "first@example.com").await;
    let bodies: Vec<_> = (0..64).map(|at| unmailed(&format!("bob{at}@example.com"))).collect();
    let before = server.store().statements();
    let path = collection();
    let creates = bodies.iter().map(|body| server.post(&path, body).by(&owner).into_future());
    let invited: Vec<Invited> = join_all(creates)
        .await
        .into_iter()
        .map(|answer| Invited::read(Workspace, &answer.expect(201)))
        .collect();
    let creates = server.store().statements() - before;
    // what they look at is read for a batch, what they add is written for a batch
    assert!(creates < 64 * 3, "{creates} statements for 64 creates");

    let before = server.store().statements();
    let people: Vec<_> = (0..64).map(|at| person(&format!("bob{at}@example.com"))).collect();
    let accepts = invited.iter().zip(&people).map(|(invited, who)| server.accept(invited, who).into_future());
    for answer in join_all(accepts).await {
        answer.expect(200);
    }
    let accepts = server.store().statements() - before;
    // the statement that decides is each one's own
    assert!((64..64 * 4).contains(&accepts), "{accepts} statements for 64 accepts");
}
