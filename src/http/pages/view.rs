//! One page from plain facts. Owns the template and its policy; every page usher shows people is this one, with
//! more or less in it. Nothing on it moves, asks or loads, the tenant's logo excepted.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use minijinja::{Environment, UndefinedBehavior, Value, context, syntax::SyntaxConfig};

use sha2::{Digest, Sha256};

use super::{color::Palette, words, words::Words};
use crate::{config::settings, domain::Refusal};

/// The style sheet, but for the colours.
const STYLE: &str = include_str!("templates/page.css");

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // escaping goes by the ending of the name
    environment.add_template("page.html", include_str!("templates/page.html"))?;
    Ok(environment)
});

/// What a page shows. Texts given as `html` are escaped already.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub words: &'static Words,
    /// Whose page it is; usher's own where no tenant is known.
    pub tenant: Option<&'a settings::Tenant>,
    /// Where the tenant's logo is.
    pub logo: Option<String>,
    pub sign: Sign,
    /// Title of the window, plain.
    pub title: String,
    /// Heading, HTML.
    pub heading: String,
    /// What follows it, HTML.
    pub lead: String,
    pub facts: Vec<Fact>,
    pub action: Option<Link>,
    /// Below the action, HTML.
    pub hint: Option<String>,
    pub footnote: Option<&'static str>,
    /// Request id, on pages that tell of a fault.
    pub reference: Option<String>,
}

/// The sign above the heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    None,
    Done,
    Late,
    Wait,
    Broken,
}

/// A line of the table.
#[derive(Debug)]
pub(super) struct Fact {
    pub label: &'static str,
    pub value: String,
    /// The value as a machine reads it, if it is a time.
    pub time: Option<String>,
    pub more: Option<String>,
}

/// A link and what it says.
#[derive(Debug)]
pub(super) struct Link {
    pub href: String,
    pub label: String,
}

impl Fact {
    fn value(&self) -> Value {
        context! {
            label => self.label,
            value => self.value.as_str(),
            time => self.time.as_deref(),
            more => self.more.as_deref(),
        }
    }
}

impl Link {
    fn value(&self) -> Value {
        context! { href => plain(&self.href), label => plain(&self.label) }
    }
}

impl<'a> View<'a> {
    /// A page that says one thing.
    pub fn saying(words: &'static Words, tenant: Option<&'a settings::Tenant>, said: words::Said) -> Self {
        Self {
            words,
            tenant,
            logo: None,
            sign: Sign::None,
            title: said.heading.to_owned(),
            heading: words::html(said.heading, &[]),
            lead: words::html(said.lead, &[]),
            facts: Vec::new(),
            action: None,
            hint: None,
            footnote: None,
            reference: None,
        }
    }

    /// The page.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if it cannot be rendered.
    pub fn answer(&self, status: StatusCode) -> Result<HttpResponse, Refusal> {
        let style = self.style();
        let page = self.render(&style).map_err(|error| {
            tracing::error!(%error, "a page cannot be rendered");
            Refusal::Internal
        })?;
        let mut answer = HttpResponse::build(status);
        answer
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, self.policy(&style)))
            .insert_header((HeaderName::from_static("x-robots-tag"), "noindex, nofollow"));
        Ok(answer.body(page))
    }

    /// Nothing but our style, the tenant's logo and the icon.
    fn policy(&self, style: &str) -> String {
        let style = STANDARD.encode(Sha256::digest(style));
        let elsewhere = self.logo.as_deref().and_then(|logo| reqwest::Url::parse(logo).ok());
        let elsewhere = elsewhere.map(|url| format!(" {}", url.origin().ascii_serialization()));
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; img-src 'self' data:{}; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            elsewhere.unwrap_or_default()
        )
    }

    fn palette(&self) -> Palette {
        Palette::of(self.tenant.and_then(|tenant| tenant.branding.primary_color.as_deref()))
    }

    /// The style sheet with the tenant's colours. The same page is always the same text, so its policy names
    /// the digest of this and no nonce.
    fn style(&self) -> String {
        let Palette { fill, on_fill, edge_light, edge_dark, ink_light, ink_dark } = self.palette();
        format!(
            ":root {{ --fill: {fill}; --on-fill: {on_fill}; --edge: {edge_light}; --ink: {ink_light}; }}\n\
             @media (prefers-color-scheme: dark) {{ :root {{ --edge: {edge_dark}; --ink: {ink_dark}; }} }}\n{STYLE}"
        )
    }

    fn render(&self, style: &str) -> Result<String, minijinja::Error> {
        let environment = TEMPLATES.as_ref().map_err(|error| {
            minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, error.to_string())
        })?;
        let branding = self.tenant.map(|tenant| &tenant.branding);
        let name = self.tenant.map_or_else(|| "usher".to_owned(), |tenant| words::shown(&tenant.name));
        let support = branding.map(support).unwrap_or_default();
        environment.get_template("page.html")?.render(context! {
            lang => self.words.tag,
            style => Value::from_safe_string(style.to_owned()),
            title => self.title.as_str(),
            initial => name.chars().find(|c| c.is_alphanumeric()).map_or_else(|| "·".to_owned(), |c| c.to_uppercase().to_string()),
            name,
            icon => plain(&icon(&self.palette())),
            logo => self.logo.as_deref().map(plain),
            sign => match self.sign {
                Sign::None => "none",
                Sign::Done => "done",
                Sign::Late => "late",
                Sign::Wait => "wait",
                Sign::Broken => "broken",
            },
            heading => Value::from_safe_string(self.heading.clone()),
            lead => Value::from_safe_string(self.lead.clone()),
            facts => self.facts.iter().map(Fact::value).collect::<Vec<_>>(),
            action => self.action.as_ref().map(Link::value),
            hint => self.hint.clone().map(Value::from_safe_string),
            footnote => self.footnote,
            questions => self.words.questions,
            support => support.iter().map(Link::value).collect::<Vec<_>>(),
            reference => self.reference.as_deref(),
            reference_label => self.words.reference,
        })
    }
}

