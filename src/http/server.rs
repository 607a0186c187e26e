//! The two listeners: the public one with everything that tenants' hosts serve, and the operator's.

use std::{io, net::TcpListener, time::Duration};

use actix_web::{App, HttpServer, dev::Server, middleware::from_fn, web};

use super::{
    admin::{self, AdminState},
    edge::{
        self,
        methods::{Allowed, Methods},
    },
    openapi,
    routes::{self, DocumentJson},
    state::State,
};
use crate::{domain::Clock, mail::Mailbox};

/// How long requests may take to end when the server stops, in seconds.
const SHUTDOWN: u64 = 20;

/// Routes beside the usual ones, with what they look at.
#[derive(Clone)]
pub struct Extra {
    /// The routes.
    pub routes: Option<fn(&mut web::ServiceConfig)>,
    /// The clock they may move.
    pub clock: Clock,
    /// The mailbox they may show.
    pub mailbox: Mailbox,
}

/// The public listener.
///
/// # Errors
/// When the socket cannot be listened on.
pub fn public(state: web::Data<State>, extra: Extra, listener: TcpListener) -> io::Result<Server> {
    let json = web::Data::new(DocumentJson::default());
    let allowed = web::Data::new(Allowed::new(|| {
        let mut methods = Methods::of(&openapi::document());
        for (pattern, method) in routes::UNDOCUMENTED {
            methods.add(pattern, method);
        }
        methods
    }));
    let (clock, mailbox) = (web::Data::new(extra.clock), web::Data::new(extra.mailbox));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(allowed.clone())
            .app_data(json.clone())
            .app_data(clock.clone())
            .app_data(mailbox.clone())
            .app_data(edge::methods::query_config())
            .app_data(edge::methods::path_config())
            .configure(routes::api)
            .configure(routes::pages)
            .configure(|config| {
                if let Some(routes) = extra.routes {
                    routes(config);
                }
            })
            .default_service(web::to(edge::methods::unmatched))
            .wrap(from_fn(edge::edge))
    });
    let server = server
        .disable_signals()
        .shutdown_timeout(SHUTDOWN)
        .client_request_timeout(Duration::from_secs(5))
        .keep_alive(Duration::from_secs(75));
    Ok(server.listen(listener)?.run())
}

/// The operator's listener.
///
/// # Errors
/// When the socket cannot be listened on.
pub fn admin(state: AdminState, listener: TcpListener) -> io::Result<Server> {
    let state = web::Data::new(state);
    let allowed = web::Data::new(Allowed::new(|| {
        let mut methods = Methods::default();
        for path in admin::PATHS {
            methods.add(path, "GET");
        }
        methods
    }));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(allowed.clone())
            .app_data(edge::methods::query_config())
            .configure(admin::routes)
            .default_service(web::to(edge::methods::unmatched))
            .wrap(from_fn(edge::plain))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}
