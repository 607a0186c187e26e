//! API keys and users with their rows: what a key may, how soon a revocation holds, whose an id is.

use entity::{AddressState, ApiKeyId, Role, UserId, api_key};
use secrecy::ExposeSecret;

use super::*;
use crate::{
    identity::{
        Authenticator, PrincipalKind, UserIdentity, agree, agree_confined,
        api_key::{self as key_text, MintedKey},
        first_sight::{self, FirstSight},
    },
    store::{
        api_keys, owners_granted,
        users::{self, Known, Sighting},
    },
};

fn sighting(id: &str, issuer: &str, subject: &str) -> Sighting {
    Sighting {
        id: UserId(id.into()),
        issuer: issuer.into(),
        subject: subject.into(),
        email: None,
        name: Some(format!("Name of {subject}")),
    }
}

fn key_row(minted: &MintedKey, user: Option<&str>) -> api_key::Model {
    api_key::Model {
        id: ApiKeyId::new(),
        tenant_id: None,
        confined_to: None,
        user_id: user.map(|id| UserId(id.into())),
        role: None,
        issuer: Some(ISSUER.into()),
        email: Some("Ann@example.com".into()),
        email_norm: Some("ann@example.com".into()),
        email_state: AddressState::Absent,
        name: "ci".into(),
        prefix: minted.prefix.clone(),
        hash: minted.hash.0.to_vec(),
        scopes: String::new(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        created_by: None,
        inserted_at: Millis(1),
    }
}

/// A store with a user `u1`, and an authenticator of the usual issuer and one of the tenant's.
struct Bench {
    tenant: TenantId,
    store: Store,
    auth: Authenticator,
    settings: Settings,
    _folder: Folder,
}

impl Bench {
    async fn new() -> Self {
        let id = TenantId::new();
        let (store, folder) = store_with(id).await;
        let settings =
            settings(vec![issuer()], vec![tenant(id, &["ann@example.com"], vec![tenant_issuer(id)])]);
        let auth = Authenticator::new(store.clone(), &settings).unwrap();
        let bench = Self { tenant: id, store, auth, settings, _folder: folder };
        assert!(bench.see(vec![sighting("u1", ISSUER, "u1")]).await.is_empty());
        bench
    }

    async fn see(&self, seen: Vec<Sighting>) -> Vec<UserId> {
        let tx = self.store.tenant_write(self.tenant).await.unwrap();
        let refused = users::upsert(tx.conn(), seen, Millis(2)).await.unwrap();
        tx.commit().await.unwrap();
        refused
    }

    async fn add(&self, change: impl FnOnce(&mut api_key::Model)) -> (String, api_key::Model) {
        let minted = key_text::mint("msk_").unwrap();
        let mut row = key_row(&minted, Some("u1"));
        change(&mut row);
        let tx = self.store.tenant_write(self.tenant).await.unwrap();
        api_keys::insert(tx.conn(), row.clone()).await.unwrap();
        tx.commit().await.unwrap();
        (minted.plaintext.expose_secret().to_owned(), row)
    }

    async fn call(&self, credential: &str) -> Result<Principal, Refusal> {
        let header = format!("Bearer {credential}");
        self.auth.authenticate(Some(&header), None, None).await.map(Option::unwrap)
    }

    async fn row(&self, id: ApiKeyId) -> api_key::Model {
        self.store.read(async move |db| api_keys::find(&db, id).await).await.unwrap().unwrap()
    }
}

#[test]
fn a_key_is_url_safe_and_every_change_of_it_is_told_without_a_database() {
    let minted = key_text::mint("msk_").unwrap();
    let key = minted.plaintext.expose_secret();
    assert_eq!((key.len(), minted.prefix.as_str()), (44, &key[..12]));
    assert!(key.starts_with("msk_u_") && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    assert_eq!(key_text::parse(key, "msk_"), Some(minted.hash));
    assert!(!format!("{minted:?}").contains(&key[12..]), "the secret is not printed");
    for at in 0..key.len() {
        for other in [b'a', b'b', b'0', b'Z', b'-'] {
            let mut changed = key.as_bytes().to_vec();
            if std::mem::replace(&mut changed[at], other) != other {
                assert_eq!(
                    key_text::parse(std::str::from_utf8(&changed).unwrap(), "msk_"),
                    None,
                    "character {at}"
                );
            }
        }
        assert_eq!(key_text::parse(&key[..at], "msk_"), None);
    }
    for odd in [
        format!("{key}a"),
        key.to_uppercase(),
        key.replacen("u_", "a_", 1),
        "msk_".into(),
        String::new(),
        "msk_u_é".repeat(9),
    ] {
        assert_eq!(key_text::parse(&odd, "msk_"), None, "{odd}");
    }
    assert_ne!(key_text::mint("msk_").unwrap().hash, minted.hash);
}

#[tokio::test]
async fn a_user_key_acts_as_its_person_with_the_address_of_its_making() {
    let bench = Bench::new().await;
    let (key, row) = bench.add(|row| row.scopes = "invites:write members:read".into()).await;
    for (authorization, header) in [(Some(format!("Bearer {key}")), None), (None, Some(key.as_str()))] {
        let called = bench.auth.authenticate(authorization.as_deref(), header, None).await.unwrap().unwrap();
        assert_eq!(called.kind, PrincipalKind::UserKey(row.id));
        assert!(called.require_scope("invites:read").is_ok());
        assert_eq!(called.require_scope("members:write"), Err(Refusal::InsufficientScope("members:write")));
        assert_eq!(bench.auth.first_sight().sighting(&called), None, "its person's row is known");
        let user = called.user.unwrap();
        assert_eq!((user.id.0.as_str(), user.name.as_deref()), ("u1", Some("Name of u1")));
        assert_eq!((user.email.unwrap().norm(), user.email_state), ("ann@example.com", AddressState::Absent));
    }
    eventually("its use to be noted", async || bench.row(row.id).await.last_used_at.is_some()).await;
}

#[tokio::test]
async fn a_service_key_has_a_role_in_its_tenant_and_no_person() {
    let bench = Bench::new().await;
    let service = |row: &mut api_key::Model| {
        (row.user_id, row.role, row.tenant_id) = (None, Some(Role::Admin), Some(bench.tenant));
        (row.issuer, row.email, row.email_norm) = (None, None, None);
    };
    let (key, row) = bench.add(service).await;
    let called = bench.call(&key).await.unwrap();
    assert_eq!(called.kind, PrincipalKind::ServiceKey(row.id, Role::Admin));
    assert!(called.person().is_err());
    assert_eq!(agree(&called, bench.tenant), Ok(()));
    assert_eq!(agree(&called, TenantId::new()), Err(Refusal::NotFound));
    assert_eq!(
        agree_confined(&called, TenantId::new()),
        Ok(()),
        "the pin does not limit token and own routes"
    );
}

#[tokio::test]
async fn a_revoked_expired_unknown_or_mistyped_key_is_refused_at_once() {
    let bench = Bench::new().await;
    let (key, row) = bench.add(|_| ()).await;
    assert!(bench.call(&key).await.is_ok());
    let tx = bench.store.tenant_write(bench.tenant).await.unwrap();
    assert!(api_keys::revoke(tx.conn(), row.id, Millis(3)).await.unwrap());
    assert!(!api_keys::revoke(tx.conn(), row.id, Millis(4)).await.unwrap(), "once only");
    tx.commit().await.unwrap();
    bench.auth.keys_changed();
    assert!(is_refused(&bench.call(&key).await));

    let (elsewhere, row) = bench.add(|_| ()).await;
    assert!(bench.call(&elsewhere).await.is_ok());
    let tx = bench.store.tenant_write(bench.tenant).await.unwrap();
    api_keys::revoke(tx.conn(), row.id, Millis(3)).await.unwrap();
    tx.commit().await.unwrap();
    tokio::time::sleep(Duration::from_millis(850)).await;
    assert!(is_refused(&bench.call(&elsewhere).await), "revoked by another process");

    let (passing, _) = bench.add(|row| row.expires_at = Some(Clock::wall().plus(2500))).await;
    assert!(bench.call(&passing).await.is_ok());
    bench.store.clock().advance_millis(-3_600_000);
    tokio::time::sleep(Duration::from_millis(2550)).await;
    assert!(is_refused(&bench.call(&passing).await), "its end is judged on every hit, by the wall clock");

    let unknown = key_text::mint("msk_").unwrap();
    assert!(is_refused(&bench.call(unknown.plaintext.expose_secret()).await));
    for odd in ["msk_", "msk_u_", "msk_a_abc", "msk_live_abc", &key[..43]] {
        assert!(is_refused(&bench.call(odd).await), "{odd}");
    }
}

#[tokio::test]
async fn a_key_falls_with_its_issuer_and_keeps_its_confinement() {
    let bench = Bench::new().await;
    let (key, _) = bench.add(|_| ()).await;
    let (operators, _) = bench.add(|row| row.issuer = None).await;
    let (confined, _) = bench.add(|row| row.confined_to = Some(bench.tenant)).await;
    let (orphan, _) = bench.add(|row| row.user_id = Some(UserId("nobody".into()))).await;
    assert!(bench.call(&key).await.is_ok() && bench.call(&operators).await.is_ok());
    assert!(is_refused(&bench.call(&orphan).await));
    let header = format!("Bearer {confined}");
    let at = async |site| bench.auth.authenticate(Some(&header), None, site).await;
    assert!(at(None).await.is_ok() && at(Some(bench.tenant)).await.is_ok());
    assert_eq!(at(Some(TenantId::new())).await, Err(Refusal::NotFound));

    let mut later = bench.settings.clone();
    later.admins = vec![UserId("u1".into()), UserId("acme:u1".into())];
    bench.auth.replace(Trust::compile(&later).unwrap());
    assert!(bench.call(&key).await.unwrap().system_admin, "a listed person's unpinned key");
    assert!(!bench.call(&confined).await.unwrap().system_admin);

    assert!(bench.see(vec![sighting("acme:u1", "https://login.acme.test", "u1")]).await.is_empty());
    let theirs =
        |row: &mut api_key::Model| (row.issuer, row.user_id) = (None, Some(UserId("acme:u1".into())));
    let (tenants, _) = bench.add(theirs).await;
    assert!(!bench.call(&tenants).await.unwrap().system_admin, "a listed id of a tenant's issuer");

    later.issuers[0].issuer = "https://new.example.test".into();
    bench.auth.replace(Trust::compile(&later).unwrap());
    assert!(is_refused(&bench.call(&key).await), "its issuer is gone");
    let kept = bench.call(&operators).await.unwrap();
    assert!(!kept.system_admin, "its person's issuer is not trusted any more");

    later.issuers[0] = Issuer { issuer: ISSUER.into(), tenant: Some(bench.tenant), ..issuer() };
    bench.auth.replace(Trust::compile(&later).unwrap());
    assert_eq!(
        bench.call(&key).await.unwrap().confined_to,
        Some(bench.tenant),
        "its issuer became a tenant's"
    );
}

#[tokio::test]
async fn a_token_is_remembered_until_its_end_or_a_reload() {
    let bench = Bench::new().await;
    let dying = signer().token(None, &with(&json!({ "exp": now() - 27 })));
    assert!(bench.call(&dying).await.is_ok());
    tokio::time::sleep(Duration::from_millis(4100)).await;
    assert!(is_refused(&bench.call(&dying).await), "its end is judged on every hit");
    let token = signer().token(None, &claims("u1"));
    assert!(bench.call(&token).await.is_ok());
    let mut later = bench.settings.clone();
    later.issuers[0].audience = "another".into();
    bench.auth.replace(Trust::compile(&later).unwrap());
    assert!(is_refused(&bench.call(&token).await), "a reload holds at once");
    assert_eq!(bench.auth.authenticate(None, None, None).await, Ok(None));
}

#[tokio::test]
async fn an_id_belongs_for_good_to_whom_it_showed_first() {
    let bench = Bench::new().await;
    let mut both = bench.settings.clone();
    let second = Issuer { issuer: "https://second.example.test".into(), ..issuer() };
    both.issuers.push(second.clone());
    bench.auth.replace(Trust::compile(&both).unwrap());
    let theirs = signer().token(None, &with(&json!({ "iss": second.issuer })));
    assert!(bench.call(&signer().token(None, &claims("u1"))).await.is_ok());
    assert!(is_refused(&bench.call(&theirs).await), "the same id from a second issuer");
    let free = signer().token(None, &with(&json!({ "iss": second.issuer, "sub": "u2" })));
    assert!(bench.call(&free).await.is_ok(), "nobody's yet");
    assert!(bench.see(vec![sighting("u2", ISSUER, "u2")]).await.is_empty());
    assert!(is_refused(&bench.call(&free).await), "the first issuer was quicker");

    // guarded in the statement itself too, and told
    let taken = bench
        .see(vec![sighting("u1", "https://second.example.test", "u1"), sighting("u3", ISSUER, "u3")])
        .await;
    assert_eq!(taken, vec![UserId("u1".into())]);
    let row = bench
        .store
        .read(|db| async move { users::find(&db, &UserId("u1".into())).await })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.issuer, ISSUER);

    // a changed prefix shows the same subject under another id
    both.issuers[0].subject_prefix = "new:".into();
    bench.auth.replace(Trust::compile(&both).unwrap());
    assert!(is_refused(&bench.call(&signer().token(None, &claims("u1"))).await));
}

#[tokio::test]
async fn rows_take_verified_addresses_only_and_the_latest_of_them() {
    let bench = Bench::new().await;
    let sight = FirstSight::default();
    let person = |email: &str, state| Principal {
        kind: PrincipalKind::Person,
        user: Some(UserIdentity {
            id: UserId("u9".into()),
            issuer: ISSUER.into(),
            subject: "u9".into(),
            email: EmailAddress::parse(email).ok(),
            email_state: state,
            name: None,
        }),
        confined_to: None,
        pinned_to: None,
        scopes: None,
        system_admin: false,
    };
    let row = async || {
        bench
            .store
            .read(|db| async move { users::find(&db, &UserId("u9".into())).await })
            .await
            .unwrap()
            .unwrap()
    };
    for (email, state, then) in [
        ("a@x.test", AddressState::Absent, None),
        ("a@x.test", AddressState::Unverified, None),
        ("A@x.test", AddressState::Verified, Some("a@x.test")),
        ("b@x.test", AddressState::Unverified, Some("a@x.test")),
        ("b@x.test", AddressState::Verified, Some("b@x.test")),
    ] {
        let caller = person(email, state);
        assert!(bench.see(sight.sighting(&caller).into_iter().collect()).await.is_empty());
        assert_eq!(row().await.email_norm.as_deref(), then, "{email} {state}");
    }
    let caller = person("b@x.test", AddressState::Verified);
    sight.require_own(&bench.store, caller.person().unwrap()).await.unwrap();
    assert_eq!(sight.sighting(&caller), None, "nothing new is nothing to write");
    assert!(sight.sighting(&person("c@x.test", AddressState::Verified)).is_some());
    let by_key = Principal {
        kind: PrincipalKind::UserKey(ApiKeyId::new()),
        ..person("a@x.test", AddressState::Verified)
    };
    assert_eq!(sight.sighting(&by_key), None, "a key's address never replaces a later one");

    // twice in one statement, in any order
    let proven =
        Sighting { email: EmailAddress::parse("p@x.test").ok(), name: None, ..sighting("u9", ISSUER, "u9") };
    assert!(
        bench.see(vec![sighting("u9", ISSUER, "u9"), sighting("u8", ISSUER, "u8"), proven]).await.is_empty()
    );
    assert_eq!(
        (row().await.email.as_deref(), row().await.name.as_deref()),
        (Some("p@x.test"), Some("Name of u9"))
    );
    let user = caller.user.unwrap();
    let known = bench.store.read(async move |db| first_sight::known(&db, &user).await).await.unwrap();
    assert!(matches!(known, Known::Same(row) if row.inserted_at == Millis(2)));
}

#[tokio::test]
async fn configured_owners_are_granted_once_by_a_verified_address_that_may_speak_there() {
    let bench = Bench::new().await;
    let acme = bench.settings.tenants.first().unwrap();
    let other = tenant(TenantId::new(), &["ann@example.com"], vec![]);
    let verified = json!({ "email": "ANN@example.com", "email_verified": true });
    let ann = bench.call(&signer().token(None, &with(&verified))).await.unwrap();
    let email = first_sight::owners_to_grant(acme, &ann).unwrap();
    assert_eq!(email.norm(), "ann@example.com");
    assert!(first_sight::owners_to_grant(&other, &ann).is_some());
    let confined = Principal { confined_to: Some(acme.id), ..ann.clone() };
    let pinned = Principal { pinned_to: Some(acme.id), ..ann.clone() };
    assert!(first_sight::owners_to_grant(acme, &confined).is_some());
    for caller in [&confined, &pinned] {
        assert_eq!(first_sight::owners_to_grant(&other, caller), None);
    }
    for claims in [
        json!({ "email": "ann@example.com" }),
        json!({ "email": "ann@example.com", "email_verified": "true" }),
        json!({ "email": "bob@example.com", "email_verified": true }),
    ] {
        let caller = bench.call(&signer().token(None, &with(&claims))).await.unwrap();
        assert_eq!(first_sight::owners_to_grant(acme, &caller), None, "{claims}");
    }
    let tx = bench.store.tenant_write(acme.id).await.unwrap();
    let user = UserId("u1".into());
    assert!(!owners_granted::exists(tx.conn(), acme.id, email.norm()).await.unwrap());
    assert!(owners_granted::insert_once(tx.conn(), acme.id, email.norm(), &user, Millis(1)).await.unwrap());
    assert!(!owners_granted::insert_once(tx.conn(), acme.id, email.norm(), &user, Millis(2)).await.unwrap());
    assert!(owners_granted::exists(tx.conn(), acme.id, email.norm()).await.unwrap());
    tx.commit().await.unwrap();
    let sight = bench.auth.first_sight();
    assert!(!sight.is_granted(acme.id, &email));
    sight.remember_granted(acme.id, &email);
    assert!(sight.is_granted(acme.id, &email) && !sight.is_granted(other.id, &email));
}
