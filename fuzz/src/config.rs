//! Configuration files and variables. Whatever they say is taken or refused with every problem told; the same texts
//! always come to the same; and neither a problem, nor a warning, nor what `config show` or a log prints, repeats a
//! secret that stands beside the text.

use usher::config::{Documents, Source, compose};

const CANARY: &str = "CANARY";
const SERVER: &str = r#"
[tokens]
active_key = "k1"
[[tokens.keys]]
id = "k1"
secret = "Q0FOQVJZIHRoYXQgaGFzIHRoaXJ0eS10d28gYnl0ZXM="
[[auth.issuers]]
issuer = "https://auth.example.test"
audience = "usher"
algorithms = ["HS256"]
hs256_secret = "CANARY-of-more-than-thirty-two-bytes-in-length"
"#;
const TENANT: &str = r#"
id = "01900000-0000-7000-8000-00000000acde"
slug = "acme"
name = "Acme Corp"
domains = ["app.acme.test"]
"#;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // whatever names a file would read one of this machine
    if text.contains("_file") || text.contains("_FILE") || text.contains(CANARY) {
        return;
    }
    let mut parts = text.split("\n---\n");
    let (server, tenant) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let env = parts.flat_map(str::lines).filter_map(|line| line.split_once('='));
    let source = Source {
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..Source::default()
    };
    for secrets_after in [true, false] {
        let server =
            if secrets_after { format!("{server}\n{SERVER}") } else { format!("{SERVER}\n{server}") };
        let documents = Documents {
            server: ("usher.toml".into(), server),
            tenants: vec![("acme.toml".into(), format!("{TENANT}\n{tenant}"))],
        };
        let told = said(&source, &documents);
        assert!(!told.contains(CANARY) && !told.contains("Q0FOQVJZ"), "a secret is told: {told}");
        assert_eq!(told, said(&source, &documents), "the same texts come to another end");
    }
}

/// Everything that could ever be printed of a configuration.
fn said(source: &Source, documents: &Documents) -> String {
    match compose(source, documents) {
        Err(errors) => {
            assert!(!errors.problems().is_empty(), "refused without a reason");
            format!("{errors}\n{errors:?}")
        }
        Ok(loaded) => format!("{:?}\n{:?}\n{:?}", loaded.show(), loaded.warnings, loaded.settings),
    }
}
