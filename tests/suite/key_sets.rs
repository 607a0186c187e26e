//! Issuers whose keys are at a server, over real HTTP on both sides: a server that is down, slow, broken or hostile
//! costs its own people a 503 that says when to come back, and nobody else anything; nobody makes usher ask it more
//! than once in half a minute.

use futures_util::future::join_all;
use serde_json::{Value, json};
use usher::domain::Clock;

use crate::support::{
    Engine,
    Kind::Org,
    Setup, TestServer, acme_owner, both_engines, eventually, globex_owner,
    key_server::{KeyServer, Mode, Signer},
};

both_engines!(
    a_key_server_that_fails_is_503_for_its_people_alone,
    a_flood_of_unknown_keys_asks_once,
    one_key_id_of_two_issuers_is_two_keys,
);

const SERVERS: &str = "https://keys.example.test";
const TENANTS: &str = "https://keys.globex.test";

fn issuer(name: &str, keys: &KeyServer) -> toml::Table {
    toml::Table::from_iter([
        ("issuer".to_owned(), name.into()),
        ("audience".to_owned(), "usher".into()),
        ("algorithms".to_owned(), vec!["ES256"].into()),
        ("jwks_url".to_owned(), keys.url.clone().into()),
    ])
}

/// A server of its own that trusts a key server beside the usual issuers.
fn trusting(engine: Engine, keys: &KeyServer) -> TestServer {
    TestServer::start(engine, Setup::new().add_issuer(issuer(SERVERS, keys)))
}

/// What the owner's list of invites would be opened with.
fn claims(iss: &str) -> Value {
    json!({
        "iss": iss, "aud": "usher", "sub": "owner", "exp": Clock::wall().0 / 1000 + 600,
        "email": "owner@acme.test", "email_verified": true,
    })
}

async fn a_key_server_that_fails_is_503_for_its_people_alone(server: TestServer) {
    let (signer, trap) = (Signer::new(), KeyServer::start(Mode::Status(200)));
    let token = signer.token("k", &claims(SERVERS));
    for mode in [
        Mode::Status(500),
        Mode::Text("<html>maintenance</html>".into()),
        Mode::Text("[]".into()),
        Mode::Redirect(trap.url.clone()),
        Mode::Endless,
        Mode::Silent,
        Mode::BreakOff,
    ] {
        let keys = KeyServer::start(mode.clone());
        let one = trusting(server.engine, &keys);
        let refused = one.get(&Org.collection()).bearer(&token).await;
        refused.come_back();
        // nobody else notices, and it is alive and ready
        one.invite(Org, &acme_owner(), "bob@example.com", "member").await;
        one.get(&Org.globex_collection()).by(&globex_owner()).await.expect(200);
        assert_eq!(one.admin("/readyz").await.status, 200, "{mode:?}");
        assert_eq!(keys.asked(), 1, "{mode:?}");
    }
    assert_eq!(trap.asked(), 0, "no redirect is followed");

    // a set that answers is good at once, and stays so when its server is gone
    let keys = KeyServer::start(Mode::Status(500));
    keys.publish(&[signer.jwk("k")]);
    let one = trusting(server.engine, &keys);
    eventually("the owner to be believed", async || {
        (one.get(&Org.collection()).bearer(&token).await.status == 200).then_some(())
    })
    .await;
    keys.set(Mode::Status(500));
    let mut later = claims(SERVERS);
    later["jti"] = json!("a token that was not seen before");
    let later = signer.token("k", &later);
    one.get(&Org.collection()).bearer(&later).await.expect(200);
    let forged = Signer::new().token("k", &claims(SERVERS));
    one.get(&Org.collection()).bearer(&forged).await.refused(401, "invalid_token");
}

async fn a_flood_of_unknown_keys_asks_once(server: TestServer) {
    let signer = Signer::new();
    let keys = KeyServer::start(Mode::Status(500));
    keys.publish(&[signer.jwk("k")]);
    let one = trusting(server.engine, &keys);
    let flood = (0..200).map(|at| {
        let token = signer.token(&format!("../../etc/passwd-{at}"), &claims(SERVERS));
        one.get(&Org.collection()).bearer(&token).into_future()
    });
    for answer in join_all(flood).await {
        answer.refused(401, "invalid_token");
    }
    assert_eq!(keys.asked(), 1);
    one.get(&Org.collection()).bearer(&signer.token("k", &claims(SERVERS))).await.expect(200);
    assert_eq!(keys.asked(), 1);
}

async fn one_key_id_of_two_issuers_is_two_keys(server: TestServer) {
    let (ours, theirs) = (Signer::new(), Signer::new());
    let (first, second) = (KeyServer::start(Mode::Status(500)), KeyServer::start(Mode::Status(500)));
    first.publish(&[ours.jwk("k")]);
    second.publish(&[theirs.jwk("k")]);
    let setup = Setup::new().add_issuer(issuer(SERVERS, &first)).tenant(
        "globex",
        "auth.issuers",
        vec![toml::Value::Table(issuer(TENANTS, &second))],
    );
    let one = TestServer::start(server.engine, setup);
    let at_acme = async |token: String| one.get(&Org.collection()).bearer(&token).await;
    at_acme(ours.token("k", &claims(SERVERS))).await.expect(200);
    at_acme(theirs.token("k", &claims(SERVERS))).await.refused(401, "invalid_token");
    at_acme(ours.token("k", &claims(TENANTS))).await.refused(401, "invalid_token");
    // the tenant's own, which says it is acme's owner, is of globex alone
    at_acme(theirs.token("k", &claims(TENANTS))).await.refused(404, "NOT_FOUND");
    assert_eq!((first.asked(), second.asked()), (1, 1));
}
