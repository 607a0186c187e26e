//! Tokens that must not pass: other algorithms, other keys, other issuers, odd headers.

use super::*;

#[tokio::test]
async fn a_genuine_token_passes_with_every_kind_of_key() {
    assert_eq!(
        verify(issuer(), &signer().token(None, &claims("u1"))).await.unwrap().user.unwrap().id.0,
        "u1"
    );
    for signer in [Signer::rsa(), Signer::es256(), Signer::eddsa()] {
        let keyed = Issuer {
            algorithms: vec![signer.alg],
            keys: IssuerKeys::PublicKeyPem(signer.pem.clone()),
            ..issuer()
        };
        let passed = verify(keyed, &signer.token(Some("any"), &claims("u1"))).await;
        assert!(passed.is_ok(), "{:?}: {passed:?}", signer.alg);
    }
}

#[tokio::test]
async fn the_algorithm_is_the_keys_and_never_the_headers() {
    let rsa = Signer::rsa();
    let keyed = Issuer {
        // an operator who allows too much still gets no confusion of keys
        algorithms: vec![Algorithm::RS256, Algorithm::HS256],
        keys: IssuerKeys::PublicKeyPem(rsa.pem.clone()),
        ..issuer()
    };
    let payload = claims("u1").to_string();
    let modulus = URL_SAFE_NO_PAD.decode(rsa.jwk["n"].as_str().unwrap()).unwrap();
    for secret in [rsa.pem.as_bytes(), rsa.jwk.to_string().as_bytes(), &modulus, b""] {
        let forged = Signer::hs256(secret).token(None, &claims("u1"));
        assert!(is_refused(&verify(keyed.clone(), &forged).await));
    }
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"typ":"JWT"}"#,
        r#"["HS256"]"#,
        "",
        "{",
    ] {
        let refused = verify(issuer(), &signer().raw(header, &payload)).await;
        assert!(is_refused(&refused), "{header}: {refused:?}");
    }
    let other = Signer { alg: Algorithm::PS256, key: rsa.key.clone(), jwk: json!({}), pem: String::new() };
    assert!(verify(keyed.clone(), &rsa.token(None, &claims("u1"))).await.is_ok());
    assert!(
        is_refused(&verify(keyed, &other.token(None, &claims("u1"))).await),
        "the key could, the issuer does not"
    );
    let unsigned = signer().raw(r#"{"alg":"none"}"#, &payload);
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    assert!(is_refused(&verify(issuer(), &format!("{unsigned}.")).await));
    assert!(is_refused(&verify(issuer(), unsigned).await));
}

#[tokio::test]
async fn headers_that_ask_for_more_are_refused_and_those_that_point_elsewhere_are_not_followed() {
    let payload = claims("u1").to_string();
    for header in [
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","typ":"inv"}"#,
        r#"{"alg":"HS256","kid":"k1","typ":"inv"}"#,
        r#"{"alg":"HS256","typ":"logout+jwt"}"#,
        r#"{"alg":"HS256","typ":5}"#,
        r#"{"alg":"HS256","kid":5}"#,
    ] {
        assert!(is_refused(&verify(issuer(), &signer().raw(header, &payload)).await), "{header}");
    }
    let long_kid = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(300));
    assert!(is_refused(&verify(issuer(), &signer().raw(&long_kid, &payload)).await));

    let trap = KeyServer::start(Mode::Json("{}".into())).await;
    for (name, value) in [
        ("jku", json!(trap.url)),
        ("x5u", json!(trap.url)),
        ("jwk", signer().jwk),
        ("kid", json!("../../etc/passwd")),
    ] {
        let mut header = json!({ "alg": "HS256", "typ": "at+JWT" });
        header[name] = value;
        let own = signer().raw(&header.to_string(), &payload);
        assert!(verify(issuer(), &own).await.is_ok(), "{name} changes nothing for a genuine token");
        let forged =
            Signer::hs256(b"the attacker's own secret, long enough").raw(&header.to_string(), &payload);
        assert!(is_refused(&verify(issuer(), &forged).await), "{name}");
    }
    assert_eq!(trap.fetches(), 0);
}

#[tokio::test]
async fn an_issuer_is_named_exactly_and_verifies_with_its_own_key_only() {
    let acme = TenantId::new();
    let both = settings(vec![issuer()], vec![tenant(acme, &[], vec![tenant_issuer(acme)])]);
    let acme_signer = Signer::hs256(b"another-secret-of-more-than-32-bytes-of-length");
    let own = with(&json!({ "iss": "https://login.acme.test" }));
    let passed = verify_with(&both, &acme_signer.token(None, &own)).await.unwrap();
    assert_eq!((passed.confined_to, passed.user.unwrap().id.0.as_str()), (Some(acme), "acme:u1"));
    assert!(
        is_refused(&verify_with(&both, &acme_signer.token(None, &claims("u1"))).await),
        "server's name, tenant's key"
    );
    assert!(
        is_refused(&verify_with(&both, &signer().token(None, &own)).await),
        "tenant's name, server's key"
    );
    for iss in [
        json!("https://auth.example.test/"),
        json!("HTTPS://auth.example.test"),
        json!("https://other.example.test"),
        json!(["https://auth.example.test"]),
        json!(""),
        json!(null),
        json!(1),
        json!("REMOVED"),
    ] {
        let refused = verify_with(&both, &signer().token(None, &with(&json!({ "iss": iss })))).await;
        assert!(is_refused(&refused), "{iss}");
    }
}

#[tokio::test]
async fn a_token_that_was_touched_anywhere_is_refused() {
    let token = signer().token(None, &claims("u1"));
    assert!(verify(issuer(), &token).await.is_ok());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let touched = String::from_utf8(bytes).unwrap();
        assert!(is_refused(&verify(issuer(), &touched).await), "character {at}");
    }
    for odd in [
        format!("{token}="),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.x"),
        token.replace('.', ".."),
        String::new(),
        "..".into(),
        "a.b".into(),
    ] {
        assert!(is_refused(&verify(issuer(), &odd).await), "{odd}");
    }
    let long = signer().token(None, &with(&json!({ "pad": "x".repeat(4096) })));
    assert!(is_refused(&verify(issuer(), &long).await), "over 4 KiB");
}

#[tokio::test]
async fn an_issuer_whose_keys_cannot_serve_is_a_configuration_error() {
    let keyed = |alg, pem: &str| {
        let keys = IssuerKeys::PublicKeyPem(pem.into());
        Trust::compile(&settings(vec![Issuer { algorithms: vec![alg], keys, ..issuer() }], vec![]))
            .map(|_| ())
    };
    let ec = Signer::es256();
    assert!(keyed(Algorithm::ES256, &ec.pem).is_ok());
    assert!(keyed(Algorithm::RS256, &ec.pem).is_err(), "the key is of another kind");
    assert!(keyed(Algorithm::HS256, &ec.pem).is_err(), "a public key is no secret");
    assert!(keyed(Algorithm::RS256, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_err());
    assert!(
        keyed(Algorithm::RS256, "-----BEGIN RSA PRIVATE KEY-----\n").unwrap_err().why.contains("private")
    );
    assert!(Trust::compile(&settings(vec![issuer(), issuer()], vec![])).is_err(), "one name twice");
    let from_url = Issuer { keys: IssuerKeys::JwksUrl("http://127.0.0.1:1/".into()), ..issuer() };
    assert!(
        Trust::compile(&settings(vec![from_url], vec![])).is_err(),
        "HS256 with keys that everybody can read"
    );
}
