//! An issuer's key set on a server that misbehaves as a test tells it to, and a key that signs tokens of that issuer.
//! Runs on threads of its own.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// What the server does with who asks.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Answers this.
    Text(String),
    /// Answers a status without a body.
    Status(u16),
    /// Sends elsewhere.
    Redirect(String),
    /// Answers without an end.
    Endless,
    /// Takes the connection and says nothing.
    Silent,
    /// Breaks off in the middle.
    BreakOff,
}

/// The server; clones share it.
#[derive(Clone)]
pub struct KeyServer {
    /// Where the key set is.
    pub url: String,
    mode: Arc<Mutex<Mode>>,
    asked: Arc<Mutex<usize>>,
}

impl KeyServer {
    /// Serves on a free port of loopback until the test process ends.
    pub fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let server = Self { url, mode: Arc::new(Mutex::new(mode)), asked: Arc::default() };
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mode, shared) = (shared.mode.lock().unwrap().clone(), shared.clone());
                std::thread::spawn(move || {
                    *shared.asked.lock().unwrap() += 1;
                    // whoever asked may be gone
                    let _ = answer(stream, &mode);
                });
            }
        });
        server
    }

    /// From now on answers so.
    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// From now on publishes these keys.
    pub fn publish(&self, keys: &[Value]) {
        self.set(Mode::Text(json!({ "keys": keys }).to_string()));
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

fn answer(mut stream: TcpStream, mode: &Mode) -> std::io::Result<()> {
    if stream.read(&mut [0; 4096])? == 0 {
        return Ok(());
    }
    let head =
        |status: &str, further: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\n{further}\r\n");
    let text = match mode {
        Mode::Text(body) => head("200 OK", &format!("Content-Length: {}\r\n", body.len())) + body,
        Mode::Status(code) => head(&format!("{code} X"), "Content-Length: 0\r\n"),
        Mode::Redirect(to) => head("302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n")),
        Mode::BreakOff => head("200 OK", "Content-Length: 500\r\n") + "{\"keys\":",
        Mode::Silent => {
            std::thread::sleep(Duration::from_secs(30));
            return Ok(());
        }
        Mode::Endless => {
            stream.write_all((head("200 OK", "") + "{\"keys\":[").as_bytes())?;
            loop {
                stream.write_all(&[b' '; 65536])?;
            }
        }
    };
    stream.write_all(text.as_bytes())
}

/// A key that signs.
pub struct Signer {
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    /// A new key.
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        Self { key: EncodingKey::from_ec_der(private.as_ref()), jwk }
    }

    /// As it is published, under an id.
    pub fn jwk(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = json!(kid);
        jwk
    }

    /// A token of these claims.
    pub fn token(&self, kid: &str, claims: &Value) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}
