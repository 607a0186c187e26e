//! How long a link can still look alive after its invite was revoked: not at all on the server that revoked it, and no
//! longer than a cached preview lives on the others and after the command line did it. Accepting asks no cache and is
//! refused at once everywhere.
//!
//! `USHER_STALE_ROUNDS=10000 cargo test --test suite staleness:: -- --nocapture` is the long run; with `--nocapture`
//! the figures show.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::support::{Engine, Invited, TestServer, acme_owner, both_engines, invites::KINDS, person, rounds};

both_engines!(
    on_the_server_that_revoked_no_preview_is_stale,
    on_other_servers_a_preview_is_stale_for_a_moment_at_most,
    after_the_command_line_a_preview_is_stale_for_a_moment_at_most,
);

/// What no stale preview may outlive.
const ALWAYS: Duration = Duration::from_secs(5);

async fn invite(server: &TestServer, at: usize) -> Invited {
    let (kind, owner) = (KINDS[at % 2], acme_owner());
    let body = json!({ "email": format!("bob{at}@example.com"), "send_email": false });
    Invited::read(kind, &server.post(&kind.collection(), &body).by(&owner).patiently().await.expect(201))
}

async fn on_the_server_that_revoked_no_preview_is_stale(server: TestServer) {
    let (count, owner) = (rounds("USHER_STALE_ROUNDS", 100), acme_owner());
    let all = stream::iter(0..count).map(|at| {
        let (server, owner) = (&server, &owner);
        async move {
            let invited = invite(server, at).await;
            // cached, and looked at while it is revoked
            server.preview(&invited).patiently().await.expect(200);
            let looking = async { server.preview(&invited).await };
            let revoking = server.revoke(&invited, owner).patiently();
            let (_, revoked) = tokio::join!(looking, revoking);
            revoked.expect(200);
            server.preview(&invited).patiently().await.refused(404, invited.kind.invalid_token());
        }
    });
    all.buffer_unordered(8).collect::<Vec<()>>().await;
    println!("{:?}: {count} revoked, none shown afterwards", server.engine);
}

async fn on_other_servers_a_preview_is_stale_for_a_moment_at_most(server: TestServer) {
    if server.engine == Engine::Sqlite {
        return; // one process serves a file
    }
    let other = server.replica();
    let stale = stream::iter(0..rounds("USHER_STALE_ROUNDS", 100)).map(|at| {
        let (server, other) = (&server, &other);
        async move {
            let invited = invite(server, at).await;
            other.preview(&invited).patiently().await.expect(200);
            server.revoke(&invited, &acme_owner()).patiently().await.expect(200);
            let since = Instant::now();
            if at % 10 == 0 {
                let bob = person(&format!("bob{at}@example.com"));
                other.accept(&invited, &bob).patiently().await.refused_as(invited.kind.revoked());
            }
            gone(other, &invited, since).await
        }
    });
    report("other servers", server.engine, stale.buffer_unordered(16).collect().await);
}

async fn after_the_command_line_a_preview_is_stale_for_a_moment_at_most(server: TestServer) {
    // a process each, so fewer of them
    let stale = stream::iter(0..rounds("USHER_STALE_ROUNDS", 100).div_ceil(20)).map(|at| {
        let server = &server;
        async move {
            let invited = invite(server, at).await;
            server.preview(&invited).patiently().await.expect(200);
            server.cli(&["invite", "revoke", &invited.id]).await.data();
            gone(server, &invited, Instant::now()).await
        }
    });
    report("after the command line", server.engine, stale.buffer_unordered(2).collect().await);
}

/// How long after this moment the link was still shown.
async fn gone(server: &TestServer, invited: &Invited, since: Instant) -> Duration {
    let mut last_seen = Duration::ZERO;
    loop {
        let asked = since.elapsed();
        match server.preview(invited).await {
            answer if answer.status == 404 => return last_seen,
            answer if answer.status == 503 => {}
            answer => {
                answer.expect(200);
                assert!(asked < ALWAYS, "shown {asked:?} after it was revoked");
                last_seen = asked;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn report(what: &str, engine: Engine, mut stale: Vec<Duration>) {
    stale.sort();
    let at = |share: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = ((stale.len() - 1) as f64 * share).round() as usize;
        stale[index]
    };
    let (middle, late, last) = (at(0.5), at(0.99), at(1.0));
    println!(
        "{engine:?} {what}: {} revoked, shown for p50 {middle:?}, p99 {late:?}, max {last:?}",
        stale.len()
    );
}
