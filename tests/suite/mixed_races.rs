//! Everything that changes who belongs and who rules, all at once and by everybody: invite, accept, decline, revoke,
//! add, change a role, hand over, leave, remove, in the tenant and in its workspaces. At no moment are there more
//! members than seats, or a tenant or workspace that has lost its last owner; at the end every invariant of the rows
//! holds. With the actors and without, and on three servers.
//!
//! `USHER_RACE_ROUNDS=10000 cargo test --test suite mixed_races -- --nocapture --test-threads=1` is the long run; it
//! prints what was done.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{
    ACME, Engine,
    Kind::{Org, Workspace},
    Person, Setup, TestServer, acme_owner,
    client::Answer,
    database::Inspector,
    invites::token_of,
    person, rounds, with_and_without_actors,
};

with_and_without_actors!(
    seats_and_last_owners_hold_against_everything => Setup::new().acme("invites.seats", SEATS),
    seats_and_last_owners_hold_on_three_servers => Setup::new().acme("invites.seats", SEATS),
);

/// Fewer than there are people, so that every way in meets the limit.
const SEATS: i64 = 6;
/// The configured owner and those who come and go.
const PEOPLE: usize = 12;
/// Callers at a time.
const CALLERS: usize = 16;

async fn seats_and_last_owners_hold_against_everything(server: TestServer) {
    race(&[&server]).await;
}

async fn seats_and_last_owners_hold_on_three_servers(server: TestServer) {
    if server.engine == Engine::Sqlite {
        return; // one process writes to a file
    }
    race(&[&server, &server.replica(), &server.replica()]).await;
}

/// The people, the workspaces they quarrel about, and what has become of what they did.
struct Arena<'a> {
    servers: &'a [&'a TestServer],
    people: Vec<Person>,
    workspaces: Vec<String>,
    left: AtomicUsize,
    told: Mutex<BTreeMap<(&'static str, String), usize>>,
}

async fn race(servers: &[&TestServer]) {
    let (server, owner) = (servers[0], acme_owner());
    let mut people = vec![owner.clone()];
    people.extend((1..PEOPLE).map(|at| person(&format!("p{at}@example.com"))));
    let mut workspaces = Vec::new();
    for at in 0..2 {
        let body = json!({ "name": format!("Ward {at}") });
        let made = server.post("/api/v1/workspaces", &body).by(&owner).await.expect(201);
        workspaces.push(made["id"].as_str().unwrap().to_owned());
    }
    let left = AtomicUsize::new(rounds("USHER_RACE_ROUNDS", 400));
    let arena = Arena { servers, people, workspaces, left, told: Mutex::default() };
    let over = AtomicBool::new(false);
    let watching = async {
        let rows = server.inspect().await;
        let mut looks = 0_u64;
        while !over.load(Ordering::Relaxed) {
            arena.assert_never(&rows).await;
            looks += 1;
        }
        looks
    };
    let racing = async {
        join_all((0..CALLERS).map(|caller| arena.play(caller))).await;
        over.store(true, Ordering::Relaxed);
    };
    let (looks, ()) = tokio::join!(watching, racing);
    let rows = server.inspect().await;
    arena.assert_never(&rows).await;
    rows.assert_sound().await;
    arena.report(looks);
}

