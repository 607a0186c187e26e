//! What must not be anywhere after a run: no usable link, key, credential or idempotency key in the database, its
//! files, the log (at its most talkative), the metrics or an error; no full address in the log.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    ACME_HOST, CLINIC, Credential, Engine,
    Kind::{Org, Workspace},
    PLATFORM, Setup, TestServer, acme_owner, both_engines,
    invites::{KINDS, token_of},
    person,
    routes::{Ground, ROUTES},
};

both_engines!(
    no_secret_is_left_behind => Setup::new().smtp().process(),
    no_route_leaves_a_secret_behind => Setup::new().smtp().logging("trace"),
    only_who_makes_a_link_or_key_is_shown_it,
);

/// What a run has shown to whom it was meant for, and what it said besides.
#[derive(Default)]
struct Run {
    /// Credentials, keys, tokens of links, idempotency keys.
    secrets: Vec<String>,
    addresses: Vec<String>,
    /// Refusals, lists and metrics.
    said: String,
}

impl Run {
    /// Takes every secret out of an answer that may hold some.
    fn gather(&mut self, body: &Value) {
        match body {
            Value::Object(map) => {
                for (name, value) in map {
                    match value.as_str() {
                        Some(url) if name == "invite_url" => self.secrets.push(token_of(url)),
                        // events name API keys by their ids
                        Some(text)
                            if ["key", "token"].contains(&name.as_str())
                                && Uuid::parse_str(text).is_err() =>
                        {
                            self.secrets.push(text.to_owned());
                        }
                        _ => self.gather(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.gather(item)),
            _ => {}
        }
    }

    /// Stops the server and fails if anything of it is found anywhere.
    async fn assert_nothing_left(mut self, mut server: TestServer) {
        self.said.push_str(&server.admin("/metrics").await.text());
        let dump = server.inspect().await.dump().await;
        assert!(dump.contains("clinic"), "the dump shows what is there");
        server.terminate();
        let log = server.log();
        assert!(log.lines().count() > 20, "requests are logged: {log}");
        assert!(server.setup.log.is_none() || log.contains("TRACE"), "nothing is held back");
        let mut file = String::new();
        if server.engine == Engine::Sqlite {
            let mut folders = vec![server.data_dir()];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    file.push_str(path.to_str().unwrap());
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        file.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
                    }
                }
            }
        }
        let places = [("dump", &dump), ("file", &file), ("log", &log), ("refusals and metrics", &self.said)];
        for secret in self.secrets.iter().collect::<std::collections::BTreeSet<_>>() {
            // of a token the signature alone would do, of a key the part after its prefix
            let essence = secret.rsplit('.').next().unwrap();
            let essence = essence.strip_prefix("msk_u_").unwrap_or(essence);
            for (place, text) in places {
                if let Some(at) = text.find(essence) {
                    let around: String =
                        text.chars().skip(text[..at].chars().count().saturating_sub(200)).take(400).collect();
                    panic!("{secret} in the {place}: …{around}…");
                }
            }
        }
        for address in &self.addresses {
            assert!(!log.contains(address.as_str()), "{address} in the log");
        }
        for configured in ["a-test-secret-that-is", "MDEyMzQ1Njc4OWFiY2RlZj"] {
            assert!(places.iter().all(|(_, text)| !text.contains(configured)));
        }
    }
}

async fn no_secret_is_left_behind(server: TestServer) {
    let owner = acme_owner();
    let mut secrets = vec![owner.bearer()];
    let mut addresses = vec![owner.email().to_owned()];
    let key = ["api-key", "create", "--tenant", "acme", "--service", "--role", "admin", "--name", "ci"];
    let key = server.cli(&key).await.data();
    for kind in KINDS {
        for (at, what) in
            ["accept", "decline", "revoke", "expire", "refuse", "garble"].into_iter().enumerate()
        {
            let who = person(&format!("invitee{at}-{kind:?}@example.com"));
            let by = if at % 2 == 0 { owner.bearer() } else { key.clone() };
            let invited = server.invite(kind, &by, who.email(), "member").await;
            // what has not left when its invite ends is not sent any more
            server.letters_to(who.email(), 1).await;
            server.preview(&invited).on(ACME_HOST).await.expect(200);
            assert_eq!(server.get(&kind.page(&invited.token)).on(ACME_HOST).await.status, 200);
            let once = format!("a-key-of-the-caller-{kind:?}-{at}");
            let rotated = server.resend(&invited, &by, &json!({ "rotate": true }));
            let rotated = rotated.header("idempotency-key", &once).await.expect(200);
            secrets.push(once);
            let url = rotated["invite_url"].as_str().unwrap();
            let live = crate::support::Invited { token: token_of(url), ..invited.clone() };
            match what {
                "accept" => drop(server.accept(&live, &who).await.expect(200)),
                "decline" => drop(server.decline(&live, &who).await.expect(200)),
                "revoke" => drop(server.revoke(&live, &by).await.expect(200)),
                "refuse" => drop(
                    server.accept(&live, &person("other@example.com")).await.refused(422, "EMAIL_MISMATCH"),
                ),
                "garble" => {
                    // errors must not repeat what they could not read
                    let garbled = format!("{}x", live.token);
                    let answer = server.get(&kind.token(&garbled)).await;
                    assert!(!answer.text().contains(&garbled));
                    let path = format!("{}/{}", kind.collection(), live.token);
                    assert!(!server.get(&path).by(&by).await.text().contains(&live.token));
                    let answer = server.get(&kind.collection()).bearer(&garbled).await;
                    assert!(!answer.text().contains(&garbled));
                    let stray = server.get(&format!("/nothing/{}?token={}", live.token, live.token)).await;
                    assert!(!stray.text().contains(&live.token));
                }
                _ => {}
            }
            secrets.extend([invited.token, live.token, who.bearer()]);
            addresses.push(who.email().to_owned());
        }
    }
    secrets.push(key.clone());
    let said = server.get(&Org.collection()).by(&owner).await.text()
        + &server.get(&Workspace.collection()).by(&owner).await.text();
    Run { secrets, addresses, said }.assert_nothing_left(server).await;
}

