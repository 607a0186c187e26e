//! Every operation that takes an id, asked with ids that are not the caller's: another tenant's, one that is gone,
//! one under another's path. The answer is the answer to an id that never was, to the letter and the header, and
//! nothing has happened; so nobody learns what there is elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::support::{
    ACME_HOST, Credential, GLOBEX_HOST,
    Kind::{Org, Workspace},
    PLATFORM, TestServer, acme_owner, both_engines,
    client::Answer,
    globex_owner, person,
    routes::{Ground, ROUTES, Route},
};

both_engines!(
    on_a_platform_host_a_foreign_id_answers_as_one_that_never_was,
    on_the_own_host_a_foreign_id_answers_as_one_that_never_was,
    on_anothers_host_everything_answers_as_what_never_was,
    a_foreign_person_is_as_unknown_as_one_that_never_was,
);

/// What stands at a place of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// The caller's own.
    Own,
    /// Another tenant's.
    Foreign,
    /// One that was there.
    Gone,
    /// One that never was.
    Never,
}
use Which::{Foreign, Gone, Never, Own};

/// One of each kind of id that paths have, of one sort; filled as paths ask for them.
struct Ids<'a> {
    grounds: BTreeMap<&'static str, Ground<'a>>,
}

impl<'a> Ids<'a> {
    fn of(server: &'a TestServer) -> Self {
        Self { grounds: [("own", Ground::acme(server)), ("foreign", Ground::globex(server))].into() }
    }

    /// An id for the name, or nothing where this sort makes no sense for it.
    async fn id(&self, which: Which, name: &str) -> Option<String> {
        let (own, foreign) = (&self.grounds["own"], &self.grounds["foreign"]);
        Some(match which {
            Own => own.made(name).await,
            Foreign => foreign.made(name).await,
            Gone => gone(own, name).await?,
            Never => match name {
                // a link of nobody is a token with another signature
                "link" | "org_link" => foreign.made(name).await.chars().rev().collect(),
                "member" | "tenant_member" => format!("u-never-{}", uuid::Uuid::now_v7().simple()),
                _ => uuid::Uuid::now_v7().to_string(),
            },
        })
    }
}

/// Makes one and takes it away again.
async fn gone(ground: &Ground<'_>, name: &str) -> Option<String> {
    let (id, tenant) = match name {
        "workspace" => {
            let body = json!({ "name": ground.made("name").await });
            let made = ground.server.post("/api/v1/workspaces", &body).by(&ground.owner).await.expect(201);
            (made["id"].as_str().unwrap().to_owned(), &ground.tenant)
        }
        "member" | "tenant_member" => (ground.made(name).await, &ground.tenant),
        // invites and keys are kept when they are over, and shown to whom they belong
        _ => return None,
    };
    let path = match name {
        "workspace" => format!("/api/v1/workspaces/{id}"),
        _ => format!("/api/v1/tenants/{tenant}/members/{id}"),
    };
    assert!(ground.server.delete(&path).by(&ground.owner).await.status < 300);
    Some(id)
}

/// The names in angle brackets of a path.
fn names(route: &Route) -> Vec<&'static str> {
    route.path.split('<').skip(1).map(|part| part.split('>').next().unwrap()).collect()
}

/// Every way to fill a path of so many places in which something is foreign or gone.
fn ways(places: usize) -> Vec<Vec<Which>> {
    let mut ways = vec![vec![]];
    for _ in 0..places {
        ways = ways
            .into_iter()
            .flat_map(|way: Vec<Which>| {
                [Own, Foreign, Gone, Never].map(|next| [way.clone(), vec![next]].concat())
            })
            .collect();
    }
    ways.retain(|way| way.contains(&Foreign) || way.contains(&Gone));
    ways
}

/// A path filled in one way.
async fn filled(ids: &Ids<'_>, route: &Route, way: &[Which]) -> Option<String> {
    let mut path = route.path.to_owned();
    for (name, which) in names(route).iter().zip(way) {
        path = path.replacen(&format!("<{name}>"), &ids.id(*which, name).await?, 1);
    }
    Some(path)
}

/// Everything that an answer tells but for its own id and time, and whether its body was still being sent.
fn told(answer: &Answer) -> (u16, serde_json::Value, BTreeMap<String, String>) {
    let (status, body) = answer.anonymous();
    let mut headers = answer.headers.clone();
    headers.retain(|name, _| !["x-request-id", "date", "connection"].contains(&name.as_str()));
    (status, body, headers)
}

