//! Key sets fetched from a server that misbehaves in every way known.

use super::*;
use crate::identity::keys::VerifyingKey;

const QUICK: Policy = Policy {
    cooldown: Duration::from_millis(300),
    refresh: Duration::from_secs(300),
    stale: Duration::from_secs(3600),
    timeout: Duration::from_secs(2),
    wait: Duration::from_secs(3),
    max_bytes: 256 * 1024,
};

/// An issuer whose keys are at a server, with what verifies its tokens.
struct Bench {
    trust: Trust,
    sets: KeySets,
}

impl Bench {
    fn new(server: &KeyServer, policy: Policy) -> Self {
        let keyed = Issuer {
            // HS256 too, as a careless operator might
            algorithms: vec![Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA, Algorithm::HS256],
            keys: IssuerKeys::JwksUrl(server.url.clone()),
            ..issuer()
        };
        let trust = Trust::compile(&settings(vec![keyed], vec![])).unwrap();
        Self { trust, sets: KeySets::new(Handle::current(), policy) }
    }

    async fn verify(&self, token: &str) -> Result<Principal, Refusal> {
        bearer::verify(token, &self.trust, &self.sets, Clock::wall()).await.map(|verdict| verdict.principal)
    }
}

fn is_unavailable(result: &Result<Principal, Refusal>) -> bool {
    matches!(result, Err(Refusal::Unavailable { .. }))
}