/// Every operation, by the owner, by a key and by somebody whom it refuses, each time with an idempotency key where
/// one is taken; then the same with what cannot be read.
async fn no_route_leaves_a_secret_behind(server: TestServer) {
    let mut run = Run::default();
    let (owner, outsider) = (acme_owner(), person("invitee@example.com"));
    let key = server.post("/api/v1/api-keys", &json!({ "name": "k" })).by(&owner).await.expect(201);
    run.gather(&key);
    let key = key["key"].as_str().unwrap().to_owned();
    let ground = Ground { addressee: Some(outsider.email().to_owned()), ..Ground::acme(&server) };
    run.addresses.extend([owner.email().to_owned(), outsider.email().to_owned()]);
    let callers = [owner.bearer(), key, outsider.bearer(), "msk_u_nobody_has_ever_made_this_key".to_owned()];
    for route in ROUTES.iter().filter(|route| route.id != "transfer_ownership") {
        for (at, who) in callers.iter().enumerate() {
            let path = ground.filled(route.path).await;
            run.secrets.extend(path.split('/').filter(|part| part.starts_with("eyJ")).map(str::to_owned));
            let mut call = ground.ask_at(*route, &path).await.bearer(who);
            if route.method == "POST" {
                let key = format!("idem-{}", uuid::Uuid::new_v4());
                call = call.header("idempotency-key", &key);
                run.secrets.push(key);
            }
            let answer = call.on(if at % 2 == 0 { ACME_HOST } else { PLATFORM }).await;
            match (answer.status, answer.body.is_empty()) {
                (_, true) => {}
                (200..300, _) => run.gather(&answer.json()),
                _ => run.said.push_str(&answer.text()),
            }
            if route.path.contains("/accept") && answer.status == 200 {
                let path = format!("/api/v1/tenant/members/u-{}", outsider.email().replace('@', "-at-"));
                server.delete(&path).by(&owner).await.expect(200);
            }
        }
        // what is cut, doubled or put in the wrong place is not repeated either
        for secret in run.secrets.iter().rev().take(3).cloned().collect::<Vec<_>>() {
            let path = format!("/api/v1{}", ground.filled(route.path).await);
            for call in [
                server.call(route.method.parse::<Method>().unwrap(), &format!("{path}?key={secret}")),
                server.call(Method::PUT, &format!("{path}/{secret}")).bearer(&secret),
                server
                    .call(Method::POST, &path)
                    .bearer(&format!("{secret}x"))
                    .body("application/json", secret.clone()),
            ] {
                run.said.push_str(&call.await.text());
            }
        }
    }
    run.secrets.extend(callers);
    run.assert_nothing_left(server).await;
}

/// Operations whose answer holds a link or a key: those that make one.
const SHOWING: [&str; 7] = [
    "create_workspace_invite",
    "create_org_invite",
    "resend_workspace_invite",
    "resend_org_invite",
    "create_api_key",
    "create_scoped_api_key",
    "rotate_api_key",
];

/// A link's token, or a key beyond the first characters by which it is told apart.
fn shows_a_secret(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.contains("eyJ")
        || text.split(|c: char| !word(c)).any(|part| part.starts_with("msk_") && part.len() > 20)
}

async fn only_who_makes_a_link_or_key_is_shown_it(server: TestServer) {
    let owner = acme_owner();
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let nurse = server.joined(Workspace, "nurse@example.com", "admin").await;
    let root = person("root@example.com").with("role", "system_admin");
    let key = server.post("/api/v1/api-keys", &json!({ "name": "k" })).by(&owner).await.expect(201);
    let service = ["api-key", "create", "--tenant", "acme", "--service", "--role", "admin"];
    let service = server.cli(&service).await.data();
    let callers = [
        owner.bearer(),
        admin.bearer(),
        nurse.bearer(),
        root.bearer(),
        key["key"].as_str().unwrap().to_owned(),
        service,
    ];
    let ground = Ground::acme(&server);
    let mut shown = std::collections::BTreeSet::new();
    for route in ROUTES.iter().filter(|route| route.id != "transfer_ownership") {
        for who in &callers {
            let answer = ground.ask(*route).await.bearer(who).header("x-miosa-tenant", "acme").await;
            if shows_a_secret(&answer.text()) {
                assert!(SHOWING.contains(&route.id), "{}: {}", route.id, answer.text());
                shown.insert(route.id);
            }
        }
    }
    assert_eq!(shown.len(), SHOWING.len(), "{shown:?}");
    // what the other families list and show
    let invited = server.invite(Workspace, &owner, "bob@example.com", "member").await;
    for path in [
        "/api/v1/invitations".to_owned(),
        format!("/api/v1/invitations/{}", invited.id),
        format!("/api/v1/invitations/{}", invited.token),
        format!("{}?status=all", Org.collection()),
        format!("{}?status=all", Workspace.collection()),
        format!("/api/v2/workspaces/{CLINIC}/sharedUsers"),
        "/api/v1/events?limit=1000".to_owned(),
    ] {
        for who in &callers {
            let answer = server.get(&path).bearer(who).await;
            assert!(!shows_a_secret(&answer.text()), "{path}: {}", answer.text());
        }
    }
}
