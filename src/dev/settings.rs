//! The built-in settings of the dev mode, as the texts that configuration files would hold, and the secrets that
//! are made at the first start and kept in the data directory. With a configuration of one's own, that is
//! served instead, made harmless: no mail leaves the process, and links say `http` and the port.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::Wanted;
use crate::{
    app::StartError,
    config::{self, Documents, Settings, Source},
    domain::random,
};

/// Where a dev server listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8080";
/// Where its things lie unless told otherwise.
const DATA_DIR: &str = "data/dev";

/// What a dev server is started with.
pub(super) struct Prepared {
    /// Overrides.
    pub source: Source,
    /// The built-in configuration, unless there is one of the operator's own.
    pub documents: Option<Documents>,
    /// What both come to.
    pub settings: Arc<Settings>,
    /// Where everything lies.
    pub data_dir: PathBuf,
}

/// Makes the data directory with its secrets, and the settings.
///
/// # Errors
/// [`StartError`].
pub(super) fn prepare(wanted: Wanted) -> Result<Prepared, StartError> {
    let data_dir = wanted.data_dir.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR));
    fs::create_dir_all(&data_dir)
        .map_err(|error| StartError::Other(format!("cannot make {}: {error}", data_dir.display())))?;
    match wanted.config.clone() {
        Some(config_dir) => own(wanted, config_dir, data_dir),
        None => built_in(wanted, data_dir),
    }
}

fn built_in(wanted: Wanted, data_dir: PathBuf) -> Result<Prepared, StartError> {
    let env = harmless(wanted.env);
    let given = wanted.listen.or_else(|| variable(&env, "USHER__SERVER__LISTEN"));
    let listen = with_port(given.unwrap_or_else(|| LISTEN.to_owned()))?;
    let token_key = secret(&data_dir.join("token.key"))?;
    let issuer_secret = secret(&data_dir.join("issuer.secret"))?;
    let documents = documents(port_of(&listen), &token_key, &issuer_secret);
    let source = Source { data_dir: Some(data_dir.clone()), listen: Some(listen), env, ..Source::default() };
    let settings = config::compose(&source, &documents)?.settings;
    Ok(Prepared { source, documents: Some(documents), settings, data_dir })
}

fn own(wanted: Wanted, config_dir: PathBuf, data_dir: PathBuf) -> Result<Prepared, StartError> {
    let mut env = harmless(wanted.env);
    let mut source = Source {
        config_dir,
        data_dir: wanted.data_dir.map(|_| data_dir.clone()),
        listen: wanted.listen,
        env: env.clone(),
    };
    let listen = with_port(config::load(&source)?.settings.server.listen.clone())?;
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    env.push(set("USHER__MAIL__TRANSPORT", "memory"));
    env.push(set("USHER__SERVER__ADMIN_LISTEN", "off"));
    env.push(set("USHER__SERVER__LINK_SCHEME", "http"));
    env.push(set("USHER__SERVER__LINK_PORT", &port_of(&listen).to_string()));
    for stem in tenant_files(&source.config_dir) {
        env.push((format!("USHER__TENANTS__{stem}__MAIL__TRANSPORT"), "memory".to_owned()));
    }
    source.listen = Some(listen);
    source.env = env;
    let settings = config::load(&source)?.settings;
    Ok(Prepared { source, documents: None, settings, data_dir })
}

/// The environment without what would send mails: nothing does in dev mode.
fn harmless(env: Vec<(String, String)>) -> Vec<(String, String)> {
    env.into_iter()
        .filter(|(name, _)| !name.starts_with("USHER__MAIL__") && !name.contains("__MAIL__"))
        .collect()
}

fn variable(env: &[(String, String)], name: &str) -> Option<String> {
    env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// The tenants' files by the name that variables know them by.
fn tenant_files(config_dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(config_dir.join("tenants")) else { return vec![] };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let toml = path.extension().is_some_and(|extension| extension == "toml");
            let stem = path.file_stem()?.to_str()?.to_ascii_uppercase().replace(['-', '.'], "_");
            toml.then_some(stem).filter(|stem| !stem.starts_with('_'))
        })
        .collect()
}

/// Port 0 becomes one that is free, since links have to name it.
fn with_port(listen: String) -> Result<String, StartError> {
    let Some(host) = listen.strip_suffix(":0") else { return Ok(listen) };
    let free = std::net::TcpListener::bind(&listen).and_then(|listener| listener.local_addr());
    let free =
        free.map_err(|error| StartError::Unreachable(format!("cannot listen on {listen}: {error}")))?;
    Ok(format!("{host}:{}", free.port()))
}

