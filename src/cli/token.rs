//! `usher token`: bearer tokens signed with a secret of the configuration, for trying things out.

use std::{sync::Arc, time::Duration};

use clap::Subcommand;

use super::{Globals, context, failure::Failure, output};
use crate::{
    config::{
        parse_duration,
        settings::{Issuer, IssuerKeys, Settings},
    },
    domain::EmailAddress,
    identity::bearer,
    tenancy::Registry,
};

/// Verbs of `usher token`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Mints a token that this server accepts, and prints it alone.
    ///
    /// Signed by an issuer that is configured with a shared secret (`hs256_secret`): the server's first one, or
    /// with --tenant that tenant's own if it has one. The address counts as verified unless said otherwise.
    /// Whoever has such a token is that user until it expires: mind where it goes.
    ///
    /// Example:  TOKEN=$(usher token mint --sub owner-1 --email owner@acme.test)
    ///           curl -H "Authorization: Bearer $TOKEN" http://localhost:8080/api/v1/…
    #[command(verbatim_doc_comment)]
    Mint {
        /// Subject: the user's id at the issuer
        #[arg(long, value_name = "ID")]
        sub: String,
        /// The user's address
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        email: EmailAddress,
        /// Prefer an issuer of this tenant, by id or slug
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Exactly this issuer
        #[arg(long, value_name = "ISS", conflicts_with = "tenant")]
        issuer: Option<String>,
        /// The token says that the address is not verified
        #[arg(long, conflicts_with = "no_verified_claim")]
        unverified: bool,
        /// The token does not say whether the address is verified
        #[arg(long)]
        no_verified_claim: bool,
        /// How long it lives: 90s, 5m, 2h, 7d
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
        ttl: Duration,
    },
}

/// Reads an address given as an argument.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<EmailAddress, &'static str> {
    EmailAddress::parse(text)
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, verb: Verb) -> Result<(), Failure> {
    let Verb::Mint { sub, email, tenant, issuer, unverified, no_verified_claim, ttl } = verb;
    let settings = context::load(globals)?.settings;
    let issuer = chosen(&settings, tenant.as_deref(), issuer.as_deref())?;
    let verified = (!no_verified_claim).then_some(!unverified);
    let token = bearer::mint_hs256(&issuer, &sub, Some(email.as_str()), verified, ttl);
    output::line(&token.map_err(|error| match error {
        bearer::MintError::BadSubject => Failure::Usage(error.to_string()),
        error => Failure::other(error.to_string()),
    })?)
}

fn chosen(settings: &Arc<Settings>, tenant: Option<&str>, name: Option<&str>) -> Result<Issuer, Failure> {
    let own = match tenant {
        Some(tenant) => context::named(&Registry::new(settings.clone()), tenant)?.issuers.clone(),
        None => vec![],
    };
    let signs = |issuer: &&Issuer| matches!(issuer.keys, IssuerKeys::Hs256(_));
    let found = match name {
        Some(name) => settings.all_issuers().filter(signs).find(|issuer| issuer.issuer == name),
        None => own.iter().chain(&settings.issuers).find(signs),
    };
    found.cloned().ok_or_else(|| {
        Failure::other(
            "no such issuer has an `hs256_secret`; only whoever holds the signing key can mint tokens",
        )
    })
}