async fn assert_told_apart_by_nobody(server: &TestServer, host: &str) {
    let ids = Ids::of(server);
    let owner = acme_owner();
    let member = server.joined(Org, "member@example.com", "member").await;
    let key = server.post("/api/v1/api-keys", &json!({ "name": "k" })).by(&owner).await.expect(201);
    let service = ["api-key", "create", "--tenant", "acme", "--service", "--role", "admin"];
    let callers = [
        ("owner", owner.bearer()),
        ("member", member.bearer()),
        ("outsider", person("out@example.com").bearer()),
        ("key", key["key"].as_str().unwrap().to_owned()),
        ("service key", server.cli(&service).await.data()),
    ];
    let rows = server.inspect().await;
    let mut asked = BTreeSet::new();
    for route in ROUTES.iter().filter(|route| !names(route).is_empty()) {
        // a link is good on every host that serves its tenant
        if route.path.contains("link>") && host == PLATFORM {
            continue;
        }
        for way in ways(names(route).len()) {
            let never: Vec<_> = way.iter().map(|which| if *which == Own { Own } else { Never }).collect();
            let Some(real) = filled(&ids, route, &way).await else { continue };
            let never = filled(&ids, route, &never).await.unwrap();
            for (name, who) in &callers {
                let before = untouched(&rows).await;
                let mut answers = Vec::new();
                for path in [&real, &never] {
                    let method = route.method.parse().unwrap();
                    let mut call = server.call(method, &format!("/api/v1{path}")).bearer(who).on(host);
                    if host == PLATFORM {
                        call = call.header("x-miosa-tenant", "acme");
                    }
                    if !route.body.is_empty() {
                        let body = route.body.replace("<newcomer>", "u-x").replace("<tenant_member>", "u-x");
                        let body = body.replace("<email>", "x@example.com");
                        call = call.body("application/json", body);
                    }
                    answers.push(call.await);
                }
                let what = format!("{} {way:?} by the {name}: {}", route.id, answers[0].text());
                assert!([404, 403].contains(&answers[0].status) || is_no_link(&answers[0]), "{what}");
                assert_eq!(told(&answers[0]), told(&answers[1]), "{what}");
                assert!(*name != "owner" || answers[0].status != 403, "{what}");
                assert_eq!(untouched(&rows).await, before, "{what}");
                asked.insert(route.id);
            }
        }
    }
    assert!(asked.len() > 30, "{asked:?}");
}

/// The org family says 400 of a link that is none.
fn is_no_link(answer: &Answer) -> bool {
    answer.status == 400 && answer.json()["code"] == "invalid_token"
}

/// Globex as it is, by everything that could change.
async fn untouched(rows: &crate::support::database::Inspector) -> Vec<String> {
    let globex = rows.id(crate::support::GLOBEX);
    rows.texts(&format!(
        "SELECT status || updated_at || version AS t FROM invites WHERE tenant_id = {globex} \
         UNION ALL SELECT user_id || role AS t FROM tenant_members WHERE tenant_id = {globex} \
         UNION ALL SELECT user_id || role AS t FROM workspace_members WHERE tenant_id = {globex} \
         UNION ALL SELECT name || updated_at AS t FROM workspaces WHERE tenant_id = {globex} \
         UNION ALL SELECT name || coalesce(revoked_at, 0) AS t FROM api_keys WHERE tenant_id = {globex} \
         ORDER BY t"
    ))
    .await
}

async fn on_a_platform_host_a_foreign_id_answers_as_one_that_never_was(server: TestServer) {
    assert_told_apart_by_nobody(&server, PLATFORM).await;
}

async fn on_the_own_host_a_foreign_id_answers_as_one_that_never_was(server: TestServer) {
    assert_told_apart_by_nobody(&server, ACME_HOST).await;
}

/// On the host of another tenant the caller's own ids are as unknown as any.
async fn on_anothers_host_everything_answers_as_what_never_was(server: TestServer) {
    let ids = Ids::of(&server);
    for who in [acme_owner(), person("out@example.com")] {
        for route in ROUTES.iter().filter(|route| !names(route).is_empty() && !route.path.contains("/me/")) {
            let places = names(route).len();
            let mut answers = Vec::new();
            for which in [Own, Never] {
                let path = filled(&ids, route, &vec![which; places]).await.unwrap();
                let call = server.call(route.method.parse().unwrap(), &format!("/api/v1{path}")).by(&who);
                let body =
                    if route.body.is_empty() { String::new() } else { route.body.replace(['<', '>'], "") };
                answers.push(call.on(GLOBEX_HOST).body("application/json", body).await);
            }
            assert!(
                answers[0].status == 404 || is_no_link(&answers[0]) || answers[0].status == 422,
                "{}",
                route.id
            );
            assert_eq!(told(&answers[0]), told(&answers[1]), "{}", route.id);
        }
    }
}

async fn a_foreign_person_is_as_unknown_as_one_that_never_was(server: TestServer) {
    let owner = acme_owner();
    let victim = globex_owner();
    server.get("/api/v1/platform/tenants/current").by(&victim).await.expect(200);
    server.invite_to_globex(Workspace, "x@example.com").await;
    for (path, field) in [
        (format!("{}/members", "/api/v1/workspaces/".to_owned() + crate::support::CLINIC), "user_id"),
        ("/api/v1/tenant/transfer-ownership".to_owned(), "new_owner_user_id"),
    ] {
        let [real, never] = [victim.user_id(), "globex:u-never".to_owned()].map(|user| {
            server.post(&path, &json!({ field: user })).by(&owner).header("x-miosa-tenant", "acme")
        });
        let (real, never) = (real.await, never.await);
        real.refused(422, "NOT_TENANT_MEMBER");
        assert_eq!(told(&real), told(&never));
    }
}