#[tokio::test]
async fn keys_of_every_kind_verify_with_and_without_an_id_or_an_algorithm_of_their_own() {
    let server = KeyServer::start(Mode::Status(500)).await;
    let (rsa, ec, ed) = (Signer::rsa(), Signer::es256(), Signer::eddsa());
    let mut declared = ec.jwk("b");
    declared["alg"] = json!("ES256");
    declared["use"] = json!("sig");
    server.publish(&[rsa.jwk("a"), declared, ed.jwk("c"), json!({ "kty": "future", "kid": "d" }), json!(7)]);
    let bench = Bench::new(&server, QUICK);
    for (signer, kid) in [(&rsa, "a"), (&ec, "b"), (&ed, "c")] {
        assert!(bench.verify(&signer.token(Some(kid), &claims("u1"))).await.is_ok(), "{kid}");
        assert!(bench.verify(&signer.token(None, &claims("u1"))).await.is_ok(), "{kid} unnamed");
    }
    assert!(is_refused(&bench.verify(&ec.token(Some("a"), &claims("u1"))).await), "another key's id");
    let other = Signer::es256();
    assert!(
        is_refused(&bench.verify(&other.token(Some("b"), &claims("u1"))).await),
        "another key under that id"
    );
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn keys_that_must_not_verify_are_left_out_of_a_set() {
    let server = KeyServer::start(Mode::Status(500)).await;
    let (ec, secret) = (Signer::es256(), Signer::hs256(b"everybody can read this secret, really"));
    let changed = |name: &str, value: Value| {
        let mut jwk = ec.jwk("k");
        jwk[name] = value;
        jwk
    };
    let short = json!({ "kty": "RSA", "kid": "k", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" });
    let padded = json!({ "kty": "RSA", "kid": "k", "n": URL_SAFE_NO_PAD.encode([[0; 128], [0; 128], [0xff; 128]].concat()), "e": "AQAB" });
    for unusable in [
        secret.jwk("k"),
        short,
        padded,
        changed("use", json!("enc")),
        changed("key_ops", json!(["deriveKey"])),
        changed("alg", json!("RS256")),
        changed("alg", json!("HS256")),
        changed("crv", json!("P-384")),
        changed("crv", json!("secp256k1")),
        changed("x", json!("AAAA")),
        changed("kid", json!(5)),
        changed("kid", json!("k".repeat(300))),
        changed("kty", json!("oct")),
    ] {
        assert!(VerifyingKey::of_jwk(&unusable).is_none(), "{unusable}");
        server.publish(std::slice::from_ref(&unusable));
        let bench = Bench::new(&server, QUICK);
        for token in [
            ec.token(Some("k"), &claims("u1")),
            ec.token(None, &claims("u1")),
            secret.token(Some("k"), &claims("u1")),
        ] {
            assert!(is_refused(&bench.verify(&token).await), "{unusable}");
        }
    }
}

#[tokio::test]
async fn a_flood_of_unknown_ids_fetches_once_per_cooldown_whatever_the_server_answers() {
    let ec = Signer::es256();
    for mode in [
        Mode::Json(json!({ "keys": [ec.jwk("k")] }).to_string()),
        Mode::Json(json!({ "keys": [] }).to_string()),
        Mode::Status(500),
    ] {
        let server = KeyServer::start(mode).await;
        let bench = Arc::new(Bench::new(&server, Policy { cooldown: Duration::from_secs(30), ..QUICK }));
        let flood = (0..1000).map(|n| {
            let (bench, token) = (Arc::clone(&bench), ec.token(Some(&format!("random{n}")), &claims("u1")));
            tokio::spawn(async move { bench.verify(&token).await })
        });
        for refused in flood.collect::<Vec<_>>() {
            assert!(refused.await.unwrap().is_err());
        }
        assert_eq!(server.fetches(), 1);
    }
}

#[tokio::test]
async fn a_rotated_key_is_found_after_the_cooldown_and_a_withdrawn_one_is_lost() {
    let server = KeyServer::start(Mode::Status(500)).await;
    let (old, new) = (Signer::es256(), Signer::es256());
    server.publish(&[old.jwk("old")]);
    let policy = Policy { cooldown: Duration::from_secs(2), ..QUICK };
    let bench = Bench::new(&server, policy);
    assert!(bench.verify(&old.token(Some("old"), &claims("u1"))).await.is_ok());
    let before = bench.sets.generation();
    server.publish(&[new.jwk("new")]);
    assert!(is_refused(&bench.verify(&new.token(Some("new"), &claims("u1"))).await), "within the cooldown");
    tokio::time::sleep(policy.cooldown).await;
    assert!(bench.verify(&new.token(Some("new"), &claims("u1"))).await.is_ok());
    assert!(is_refused(&bench.verify(&old.token(Some("old"), &claims("u1"))).await), "withdrawn");
    assert!(bench.sets.generation() > before, "verdicts under the old keys are not found any more");
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn a_set_in_use_is_refreshed_behind_its_callers_and_an_idle_one_before_it_serves() {
    let server = KeyServer::start(Mode::Status(500)).await;
    let (old, new) = (Signer::es256(), Signer::es256());
    server.publish(&[old.jwk("old")]);
    let policy = Policy { cooldown: Duration::from_millis(50), refresh: Duration::from_millis(200), ..QUICK };
    let bench = Bench::new(&server, policy);
    let token = old.token(Some("old"), &claims("u1"));
    assert!(bench.verify(&token).await.is_ok());
    tokio::time::sleep(Duration::from_millis(230)).await;
    assert!(bench.verify(&token).await.is_ok());
    eventually("a refresh by use, without an unknown id", async || server.fetches() > 1).await;
    server.publish(&[new.jwk("new")]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_refused(&bench.verify(&token).await), "withdrawn while idle");
}

#[tokio::test]
async fn what_was_fetched_serves_while_the_issuer_is_down_but_not_for_ever() {
    let server = KeyServer::start(Mode::Status(500)).await;
    let ec = Signer::es256();
    let token = ec.token(Some("k"), &claims("u1"));
    let policy = Policy {
        cooldown: Duration::from_millis(50),
        refresh: Duration::from_millis(100),
        stale: Duration::from_secs(12),
        ..QUICK
    };
    server.publish(&[ec.jwk("k")]);
    let bench = Bench::new(&server, policy);
    assert!(bench.verify(&token).await.is_ok());
    let good = std::time::Instant::now();
    for down in [
        Mode::Status(500),
        Mode::Status(404),
        Mode::Json("<html>".into()),
        Mode::Json("[]".into()),
        Mode::Redirect("/elsewhere".into()),
        Mode::BreakOff,
        Mode::Endless,
        Mode::Silent,
    ] {
        server.set(down);
        tokio::time::sleep(Duration::from_millis(150)).await;
        let before = server.fetches();
        assert!(bench.verify(&token).await.is_ok());
        assert!(bench.verify(&token).await.is_ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(server.fetches() <= before + 2);
    }
    tokio::time::sleep(policy.stale.saturating_sub(good.elapsed()) + Duration::from_millis(20)).await;
    assert!(is_unavailable(&bench.verify(&token).await), "too old to be trusted");
    server.publish(&[ec.jwk("k")]);
    eventually("it to be back again", async || bench.verify(&token).await.is_ok()).await;
}

#[tokio::test]
async fn without_any_set_a_caller_is_told_to_come_back_and_no_redirect_is_followed() {
    let ec = Signer::es256();
    let token = ec.token(Some("k"), &claims("u1"));
    let elsewhere = KeyServer::start(Mode::Json(json!({ "keys": [ec.jwk("k")] }).to_string())).await;
    let oversize = json!({ "keys": [ec.jwk("k")], "pad": "x".repeat(QUICK.max_bytes) }).to_string();
    for mode in [
        Mode::Status(503),
        Mode::Redirect("/elsewhere".into()),
        Mode::Redirect(elsewhere.url.clone()),
        Mode::Json(oversize),
        Mode::Endless,
        Mode::Silent,
        Mode::BreakOff,
    ] {
        let server = KeyServer::start(mode).await;
        let bench = Bench::new(&server, QUICK);
        let started = std::time::Instant::now();
        assert!(is_unavailable(&bench.verify(&token).await));
        assert!(started.elapsed() < Duration::from_secs(20), "it is given up");
        assert_eq!((server.fetches(), server.asked_for("/elsewhere")), (1, 0));
    }
    assert_eq!(elsewhere.fetches(), 0);
    let nowhere = KeySets::new(Handle::current(), QUICK);
    for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "no url", "http://127.0.0.1:1/jwks"] {
        assert!(nowhere.candidates(url, None, Algorithm::ES256).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_reload_keeps_the_sets_that_are_still_in_use() {
    let server = KeyServer::start(Mode::Status(500)).await;
    let ec = Signer::es256();
    server.publish(&[ec.jwk("k")]);
    let bench = Bench::new(&server, QUICK);
    let token = ec.token(Some("k"), &claims("u1"));
    assert!(bench.verify(&token).await.is_ok());
    bench.sets.retain(&bench.trust.key_set_urls());
    assert!(bench.verify(&token).await.is_ok());
    assert_eq!(server.fetches(), 1);
    bench.sets.retain(&std::collections::HashSet::new());
    assert!(bench.verify(&token).await.is_ok());
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn one_key_id_in_two_sets_means_two_keys() {
    let (first, second) =
        (KeyServer::start(Mode::Status(500)).await, KeyServer::start(Mode::Status(500)).await);
    let (ours, theirs) = (Signer::es256(), Signer::es256());
    first.publish(&[ours.jwk("k")]);
    second.publish(&[theirs.jwk("k")]);
    let acme = TenantId::new();
    let keyed = |issuer: Issuer, server: &KeyServer| Issuer {
        algorithms: vec![Algorithm::ES256],
        keys: IssuerKeys::JwksUrl(server.url.clone()),
        ..issuer
    };
    let tenants = vec![tenant(acme, &[], vec![keyed(tenant_issuer(acme), &second)])];
    let trust = Trust::compile(&settings(vec![keyed(issuer(), &first)], tenants)).unwrap();
    let bench = Bench { trust, sets: KeySets::new(Handle::current(), QUICK) };
    let acmes = with(&json!({ "iss": "https://login.acme.test" }));
    assert!(bench.verify(&ours.token(Some("k"), &claims("u1"))).await.is_ok());
    assert_eq!(bench.verify(&theirs.token(Some("k"), &acmes)).await.unwrap().confined_to, Some(acme));
    assert!(is_refused(&bench.verify(&theirs.token(Some("k"), &claims("u1"))).await));
    assert!(is_refused(&bench.verify(&ours.token(Some("k"), &acmes)).await));
}

#[tokio::test]
async fn callers_at_a_cold_start_share_one_fetch_and_all_pass() {
    let server = KeyServer::start(Mode::Status(500)).await;
    let ec = Signer::es256();
    server.publish(&[ec.jwk("k")]);
    let bench = Arc::new(Bench::new(&server, Policy { cooldown: Duration::from_secs(30), ..QUICK }));
    let callers = (0..50).map(|n| {
        let (bench, token) = (Arc::clone(&bench), ec.token(Some("k"), &claims(&format!("u{n}"))));
        tokio::spawn(async move { bench.verify(&token).await })
    });
    for passed in callers.collect::<Vec<_>>() {
        assert!(passed.await.unwrap().is_ok());
    }
    assert_eq!(server.fetches(), 1);
}