/// The port of an address to listen on; 0 for what configuration will refuse anyway.
fn port_of(listen: &str) -> u16 {
    listen.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
}

/// 32 random bytes in base64, made once and kept for the owner's eyes only.
fn secret(path: &Path) -> Result<String, StartError> {
    let problem = |what: &str, error: std::io::Error| {
        StartError::Other(format!("cannot {what} {}: {error}", path.display()))
    };
    let random: [u8; 32] = random::bytes()?;
    let text = STANDARD.encode(random);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map_err(|error| problem("write", error))?;
            Ok(text)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .map_err(|error| problem("read", error)),
        Err(error) => Err(problem("make", error)),
    }
}

fn documents(port: u16, token_key: &str, issuer_secret: &str) -> Documents {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let server = format!(
        r##"[server]
admin_listen = "off"
base_url = "http://localhost:{port}"
link_scheme = "http"
link_port = {port}

[[tokens.keys]]
id = "dev"
secret = {}

[[auth.issuers]]
issuer = "usher-dev"
audience = "usher"
algorithms = ["HS256"]
hs256_secret = {}

[mail]
transport = "memory"
"##,
        quoted(token_key),
        quoted(issuer_secret),
    );
    Documents {
        server: ("usher.toml (dev)".to_owned(), server),
        tenants: vec![
            ("acme.toml".to_owned(), ACME.to_owned()),
            ("clinic.toml".to_owned(), CLINIC.to_owned()),
        ],
    }
}

const ACME: &str = r##"id = "01900000-0000-7000-8000-00000000acde"
slug = "acme"
name = "Acme Corp"
domains = ["acme.localhost"]
owners = ["owner@acme.test"]

[branding]
primary_color = "#0a7d5a"
support_email = "help@acme.test"

[mail]
from = "Acme Corp <invites@acme.test>"

[[workspaces]]
id = "01900000-0000-7000-8000-0000000000a1"
name = "Design Studio"
slug = "studio"
"##;

const CLINIC: &str = r##"id = "01900000-0000-7000-8000-00000000c11c"
slug = "clinic"
name = "Dr. Smith Clinic"
domains = ["clinic.localhost"]
owners = ["owner@clinic.test"]

[branding]
primary_color = "#2457a6"
support_email = "frontdesk@clinic.test"

[mail]
from = "Dr. Smith Clinic <frontdesk@clinic.test>"

[[workspaces]]
id = "01900000-0000-7000-8000-0000000000c1"
name = "Reception"
slug = "reception"
"##;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Transport;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("usher-dev-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn the_built_in_settings_are_fine_send_no_mail_and_carry_the_port_in_links() {
        let data_dir = folder("built-in");
        let env = [("USHER__MAIL__TRANSPORT", "file"), ("USHER__TENANTS__ACME__MAIL__TRANSPORT", "file")];
        let prepared = prepare(Wanted {
            data_dir: Some(data_dir.clone()),
            listen: Some("127.0.0.1:9123".into()),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            config: None,
        })
        .unwrap();
        let settings = &prepared.settings;
        assert_eq!(settings.server.link_port, 9123);
        assert_eq!(settings.server.base_url, "http://localhost:9123");
        assert_eq!(settings.server.admin_listen, None);
        assert_eq!(settings.tenants.len(), 2);
        assert!(settings.tenants.iter().all(|tenant| tenant.mail.transport == Transport::Memory));
        assert!(settings.tenants.iter().all(|tenant| !tenant.workspaces.is_empty()));
        fs::remove_dir_all(data_dir).unwrap();
    }

    #[test]
    fn secrets_are_random_stay_and_are_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt;

        let data_dir = folder("secrets");
        fs::create_dir_all(&data_dir).unwrap();
        let path = data_dir.join("token.key");
        let first = secret(&path).unwrap();
        assert_eq!(secret(&path).unwrap(), first);
        assert_ne!(secret(&data_dir.join("other")).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
        fs::remove_dir_all(data_dir).unwrap();
    }

    #[test]
    fn a_configuration_of_ones_own_is_served_without_sending_mail() {
        let data_dir = folder("own");
        let prepared = prepare(Wanted {
            config: Some("config".into()),
            data_dir: Some(data_dir.clone()),
            listen: Some("127.0.0.1:9124".into()),
            env: vec![],
        })
        .unwrap();
        assert!(prepared.documents.is_none());
        assert_eq!(prepared.settings.server.link_port, 9124);
        assert!(prepared.settings.tenants.iter().all(|tenant| tenant.mail.transport == Transport::Memory));
        fs::remove_dir_all(data_dir).unwrap();
    }
}
