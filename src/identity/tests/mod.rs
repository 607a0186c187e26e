//! Credentials against real parts: a database file, a key set served over TCP, keys of every kind.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaPublicKeyComponents,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use entity::{Millis, TenantId};
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{
    Principal, Trust, bearer,
    jwks::{KeySets, Policy},
};
use crate::{
    config::settings::{
        ApiKeys, Branding, Compat, Database, Invites, Issuer, IssuerKeys, Lane, Limits, Links, Mail,
        Retention, Server, Settings, Tenant, Transport, VerifiedEmail,
    },
    domain::{Clock, EmailAddress, Permissions, Refusal},
    store::{Store, migrate},
};

mod claims_of_tokens;
mod forged_tokens;
mod key_sets;
mod keys_and_users;

/// Waits until something holds; fails after a minute.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), poll).await.is_ok(), "waited in vain for {what}");
}

const SECRET: &str = "a-test-secret-that-is-at-least-32-bytes-long";
const ISSUER: &str = "https://auth.example.test";

/// An HS256 issuer of the server with everything at its default.
fn issuer() -> Issuer {
    Issuer {
        issuer: ISSUER.into(),
        audience: "usher".into(),
        audience_claim: "aud".into(),
        algorithms: vec![Algorithm::HS256],
        keys: IssuerKeys::Hs256(SecretString::from(SECRET)),
        trust_email: false,
        subject_prefix: String::new(),
        system_admin_claim: Some(("role".into(), "system_admin".into())),
        email_claim: "email".into(),
        email_verified_claim: "email_verified".into(),
        name_claim: "name".into(),
        tenant: None,
    }
}

/// An issuer of one tenant with a secret of its own.
fn tenant_issuer(tenant: TenantId) -> Issuer {
    Issuer {
        issuer: "https://login.acme.test".into(),
        keys: IssuerKeys::Hs256(SecretString::from("another-secret-of-more-than-32-bytes-of-length")),
        subject_prefix: "acme:".into(),
        system_admin_claim: None,
        tenant: Some(tenant),
        ..issuer()
    }
}

fn tenant(id: TenantId, owners: &[&str], issuers: Vec<Issuer>) -> Tenant {
    Tenant {
        cors: crate::config::settings::Cors::default(),
        id,
        slug: "acme".into(),
        name: "Acme".into(),
        domains: vec![],
        retired_domains: vec![],
        owners: owners.iter().map(|owner| EmailAddress::parse(owner).unwrap()).collect(),
        branding: Branding::default(),
        links: Links::default(),
        mail: mail(),
        invites: Invites {
            ttl: Duration::from_secs(7),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(90),
            resend_cooldown: Duration::from_secs(60),
            require_verified_email: VerifiedEmail::WithoutToken,
            seats: None,
            permissions: Permissions::default(),
            allowed_domains: vec![],
            blocked_domains: vec![],
            block_disposable: false,
            disposable_extra: vec![],
            disposable_except: vec![],
        },
        limits: limits(),
        retention: RETENTION,
        issuers,
        workspaces: vec![],
        locale: None,
    }
}

fn mail() -> Mail {
    Mail {
        transport: Transport::Memory,
        from: "a@b.test".into(),
        reply_to: None,
        concurrency: 1,
        timeout: Duration::from_secs(1),
    }
}

const RETENTION: Retention =
    Retention { invites: None, mails: None, failed_mails: None, answers: Duration::from_secs(86_400) };

const fn limits() -> Limits {
    Limits {
        invites_per_inviter: None,
        invites_per_recipient: None,
        invites_per_api_key: None,
        invites_per_tenant: None,
        requests_per_ip: None,
    }
}

fn settings(issuers: Vec<Issuer>, tenants: Vec<Tenant>) -> Settings {
    Settings {
        server: Server {
            listen: String::new(),
            admin_listen: None,
            base_url: String::new(),
            platform_hosts: vec![],
            trusted_proxies: vec![],
            link_scheme: "http".into(),
            link_port: 0,
        },
        database: Database { url: SecretString::from("sqlite::memory:"), max_connections: 4 },
        tokens: None,
        issuers,
        api_keys: ApiKeys { prefix: "msk_".into(), header: "X-API-Key".into() },
        mail: mail(),
        limits: limits(),
        retention: RETENTION,
        compat: Compat::Sdk,
        admins: vec![],
        lane: Lane {
            actors: true,
            max_batch: 1,
            queue_per_tenant: 1,
            queue_total: 1,
            idle: Duration::from_secs(1),
        },
        tenants: tenants.into_iter().map(std::sync::Arc::new).collect(),
    }
}

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A migrated database file of its own, with one tenant's row.
async fn store_with(tenant: TenantId) -> (Store, Folder) {
    let folder = Folder(std::env::temp_dir().join(format!("usher-identity-{}", uuid::Uuid::now_v7())));
    let url = format!("sqlite://{}", folder.0.join("usher.db").display());
    let database = Database { url: SecretString::from(url), max_connections: 4 };
    migrate::up(&database).await.unwrap();
    let store = Store::connect(&database, Handle::current(), Clock::default()).await.unwrap();
    let tx = store.tenant_write(tenant).await.unwrap();
    crate::store::tenants::sync(tx.conn(), tenant, "acme", "Acme", Millis(1)).await.unwrap();
    tx.commit().await.unwrap();
    (store, folder)
}

