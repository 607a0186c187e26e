//! `usher dev`: a server that needs nothing, for trying usher out and for testing against it. Its settings are
//! built in (`settings`), it tells how to use it (`welcome`), its mails stay in a mailbox that can be looked at
//! (`mailbox`), and its clock can be moved (`clock`). None of these routes exists under `serve`.

mod clock;
mod mailbox;
mod settings;
mod welcome;

use std::path::PathBuf;

use actix_web::web;

use crate::app::{self, Running, StartError};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A configuration to serve instead of the built-in one.
    pub config: Option<PathBuf>,
    /// Where everything lies.
    pub data_dir: Option<PathBuf>,
    /// Address and port.
    pub listen: Option<String>,
    /// The environment.
    pub env: Vec<(String, String)>,
}

/// A dev server that serves.
pub struct Dev {
    /// The server.
    pub server: Running,
    /// What to tell whoever started it, with tokens that are as good as passwords here.
    pub welcome: String,
}

/// Starts a dev server; it ends on SIGTERM and SIGINT.
///
/// # Errors
/// [`StartError`].
pub fn start(wanted: Wanted) -> Result<Dev, StartError> {
    let prepared = settings::prepare(wanted)?;
    let server = app::start(app::Options {
        source: prepared.source,
        documents: prepared.documents,
        routes: Some(routes),
        signals: true,
        ..app::Options::default()
    })?;
    let welcome = welcome::text(&prepared.settings, server.addr, &prepared.data_dir)?;
    Ok(Dev { server, welcome })
}

/// The routes below `/dev`. They need a [`Mailbox`](crate::mail::Mailbox) and a [`Clock`](crate::domain::Clock)
/// as app data.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/dev/mailbox")
                .route(web::get().to(mailbox::show))
                .route(web::delete().to(mailbox::empty))
                .default_service(web::to(|| only("GET, HEAD, DELETE"))),
        )
        .service(
            web::resource("/dev/clock/advance")
                .route(web::post().to(clock::advance))
                .default_service(web::to(|| only("POST"))),
        );
}

/// The answer to other methods.
async fn only(allowed: &'static str) -> actix_web::HttpResponse {
    use actix_web::{ResponseError, http::header};

    let mut answer =
        crate::http::error::ApiError::from(crate::domain::Refusal::MethodNotAllowed).error_response();
    answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    answer
}
