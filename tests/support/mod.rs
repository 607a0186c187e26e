//! What every integration test stands on: a server on either engine ([`server`]), its configuration
//! ([`setup`]), people and their credentials ([`people`]), calls and answers ([`client`]), every route as data
//! ([`routes`]), invites ([`invites`]), the command line ([`cli`]), a relay ([`smtp_sink`]), an issuer's key server
//! ([`key_server`]), a road to the database that breaks ([`proxy`]), a look into the rows ([`database`]), how they are
//! found ([`explaining`]), very many of them ([`long_served`]), what must hold in them ([`invariants`]), the schema
//! ([`schema`]), and having the server forget what is over ([`forgetting`]).

pub mod cli;
pub mod client;
pub mod database;
pub mod explaining;
pub mod forgetting;
pub mod invariants;
pub mod invites;
pub mod key_server;
pub mod long_served;
pub mod people;
pub mod postgres;
pub mod proxy;
pub mod routes;
pub mod schema;
pub mod server;
pub mod setup;
pub mod smtp_sink;

use std::{
    io::Write,
    time::{Duration, Instant},
};

pub use invites::{Invited, Kind};
pub use people::{Credential, Person, acme_owner, globex_owner, globex_person, person};
pub use server::{Engine, TestServer};
pub use setup::{ACME, ACME_ALIAS, ACME_HOST, CLINIC, GLOBEX, GLOBEX_HOST, PLANT, PLATFORM, Setup};

/// Waits until a check gives something; fails with `what` after a minute, which is long because a machine may have
/// hardly any time for its tests.
pub async fn eventually<T>(what: &str, check: impl AsyncFnMut() -> Option<T>) -> T {
    within(Duration::from_secs(60), what, check).await
}

/// The same with another limit, for what takes its time.
pub async fn within<T>(limit: Duration, what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Says on the terminal, past the capture of passing tests, that something is not tested here; fails where
/// `USHER_REQUIRE_ALL=1` demands everything.
pub fn skip(what: &str, why: &str) -> bool {
    let required = std::env::var("USHER_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{what} is required by USHER_REQUIRE_ALL=1, but: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} ({why})");
    false
}

/// A count from the environment, for longer runs of the same test.
pub fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs each named `async fn name(server: TestServer)` on both engines, as `sqlite::name` and
/// `postgres::name`; `name => setup` gives it another configuration than the usual one.
macro_rules! both_engines {
    ($($name:ident $(=> $setup:expr)?),+ $(,)?) => {
        $crate::support::both_engines!(@on sqlite, Sqlite, true, $($name $(=> $setup)?),+);
        $crate::support::both_engines!(
            @on postgres, Postgres, $crate::support::postgres::available(), $($name $(=> $setup)?),+
        );
    };
    (@on $module:ident, $engine:ident, $available:expr, $($name:ident $(=> $setup:expr)?),+) => {
        mod $module {
            #[allow(unused_imports, reason = "setups use what their file has imported")]
            use super::*;

            $(
                #[tokio::test]
                async fn $name() {
                    if $available {
                        let setups = [$($setup,)? $crate::support::Setup::new()];
                        let setup = setups.into_iter().next().unwrap();
                        let engine = $crate::support::Engine::$engine;
                        super::$name($crate::support::TestServer::start(engine, setup)).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use both_engines;

/// Like [`both_engines!`], each test once with the tenant actors (`with_actors::sqlite::name`) and once with
/// every command committing alone (`without_actors::…`).
macro_rules! with_and_without_actors {
    ($($name:ident $(=> $setup:expr)?),+ $(,)?) => {
        mod with_actors {
            use super::*;
            $crate::support::both_engines!($($name $(=> $setup)?),+);
        }
        mod without_actors {
            use super::*;
            $crate::support::both_engines!($(
                $name => [$($setup,)? $crate::support::Setup::new()]
                    .into_iter()
                    .next()
                    .unwrap()
                    .actors_bypassed()
            ),+);
        }
    };
}
pub(crate) use with_and_without_actors;
