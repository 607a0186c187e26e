//! Calls that race: exactly one winner, losers told the truth, nothing half done. Each race runs with the
//! actors and with every command on its own, because correctness must not rest on the actors. Whoever is told to come
//! back, as some of fifty at once may be, does.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner,
    client::Answer,
    invites::KINDS,
    person, rounds, with_and_without_actors,
};

with_and_without_actors!(
    fifty_acceptances_have_one_winner,
    accept_against_revoke_has_one_winner,
    accept_against_decline_has_one_winner,
    accept_against_rotation_tells_the_truth,
    accept_against_an_edit_gives_the_role_that_it_found,
    parallel_creates_make_one_invite,
    two_accounts_of_one_address_get_in_once,
    seats_hold_against_many_acceptances => Setup::new().acme("invites.seats", 5),
    owners_demoting_each_other_leave_one,
    three_servers_on_one_database_have_one_winner,
);

/// How many of the answers have this status.
fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

async fn sound(server: &TestServer) {
    let rows = server.inspect().await;
    rows.assert_sound().await;
    rows.assert_nobody_missing().await;
}

async fn fifty_acceptances_have_one_winner(server: TestServer) {
    for round in 0..rounds("USHER_RACE_ROUNDS", 4) {
        let bob = person(&format!("bob{round}@example.com"));
        let invited = server.invite(KINDS[round % 2], &acme_owner(), bob.email(), "member").await;
        let answers = join_all((0..50).map(|_| server.accept(&invited, &bob).patiently())).await;
        assert_eq!(count(&answers, 200), 1);
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            let told = answer.refused(409, "ALREADY_ACCEPTED");
            assert_eq!(told["error"]["details"]["accepted_by_you"], true, "{told}");
        }
    }
    let rows = server.inspect().await;
    let events = "SELECT count(*) AS n FROM events WHERE kind LIKE '%accepted%'";
    let accepted = "SELECT count(*) AS n FROM invites WHERE status = 'accepted'";
    assert_eq!(rows.count(events).await, rows.count(accepted).await, "one event each");
    sound(&server).await;
}

async fn accept_against_revoke_has_one_winner(server: TestServer) {
    let owner = acme_owner();
    let (mut accepted, mut revoked) = (0, 0);
    for batch in 0..rounds("USHER_RACE_ROUNDS", 20) {
        let invites = join_all((0..10).map(|at| {
            let email = format!("bob{batch}x{at}@example.com");
            let (server, owner) = (&server, &owner);
            async move {
                let who = person(&email);
                // both credentials have been seen, so that neither side is held up by its first sight
                server.get("/api/v1/me/invites").by(&who).await;
                (server.invite(KINDS[at % 2], owner, &email, "member").await, who)
            }
        }))
        .await;
        let pairs = join_all(invites.iter().map(|(invited, who)| async {
            let accepting = server.accept(invited, who).patiently();
            let revoking = server.revoke(invited, &owner).patiently();
            tokio::join!(accepting, revoking)
        }))
        .await;
        for ((invited, _), (accept, revoke)) in invites.iter().zip(pairs) {
            match (accept.status, revoke.status) {
                (200, 409) => {
                    revoke.refused(409, "ALREADY_ACCEPTED");
                    accepted += 1;
                }
                (_, 200) => {
                    accept.refused_as(invited.kind.revoked());
                    revoked += 1;
                }
                _ => panic!("{} and {}", accept.text(), revoke.text()),
            }
        }
    }
    println!("accepted {accepted}, revoked {revoked}");
    sound(&server).await;
}

async fn accept_against_decline_has_one_winner(server: TestServer) {
    for round in 0..rounds("USHER_RACE_ROUNDS", 25) {
        let bob = person(&format!("bob{round}@example.com"));
        let invited = server.invite(KINDS[round % 2], &acme_owner(), bob.email(), "member").await;
        let accepting = server.accept(&invited, &bob).patiently();
        let declining = server.decline(&invited, &bob).patiently();
        let (accept, decline) = tokio::join!(accepting, declining);
        match (accept.status, decline.status) {
            (200, 409) => drop(decline.refused(409, "ALREADY_ACCEPTED")),
            (409, 200) => drop(accept.refused(409, "DECLINED")),
            _ => panic!("{} and {}", accept.text(), decline.text()),
        }
    }
    sound(&server).await;
}

async fn accept_against_rotation_tells_the_truth(server: TestServer) {
    let owner = acme_owner();
    for round in 0..rounds("USHER_RACE_ROUNDS", 25) {
        let bob = person(&format!("bob{round}@example.com"));
        let invited = server.invite(KINDS[round % 2], &owner, bob.email(), "member").await;
        let accepting = server.accept(&invited, &bob).patiently();
        let rotating = server.resend(&invited, &owner, &json!({ "rotate": true })).patiently();
        let (accept, rotate) = tokio::join!(accepting, rotating);
        match (accept.status, rotate.status) {
            (200, 409) => drop(rotate.refused(409, "ALREADY_ACCEPTED")),
            (_, 200) => drop(accept.refused_as(invited.kind.unknown())),
            _ => panic!("{} and {}", accept.text(), rotate.text()),
        }
    }
    sound(&server).await;
}