/// Now, in seconds.
fn now() -> i64 {
    Clock::wall().0 / 1000
}

/// Claims that pass, for a subject.
fn claims(sub: &str) -> Value {
    json!({ "iss": ISSUER, "aud": "usher", "sub": sub, "exp": now() + 600 })
}

/// [`claims`] with some replaced; `null` as text removes one.
fn with(changes: &Value) -> Value {
    let mut all = claims("u1");
    for (name, value) in changes.as_object().unwrap() {
        if value == "REMOVED" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

/// A key that signs, and how it is published.
struct Signer {
    alg: Algorithm,
    key: EncodingKey,
    jwk: Value,
    pem: String,
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

impl Signer {
    fn hs256(secret: &[u8]) -> Self {
        let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret) });
        Self { alg: Algorithm::HS256, key: EncodingKey::from_secret(secret), jwk, pem: String::new() }
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let key = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).unwrap();
        let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let jwk = json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(parts.n), "e": URL_SAFE_NO_PAD.encode(parts.e) });
        let pem = pem("RSA PUBLIC KEY", pair.public_key().as_ref());
        Self { alg: Algorithm::RS256, key, jwk, pem }
    }

    fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let key = EncodingKey::from_ec_der(private.as_ref());
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        Self { alg: Algorithm::ES256, key, jwk, pem: pem("PUBLIC KEY", spki.as_ref()) }
    }

    fn eddsa() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let key = EncodingKey::from_ed_der(private.as_ref());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()) });
        let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        Self { alg: Algorithm::EdDSA, key, jwk, pem: pem("PUBLIC KEY", spki.as_ref()) }
    }

    /// The published key under an id.
    fn jwk(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = json!(kid);
        jwk
    }

    /// A token with this key's own header.
    fn token(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = json!({ "alg": format!("{:?}", self.alg), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        self.raw(&header.to_string(), &claims.to_string())
    }

    /// A token of any two texts, signed by this key's algorithm whatever they say.
    fn raw(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.alg).unwrap();
        format!("{signed}.{signature}")
    }
}

/// The usual signer of [`issuer`].
fn signer() -> Signer {
    Signer::hs256(SECRET.as_bytes())
}

async fn verify_with(settings: &Settings, token: &str) -> Result<Principal, Refusal> {
    let trust = Trust::compile(settings).unwrap();
    let sets = KeySets::new(Handle::current(), Policy::default());
    bearer::verify(token, &trust, &sets, Clock::wall()).await.map(|verdict| verdict.principal)
}

async fn verify(issuer: Issuer, token: &str) -> Result<Principal, Refusal> {
    verify_with(&settings(vec![issuer], vec![]), token).await
}

/// Refused as a credential, and without a word of it in the reason.
fn is_refused(result: &Result<Principal, Refusal>) -> bool {
    matches!(result, Err(Refusal::Unauthenticated(_)))
}

/// A server for key sets: what it answers can be changed, and it counts how often it was asked.
struct KeyServer {
    url: String,
    mode: Arc<std::sync::Mutex<Mode>>,
    asked: Arc<std::sync::Mutex<HashMap<String, usize>>>,
}

#[derive(Clone)]
enum Mode {
    Json(String),
    Status(u16),
    Redirect(String),
    Endless,
    Silent,
    BreakOff,
}

impl KeyServer {
    async fn start(mode: Mode) -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let mode = Arc::new(std::sync::Mutex::new(mode));
        let asked = Arc::new(std::sync::Mutex::new(HashMap::<String, usize>::new()));
        let server = Self { url, mode: Arc::clone(&mode), asked: Arc::clone(&asked) };
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (mode, asked) = (mode.lock().unwrap().clone(), Arc::clone(&asked));
                tokio::spawn(async move {
                    let mut head = [0; 2048];
                    let read = socket.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    *asked.lock().unwrap().entry(path).or_default() += 1;
                    let answer = match mode {
                        Mode::Json(body) => {
                            format!(
                                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                                body.len()
                            )
                        }
                        Mode::Status(code) => {
                            format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        }
                        Mode::Redirect(to) => format!(
                            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        ),
                        Mode::BreakOff => "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"keys\":".into(),
                        Mode::Silent => {
                            tokio::time::sleep(Duration::from_secs(30)).await;
                            return;
                        }
                        Mode::Endless => {
                            let _ = socket
                                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"keys\":[")
                                .await;
                            while socket.write_all(&[b' '; 65536]).await.is_ok() {}
                            return;
                        }
                    };
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        server
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn publish(&self, keys: &[Value]) {
        self.set(Mode::Json(json!({ "keys": keys }).to_string()));
    }

    fn fetches(&self) -> usize {
        self.asked.lock().unwrap().get("/jwks.json").copied().unwrap_or(0)
    }

    fn asked_for(&self, path: &str) -> usize {
        self.asked.lock().unwrap().get(path).copied().unwrap_or(0)
    }
}
