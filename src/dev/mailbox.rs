//! The mailbox of the dev mode: a page, and the same as JSON. A mail's HTML is shown in a frame of its own that
//! may run nothing; the page loads nothing from anywhere.

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use minijinja::{Environment, Value, context};
use serde::Serialize;

use crate::{
    domain::{Clock, Refusal, clock::rfc3339},
    http::error::ApiError,
    mail::{Mail, Mailbox},
};

/// What the page may do: show its own styles and frames without an address. Mails bring styles of their own.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'none'; \
                      base-uri 'self'; frame-ancestors 'none'";

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.add_template("mailbox.html", include_str!("mailbox.html"))?;
    Ok(environment)
});

/// The mails as JSON.
#[derive(Serialize)]
struct List {
    data: Vec<Mail>,
    total: usize,
}

/// All mails, the newest last as JSON and first on the page.
pub(super) async fn show(
    req: HttpRequest,
    mailbox: web::Data<Mailbox>,
    clock: web::Data<Clock>,
) -> Result<HttpResponse, ApiError> {
    let mails = mailbox.list();
    if wants_json(&req) {
        let total = mails.len();
        return Ok(HttpResponse::Ok().json(List { data: mails, total }));
    }
    let page = page(mails, &clock).map_err(|error| {
        tracing::error!(%error, "the mailbox page cannot be rendered");
        Refusal::Internal
    })?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(page))
}

/// Empties the mailbox, so that a test begins with none.
pub(super) async fn empty(mailbox: web::Data<Mailbox>) -> HttpResponse {
    mailbox.clear();
    HttpResponse::NoContent().finish()
}

fn wants_json(req: &HttpRequest) -> bool {
    let mut accepted = req.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("application/json"))
}

fn page(mut mails: Vec<Mail>, clock: &Clock) -> Result<String, minijinja::Error> {
    mails.reverse();
    let environment = TEMPLATES
        .as_ref()
        .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::BadInclude, error.to_string()))?;
    let mails: Vec<Value> = mails
        .into_iter()
        .map(|mail| {
            let Mail { to, subject, text, html, link, message_id } = mail;
            context! { to, subject, text, html, link, message_id }
        })
        .collect();
    environment.get_template("mailbox.html")?.render(context! {
        mails,
        now => rfc3339(clock.now()),
        offset => clock.offset_millis() / 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str) -> Mail {
        Mail {
            to: "a@x.test".into(),
            subject: subject.into(),
            text: "hello\nhttp://acme.localhost:8080/invites/abc".into(),
            html: r#"<p style="color:red">hello "you" & them</p><script>alert(1)</script>"#.into(),
            link: "http://acme.localhost:8080/invites/abc".into(),
            message_id: "<1@x.test>".into(),
        }
    }

    #[test]
    fn a_mail_is_shown_in_a_frame_that_runs_nothing_and_cannot_break_out_of_it() {
        let page = page(vec![mail("first <b>"), mail("second")], &Clock::default()).unwrap();
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("first <b>"), "{page}");
        assert!(!page.contains("allow-scripts") && !page.contains("allow-same-origin"));
        assert!(page.find("second") < page.find("first"), "the newest comes first");
    }

    #[test]
    fn an_empty_mailbox_says_so_and_nothing_is_loaded_from_elsewhere() {
        let page = page(vec![], &Clock::default()).unwrap();
        assert!(page.contains("No mail yet"));
        assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    }
}
