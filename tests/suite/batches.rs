//! What is decided together: commands of one batch see what those before them have done, also where rows are
//! written only at its end. Calls are thrown at the server together, round after round, so that batches hold them
//! in every order.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    CLINIC,
    Kind::{Org, Workspace},
    Person, TestServer, acme_owner,
    database::Inspector,
    person, rounds, with_and_without_actors,
};

with_and_without_actors!(
    whoever_is_removed_with_their_acceptance_leaves_nothing_waiting,
    whoever_accepts_holds_the_address_at_once,
);

/// Somebody of whose address nothing is known but what a link proves.
fn newcomer(round: usize) -> Person {
    person(&format!("new{round}@example.com")).without("email_verified")
}

/// Accepting proves the address, which is written last in the batch; a removal in the same batch must know it, to
/// revoke what else is addressed to it.
async fn whoever_is_removed_with_their_acceptance_leaves_nothing_waiting(server: TestServer) {
    let owner = acme_owner();
    for round in 0..rounds("USHER_RACE_ROUNDS", 12) {
        let who = newcomer(round);
        let one = server.invite(Org, &owner, who.email(), "member").await;
        let other = server.invite(Workspace, &owner, who.email(), "member").await;
        let path = format!("/api/v1/tenant/members/{}", who.user_id());
        let remove = || server.delete(&path).by(&owner).patiently();
        let before = join_all((0..3).map(|_| remove()));
        let after = join_all((0..8).map(|_| remove()));
        let (_, accepted, removed) = tokio::join!(before, server.accept(&one, &who).patiently(), after);
        accepted.expect(200);
        if removed.iter().all(|answer| answer.status != 200) {
            server.delete(&path).by(&owner).patiently().await; // unless one of the first came after all
        }
        let rows = server.inspect().await;
        let theirs = format!("FROM tenant_members WHERE user_id = '{}'", who.user_id());
        assert_eq!(rows.count(&format!("SELECT count(*) AS n {theirs}")).await, 0);
        server.accept(&other, &who).patiently().await.refused(409, "REVOKED");
        rows.assert_sound().await;
    }
}

/// Whoever accepted into the tenant is added to the workspace, not invited, from the next command on.
async fn whoever_accepts_holds_the_address_at_once(server: TestServer) {
    let owner = acme_owner();
    let rows = server.inspect().await;
    for round in 0..rounds("USHER_RACE_ROUNDS", 12) {
        let who = newcomer(round);
        let invited = server.invite(Org, &owner, who.email(), "member").await;
        let body = json!({ "email": who.email(), "role": "viewer", "send_email": false });
        let create = || server.post(&Workspace.collection(), &body).by(&owner).patiently();
        let before = join_all((0..3).map(|_| create()));
        let after = join_all((0..8).map(|_| create()));
        let (_, accepted, _) = tokio::join!(before, server.accept(&invited, &who).patiently(), after);
        accepted.expect(200);
        server.post(&Workspace.collection(), &body).by(&owner).await.expect(200);
        assert_eq!(invited_after_accepting(&rows, &invited.id, who.email()).await, 0, "round {round}");
        let pending = format!("status = 'pending' AND email_norm = '{}'", who.email());
        assert_eq!(rows.count(&format!("SELECT count(*) AS n FROM invites WHERE {pending}")).await, 0);
        rows.assert_sound().await;
    }
}

/// Invites into the clinic made or repeated for an address after its holder had come in.
async fn invited_after_accepting(rows: &Inspector, accepted: &str, email: &str) -> i64 {
    let (accepted, clinic) = (rows.id(accepted), rows.id(CLINIC));
    rows.count(&format!(
        "SELECT count(*) AS n FROM events late JOIN invites i ON i.id = late.invite_id \
         JOIN events came ON came.tenant_id = late.tenant_id AND came.seq < late.seq \
         WHERE late.kind IN ('invite.created', 'invite.reissued') AND i.workspace_id = {clinic} \
         AND i.email_norm = '{email}' AND came.invite_id = {accepted} AND came.kind = 'invite.accepted'"
    ))
    .await
}
