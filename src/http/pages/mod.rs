//! Pages for people.

use actix_web::web;

/// Their routes.
pub fn routes(_config: &mut web::ServiceConfig) {}