async fn accept_against_an_edit_gives_the_role_that_it_found(server: TestServer) {
    let owner = acme_owner();
    let rows = server.inspect().await;
    let (mut before, mut after) = (0, 0);
    for round in 0..rounds("USHER_RACE_ROUNDS", 25) {
        let (kind, bob) = (KINDS[round % 2], person(&format!("bob{round}@example.com")));
        let invited = server.invite(kind, &owner, bob.email(), "member").await;
        server.get("/api/v1/me/invites").by(&bob).await;
        let accepting = server.accept(&invited, &bob).patiently();
        let editing = server.edit(&invited, &owner, &json!({ "role": "admin" })).patiently();
        let (accept, edit) = tokio::join!(accepting, editing);
        accept.expect(200);
        let role = match edit.status {
            200 => {
                before += 1;
                "admin"
            }
            _ => {
                edit.refused(409, "ALREADY_ACCEPTED");
                after += 1;
                "member"
            }
        };
        let table = if kind == Org { "tenant_members" } else { "workspace_members" };
        let held = format!("SELECT role AS t FROM {table} WHERE user_id = '{}'", bob.user_id());
        assert_eq!(rows.texts(&held).await, [role]);
        assert_eq!(server.show(&invited, &owner).await.expect(200)["data"]["role"], role);
    }
    println!("edited {before} times before, {after} times after the acceptance");
    sound(&server).await;
}

async fn parallel_creates_make_one_invite(server: TestServer) {
    for kind in KINDS {
        let (email, owner) = (format!("bob-{kind:?}@example.com"), acme_owner());
        let body = json!({ "email": email });
        let calls = (0..50).map(|_| server.post(&kind.collection(), &body).by(&owner).patiently());
        let answers = join_all(calls).await;
        let ids: Vec<String> =
            answers.iter().map(|answer| Invited::read(kind, &answer.expect(201)).id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(server.pending(kind, &owner).await.len(), 1);
        server.invite(kind, &owner, &format!("later-{kind:?}@example.com"), "member").await;
        server.letters_to(&format!("later-{kind:?}@example.com"), 1).await;
        assert_eq!(server.letters_to(&email, 1).await.len(), 1, "one mail");
    }
    sound(&server).await;
}

async fn two_accounts_of_one_address_get_in_once(server: TestServer) {
    for round in 0..rounds("USHER_RACE_ROUNDS", 10) {
        let email = format!("bob{round}@example.com");
        let invited = server.invite(KINDS[round % 2], &acme_owner(), &email, "member").await;
        let twins: Vec<_> =
            (0..8).map(|at| person(&email).with("sub", format!("twin{round}x{at}"))).collect();
        let answers = join_all(twins.iter().map(|twin| server.accept(&invited, twin).patiently())).await;
        assert_eq!(count(&answers, 200), 1);
        assert_eq!(count(&answers, 409), 7);
    }
    sound(&server).await;
}

async fn seats_hold_against_many_acceptances(server: TestServer) {
    let owner = acme_owner();
    let mut waiting = Vec::new();
    for at in 0..30 {
        let who = person(&format!("late{at}@example.com"));
        waiting.push((server.invite(KINDS[at % 2], &owner, who.email(), "member").await, who));
    }
    let calls = waiting.iter().map(|(invited, who)| server.accept(invited, who).patiently());
    let answers = join_all(calls).await;
    assert_eq!(count(&answers, 200), 4, "five seats, one of them the owner's");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refused(409, "SEAT_LIMIT_REACHED");
    }
    sound(&server).await;
}

async fn owners_demoting_each_other_leave_one(server: TestServer) {
    let owner = acme_owner();
    for round in 0..rounds("USHER_RACE_ROUNDS", 3) {
        let second = server.joined(Org, &format!("second{round}@example.com"), "owner").await;
        let (one, two) = (owner.user_id(), second.user_id());
        let demote = ["member", "set-role", &one, "admin", "--tenant", "acme"];
        let remove = ["member", "remove", &two, "--tenant", "acme"];
        let (first_demoted, second_removed) = tokio::join!(server.cli(&demote), server.cli(&remove));
        let done = [first_demoted.code, second_removed.code].iter().filter(|code| **code == Some(0)).count();
        assert_eq!(done, 1, "{first_demoted:#?} {second_removed:#?}");
        server.inspect().await.assert_sound().await;
        if first_demoted.code == Some(0) {
            server.cli(&["member", "set-role", &one, "owner", "--tenant", "acme"]).await.data();
            server.cli(&["member", "remove", &two, "--tenant", "acme"]).await.data();
        }
    }
}

async fn three_servers_on_one_database_have_one_winner(server: TestServer) {
    if server.engine == crate::support::Engine::Sqlite {
        return; // one process writes to a file
    }
    let owner = acme_owner();
    let servers = [&server, &server.replica(), &server.replica()];
    for round in 0..rounds("USHER_RACE_ROUNDS", 10) {
        let bob = person(&format!("bob{round}@example.com"));
        let body = json!({ "email": bob.email() });
        let creates = servers.map(|one| one.post(&Workspace.collection(), &body).by(&owner).patiently());
        let made: Vec<_> =
            join_all(creates).await.iter().map(|a| Invited::read(Workspace, &a.expect(201))).collect();
        assert!(made.iter().all(|one| one.id == made[0].id && one.url == made[0].url));
        let accepts = servers.map(|one| one.accept(&made[0], &bob).patiently());
        let revoke = server.revoke(&made[0], &owner).patiently();
        let (accepts, revoke) = tokio::join!(join_all(accepts), revoke);
        assert_eq!(count(&accepts, 200) + usize::from(revoke.status == 200), 1, "{accepts:?} {revoke:?}");
    }
    sound(&server).await;
}
