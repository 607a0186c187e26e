//! The configuration as operators meet it: broken files and what is said about them, the layers, the example.

mod broken;
mod broken_values;
mod example;
mod layers;
mod reload;
mod servable;

use std::path::{Path, PathBuf};

use crate::config::{ConfigErrors, Documents, Loaded, Source, compose};

/// A server file that is fine, one line a key.
pub(super) const SERVER: &str = r#"[server]
platform_hosts = ["localhost", "usher.example.test"]
[tokens]
active_key = "k1"
[[tokens.keys]]
id = "k1"
secret = "c29tZSAzMiBieXRlcyB0aGF0IGFyZSBzZWNyZXQhISE="
[[auth.issuers]]
issuer = "https://auth.example.test"
audience = "usher"
hs256_secret = "CANARY-secret-CANARY-secret-CANARY-secret"
[invites]
ttl = "3d"
"#;

/// A tenant file that is fine.
pub(super) const ACME: &str = r#"id = "01900000-0000-7000-8000-00000000acde"
slug = "acme"
name = "Acme Corp"
domains = ["app.acme.test", "join.acme.test"]
"#;

/// Another one.
pub(super) const CLINIC: &str = r#"id = "01900000-0000-7000-8000-00000000c11c"
slug = "clinic"
name = "Clinic"
domains = ["clinic.test"]
"#;

/// Checks texts under the names `usher.toml`, `acme.toml`, `clinic.toml`.
pub(super) fn check(server: &str, tenants: &[&str], env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let names = ["acme.toml", "clinic.toml"];
    let tenants =
        names.iter().zip(tenants).map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let documents = Documents { server: ("usher.toml".to_owned(), server.to_owned()), tenants };
    let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    compose(&Source { env, ..Source::default() }, &documents)
}

/// What is said about it, one line each.
pub(super) fn told(server: &str, tenants: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    match check(server, tenants, env) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

/// A directory of its own that goes away with the value.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("usher-config-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(dir.join("tenants")).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub fn source(&self) -> Source {
        Source { config_dir: self.0.clone(), ..Source::default() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
