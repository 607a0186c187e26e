//! Pages for people: what a link shows, what `/` says, errors of both as pages, the tenant's logo, and the
//! reference of the API. Everything here is read only and works without script, the reference excepted.

mod color;
pub mod docs;
pub mod errors;
mod landing;
mod languages;
mod logo;
mod view;
mod words;

use actix_web::web;

/// Their routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::Data::new(logo::Logos::default()))
        .service(landing::home)
        .service(landing::org_page)
        .service(landing::workspace_page)
        .service(logo::logo_file)
        .service(docs::moved)
        .service(docs::docs);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use crate::config::{Documents, Settings, Source, compose, settings::Tenant};

    const SERVER: &str = "[server]\nbase_url = 'https://usher.test'\n";
    const ACME: &str = "id = '01900000-0000-7000-8000-00000000acde'\nslug = 'acme'\nname = 'Acme Corp'\n\
        domains = ['app.acme.test', 'join.acme.test']\nretired_domains = ['old.acme.test']\n\
        [branding]\nprimary_color = '#0a7d5a'\nsupport_email = 'help@acme.test'\n\
        [links]\nsign_in_url = 'https://app.acme.test/login?a=1&return_to={return_to}'\n\
        after_accept_url = 'https://app.acme.test/welcome'\n";

    /// Settings with one tenant, acme.
    pub(crate) fn settings() -> Arc<Settings> {
        let text = |text: &str| ("t.toml".to_owned(), text.to_owned());
        let documents = Documents { server: text(SERVER), tenants: vec![text(ACME)] };
        compose(&Source::default(), &documents).unwrap().settings
    }

    /// Acme.
    pub(crate) fn tenant() -> Tenant {
        settings().tenants[0].as_ref().clone()
    }
}