impl Arena<'_> {
    /// Rounds of one caller: who does what to whom follows from numbers of its own.
    async fn play(&self, caller: usize) {
        let mut dice = Dice(0x9E37_79B9 ^ (caller as u64 + 1));
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        {
            let (what, answer) = self.act(&mut dice).await;
            assert!(answer.status < 500 || answer.status == 503, "{what}: {}", answer.text());
            let outcome = match answer.status {
                status @ 200..300 => status.to_string(),
                _ => answer.json()["code"].as_str().unwrap_or_default().to_owned(),
            };
            *self.told.lock().unwrap().entry((what, outcome)).or_default() += 1;
        }
    }

    async fn act(&self, dice: &mut Dice) -> (&'static str, Answer) {
        let server = self.servers[dice.below(self.servers.len())];
        let (by, whom) = (self.somebody(server, dice).await, dice.one_of(&self.people));
        let (me, them) = (by.user_id(), whom.user_id());
        let org = format!("/api/v1/tenants/{ACME}/members");
        let ward = format!("/api/v1/workspaces/{}/members", dice.one_of(&self.workspaces));
        let org_role = *dice.one_of(&["member", "admin", "owner", "owner"]);
        let role = *dice.one_of(&["viewer", "member", "admin", "owner"]);
        let (what, method, path, body) = match dice.below(24) {
            0..=7 => return ("invite and accept", self.invite(server, dice, by, whom, org_role, role).await),
            8 => return ("decline or revoke", self.end(server, dice, by, whom).await),
            9..=11 => ("add", Method::POST, org, json!({ "user_id": them, "role": org_role })),
            12 | 13 => ("set role", Method::PATCH, format!("{org}/{them}/role"), json!({ "role": org_role })),
            14 | 15 => {
                let path = "/api/v1/tenant/transfer-ownership".to_owned();
                ("hand over", Method::POST, path, json!({ "new_owner_user_id": them }))
            }
            16 => ("remove", Method::DELETE, format!("{org}/{them}"), json!({})),
            17 => ("leave", Method::DELETE, format!("{org}/{me}"), json!({})),
            18 => ("step down", Method::PATCH, format!("{org}/{me}/role"), json!({ "role": "admin" })),
            19 | 20 => ("add to workspace", Method::POST, ward, json!({ "user_id": them, "role": role })),
            21 => ("set workspace role", Method::PATCH, format!("{ward}/{them}"), json!({ "role": role })),
            22 => ("remove from workspace", Method::DELETE, format!("{ward}/{them}"), json!({})),
            _ => ("leave workspace", Method::DELETE, format!("{ward}/{me}"), json!({})),
        };
        let call = server.call(method, &path).by(by).header("x-miosa-tenant", "acme");
        (what, call.json(&body).await)
    }

    /// Mostly one of the members of the moment, half of these times an owner: whoever may do nothing changes nothing.
    async fn somebody(&self, server: &TestServer, dice: &mut Dice) -> &Person {
        let root = person("root@example.com").with("role", "system_admin");
        // all connections may be busy for a moment: sixteen callers, five connections
        let members = server.get(&format!("/api/v1/tenants/{ACME}/members")).by(&root);
        let listed = members.patiently().await.expect(200);
        let owners_only = dice.below(2) == 0;
        let ids: Vec<&str> = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| !owners_only || one["role"] == "owner")
            .filter_map(|one| one["user_id"].as_str())
            .collect();
        let members: Vec<&Person> =
            self.people.iter().filter(|one| ids.contains(&one.user_id().as_str())).collect();
        if members.is_empty() || dice.below(5) == 0 {
            dice.one_of(&self.people)
        } else {
            members[dice.below(members.len())]
        }
    }

    /// Invites somebody and has them accept, while others revoke, remove and fill the seats.
    async fn invite(
        &self,
        server: &TestServer,
        dice: &mut Dice,
        by: &Person,
        whom: &Person,
        org_role: &str,
        role: &str,
    ) -> Answer {
        let (kind, collection, role) = match dice.below(2) {
            0 => (Org, Org.collection_in(ACME), org_role),
            _ => (Workspace, Workspace.collection_in(dice.one_of(&self.workspaces).as_str()), role),
        };
        let body = json!({ "email": whom.email(), "role": role, "send_email": false });
        let made = server.post(&collection, &body).by(by).await;
        let url = made.json()["data"]["invite_url"].as_str().map(str::to_owned);
        let (201, Some(url)) = (made.status, url) else { return made };
        if dice.below(6) == 0 {
            return made; // somebody else will answer it, or nobody
        }
        server.post(&format!("{}/accept", kind.token(&token_of(&url))), &json!({})).by(whom).await
    }

    /// Ends whatever invite is found: by its addressee or by whoever may.
    async fn end(&self, server: &TestServer, dice: &mut Dice, by: &Person, whom: &Person) -> Answer {
        let inbox = server.get("/api/v1/me/invites").by(whom).await;
        let waiting = inbox.json()["data"].as_array().cloned().unwrap_or_default();
        let Some(one) = waiting.first() else { return inbox };
        let id = one["id"].as_str().unwrap();
        match dice.below(3) {
            0 => server.post(&format!("/api/v1/me/invites/{id}/decline"), &json!({})).by(whom).await,
            1 => server.post(&format!("/api/v1/me/invites/{id}/accept"), &json!({})).by(whom).await,
            _ => {
                let collection = match one["workspace_id"].as_str() {
                    Some(workspace) => Workspace.collection_in(workspace),
                    None => Org.collection_in(ACME),
                };
                server.delete(&format!("{collection}/{id}")).by(by).await
            }
        }
    }

    /// What no moment may show, each look one statement.
    async fn assert_never(&self, rows: &Inspector) {
        let acme = rows.id(ACME);
        let members = format!("SELECT count(*) AS n FROM tenant_members WHERE tenant_id = {acme}");
        assert!(rows.count(&members).await <= SEATS, "more members than seats");
        let owners = rows.count(&format!("{members} AND role = 'owner'")).await;
        assert!(owners > 0, "a tenant without an owner");
        for workspace in &self.workspaces {
            let id = rows.id(workspace);
            let owners = "SELECT count(*) AS n FROM workspace_members WHERE role = 'owner' AND workspace_id";
            assert!(rows.count(&format!("{owners} = {id}")).await > 0, "a workspace without an owner");
        }
    }

    fn report(&self, looks: u64) {
        let told = self.told.lock().unwrap();
        println!("{} operations, {looks} looks meanwhile", told.values().sum::<usize>());
        for ((what, outcome), times) in &*told {
            println!("  {what:22} {outcome:24} {times:6}");
        }
        let count = |wanted: &dyn Fn(&str) -> bool| -> usize {
            told.iter().filter(|((_, outcome), _)| wanted(outcome)).map(|(_, times)| times).sum()
        };
        assert!(
            count(&|outcome| outcome.starts_with('2')) * 10 > count(&|_| true),
            "hardly anything was done"
        );
        for refusal in ["SEAT_LIMIT_REACHED", "LAST_OWNER"] {
            assert!(count(&|outcome| outcome == refusal) > 0, "{refusal} was never come near");
        }
    }
}

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}