/// Escaped as far as HTML needs it; the template's own escaping would also spell out every slash of a URL.
fn plain(text: &str) -> Value {
    Value::from_safe_string(words::escaped(text))
}

/// The icon of a tenant without a logo: a square of its colour. Without one, browsers would ask the host.
fn icon(palette: &Palette) -> String {
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><rect width='8' height='8' rx='2' fill='{}'/></svg>",
        palette.fill
    );
    format!("data:image/svg+xml,{}", encoded(&svg, b""))
}

/// Where the tenant's invitees ask for help.
fn support(branding: &settings::Branding) -> Vec<Link> {
    let mail = branding
        .support_email
        .as_ref()
        .map(|address| Link { href: format!("mailto:{}", encoded(address, b"@")), label: address.clone() });
    let page = branding.support_url.as_ref().map(|url| {
        let bare = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        Link { href: url.clone(), label: bare.trim_end_matches('/').to_owned() }
    });
    mail.into_iter().chain(page).collect()
}

/// Percent-encoded but for unreserved characters and these.
pub(super) fn encoded(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::{languages::ENGLISH, tests::tenant};

    #[test]
    fn a_page_is_whole_and_loads_nothing_but_its_logo() {
        let tenant = tenant();
        let view = View {
            logo: Some("https://app.acme.test/logo.svg".into()),
            ..View::saying(&ENGLISH, Some(&tenant), ENGLISH.unknown)
        };
        let page = view.render(&view.style()).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        assert_eq!(page.matches("src=").count(), 1);
        assert_eq!(page.matches("https://").count(), 1);
        assert!(!page.contains("<script") && !page.contains("<form") && !page.contains(" style="));
        assert!(!page.contains("@import") && !page.contains("url("));
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let digest = STANDARD.encode(Sha256::digest(style));
        assert_eq!(
            view.policy(&view.style()),
            format!(
                "default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' data: https://app.acme.test; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
    }

    #[test]
    fn names_addresses_and_urls_of_the_configuration_are_escaped() {
        let mut tenant = tenant();
        tenant.name = "</span><a href=https://evil>x</a> {{ 7*7 }}".into();
        tenant.branding.support_email = Some("a&b'?x=y@acme.test".into());
        tenant.branding.support_url = Some("https://acme.test/\"><script>".into());
        let page = View::saying(&ENGLISH, Some(&tenant), ENGLISH.unknown).render("").unwrap();
        assert!(page.contains("{{ 7*7 }}") && !page.contains("49"), "a template in a name stays text");
        assert!(!page.contains("<a href=https:") && !page.contains("<script"), "{page}");
        assert!(page.contains("href=\"mailto:a%26b%27%3Fx%3Dy@acme.test\""), "{page}");
    }
}
