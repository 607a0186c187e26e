//! The settings as the rest of the code sees them: decoded, checked, resolved. A tenant's settings already
//! hold the server's where the tenant says nothing. Secrets are wrapped and never printed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use entity::{Role, TenantId, UserId, WorkspaceId};
use ipnet::IpNet;
use secrecy::SecretString;

use crate::domain::{EmailAddress, Host, MasterKeys, Permissions};

/// Everything that the files, the environment and the flags say together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Listening, origins, proxies.
    pub server: Server,
    /// Where the rows are.
    pub database: Database,
    /// Master keys of links; `None` if none is configured (`serve` then refuses to start).
    pub tokens: Option<MasterKeys>,
    /// Issuers that speak for every tenant.
    pub issuers: Vec<Issuer>,
    /// How API keys look.
    pub api_keys: ApiKeys,
    /// Transport of mails; tenants may differ.
    pub mail: Mail,
    /// Limits of calls by address.
    pub limits: Limits,
    /// How long what is over is kept; tenants may differ in their invites.
    pub retention: Retention,
    /// Which error statuses accept and decline of workspace invites use.
    pub compat: Compat,
    /// System admins by user id.
    pub admins: Vec<UserId>,
    /// The write lane.
    pub lane: Lane,
    /// Configured tenants, in the order of their file names.
    pub tenants: Vec<Arc<Tenant>>,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: String,
    /// Address and port of the admin listener; `None` means there is none.
    pub admin_listen: Option<String>,
    /// Origin of the platform without trailing slash: links of tenants without a domain.
    pub base_url: String,
    /// Hosts that serve every tenant by path.
    pub platform_hosts: Vec<Host>,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// `https` or `http`.
    pub link_scheme: String,
    /// Port shown in links; 0 shows none.
    pub link_port: u16,
}

/// `[database]`.
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite://path` or `postgres://…`; may hold a password.
    pub url: SecretString,
    /// Connections of this process.
    pub max_connections: u32,
}

/// One `[[auth.issuers]]`.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `iss` exactly.
    pub issuer: String,
    /// Audience that must be named.
    pub audience: String,
    /// Claim that names it: `aud`, `azp` or `client_id`.
    pub audience_claim: String,
    /// Algorithms allowed, such as `HS256` or `RS256`.
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// Where its keys come from.
    pub keys: IssuerKeys,
    /// An absent `email_verified` counts as verified.
    pub trust_email: bool,
    /// Put before `sub` to make the user id.
    pub subject_prefix: String,
    /// Claim and value that make a system admin; never set for a tenant's issuer.
    pub system_admin_claim: Option<(String, String)>,
    /// Claim of the address.
    pub email_claim: String,
    /// Claim of its verification.
    pub email_verified_claim: String,
    /// Claim of the display name.
    pub name_claim: String,
    /// Set for an issuer in a tenant's file: it speaks for that tenant only.
    pub tenant: Option<TenantId>,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum IssuerKeys {
    /// A shared secret, for HS256.
    Hs256(SecretString),
    /// PEM of one public key, already read.
    PublicKeyPem(String),
    /// A key set fetched over HTTP(S).
    JwksUrl(String),
}

/// `[api_keys]`.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// Common prefix of all keys, `msk_`.
    pub prefix: String,
    /// Header accepted beside the bearer token.
    pub header: String,
}

/// Transport and sender of mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// How mails leave.
    pub transport: Transport,
    /// Sender, as `Name <address>` or an address.
    pub from: String,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Mails in flight at once per relay.
    pub concurrency: usize,
    /// Limit of one whole attempt.
    pub timeout: Duration,
}

/// How mails leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// To a relay.
    Smtp(Relay),
    /// As `.eml` files in a directory.
    File(PathBuf),
    /// Into the mailbox of this process (dev and tests).
    Memory,
}

/// A relay; two equal ones share connections and circuit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Relay {
    /// Host to connect to.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How TLS is used.
    pub tls: RelayTls,
    /// User and password, if it wants them.
    pub credentials: Option<(String, String)>,
    /// PEM file of the only root to be trusted, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Relay({}:{}, {:?})", self.host, self.port, self.tls)
    }
}

/// TLS towards a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelayTls {
    /// TLS from the first byte (`smtps://`).
    Wrapped,
    /// STARTTLS or nothing is sent.
    Required,
    /// STARTTLS where offered; loopback only.
    Opportunistic,
    /// Clear text; loopback only.
    None,
}

/// A limit such as `100/1d`; `None` in its place means off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which window.
    pub window: Duration,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Invites made and mails queued per inviter and tenant.
    pub invites_per_inviter: Option<Rate>,
    /// The same per recipient and tenant.
    pub invites_per_recipient: Option<Rate>,
    /// The same per API key.
    pub invites_per_api_key: Option<Rate>,
    /// The same per tenant.
    pub invites_per_tenant: Option<Rate>,
    /// Unknown tokens and failed credentials per client address.
    pub requests_per_ip: Option<Rate>,
}

/// `[retention]`: how long what is over is kept; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Invites, since they ended or ran out.
    pub invites: Option<Duration>,
    /// Mails that have left, since then, or are no longer wanted, since they were queued.
    pub mails: Option<Duration>,
    /// Mails given up, since they were queued.
    pub failed_mails: Option<Duration>,
    /// Answers kept for `Idempotency-Key`.
    pub answers: Duration,
}

/// `[compat] errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// 404, 410, 409, 409, 422.
    Sdk,
    /// 400s, as one of the documented pages has it.
    Docs,
}

/// `[lane]`: order and group commit of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Whether writes pass through the tenant actors; without, every command commits alone.
    pub actors: bool,
    /// Commands committed together at most.
    pub max_batch: usize,
    /// Commands waiting per tenant at most.
    pub queue_per_tenant: usize,
    /// Commands waiting in all at most.
    pub queue_total: usize,
    /// An actor without work for so long ends itself.
    pub idle: Duration,
}

/// One tenant's file, resolved over the server's.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name, also accepted in paths and headers.
    pub slug: String,
    /// Its display name.
    pub name: String,
    /// Its own hosts; the first is the primary one.
    pub domains: Vec<Host>,
    /// Hosts that only redirect live links to the primary one.
    pub retired_domains: Vec<Host>,
    /// Addresses that become owners on first verified sight.
    pub owners: Vec<EmailAddress>,
    /// Looks.
    pub branding: Branding,
    /// Where people go.
    pub links: Links,
    /// Transport and sender.
    pub mail: Mail,
    /// Rules of invites.
    pub invites: Invites,
    /// Limits of invites.
    pub limits: Limits,
    /// How long its ended invites are kept; the rest is the server's.
    pub retention: Retention,
    /// Pages of other origins that may call the API.
    pub cors: Cors,
    /// Issuers that speak for this tenant only.
    pub issuers: Vec<Issuer>,
    /// Configured workspaces.
    pub workspaces: Vec<Workspace>,
    /// Language of its mails and pages, if it names one.
    pub locale: Option<String>,
}

/// `[branding]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branding {
    /// Logo on one of the tenant's own domains.
    pub logo_url: Option<String>,
    /// Logo served by usher.
    pub logo_file: Option<PathBuf>,
    /// `#rrggbb`.
    pub primary_color: Option<String>,
    /// Where invitees ask for help.
    pub support_email: Option<String>,
    /// The same as a page.
    pub support_url: Option<String>,
}

/// `[links]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Where to sign in; `{return_to}` stands for the landing page.
    pub sign_in_url: Option<String>,
    /// Where to go after accepting.
    pub after_accept_url: Option<String>,
}

/// `[cors]` of a tenant: from which pages browsers may call the API. Nobody's by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins of those pages, spelled as browsers send them.
    pub origins: Vec<String>,
    /// Pages of any origin; nothing is listed then, and credentials are never allowed.
    pub any: bool,
    /// Whether browsers may send cookies along, which usher itself never reads.
    pub credentials: bool,
}

/// `[invites]`, resolved for one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invites {
    /// Default life.
    pub ttl: Duration,
    /// Shortest life.
    pub min_ttl: Duration,
    /// Longest life.
    pub max_ttl: Duration,
    /// Time between two mails of one invite.
    pub resend_cooldown: Duration,
    /// When an unverified address may pass.
    pub require_verified_email: VerifiedEmail,
    /// Members at most, owners included.
    pub seats: Option<i64>,
    /// What roles may do beyond the defaults.
    pub permissions: Permissions,
    /// Only these mail domains may be invited; empty means all.
    pub allowed_domains: Vec<String>,
    /// These may not.
    pub blocked_domains: Vec<String>,
    /// Whether throw-away domains are refused: those of the compiled-in list, and the next.
    pub block_disposable: bool,
    /// Throw-away domains that the list does not know.
    pub disposable_extra: Vec<String>,
    /// Domains that are none, whatever the list says.
    pub disposable_except: Vec<String>,
}

/// `require_verified_email`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedEmail {
    /// An absent claim never passes.
    Always,
    /// An absent claim passes with a link.
    WithoutToken,
    /// An absent claim passes everywhere.
    Never,
}

/// One `[[workspaces]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its display name when first inserted.
    pub name: String,
    /// Its short name.
    pub slug: Option<String>,
}

/// Roles that a permission map may name; owners and admins hold every right anyway.
pub const MAPPABLE_ROLES: [Role; 3] = [Role::Owner, Role::Admin, Role::Member];

impl Settings {
    /// Every issuer, the server's first.
    pub fn all_issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter().chain(self.tenants.iter().flat_map(|tenant| &tenant.issuers))
    }

    /// Whether a user id is of an issuer that speaks for another tenant alone. Such a person can be noted here as a
    /// member, as any id can, and is nobody here: what that tenant's issuer said of them is not this one's to see.
    #[must_use]
    pub fn is_foreign(&self, user: &UserId, tenant: TenantId) -> bool {
        let others = self.tenants.iter().filter(|other| other.id != tenant);
        others.flat_map(|other| &other.issuers).any(|issuer| user.0.starts_with(&issuer.subject_prefix))
    }
}

impl Settings {
    /// The ways mails leave: those of the tenants, or the server's if there is none.
    pub fn transports(&self) -> impl Iterator<Item = &Transport> {
        let servers = self.tenants.is_empty().then_some(&self.mail.transport);
        self.tenants.iter().map(|tenant| &tenant.mail.transport).chain(servers)
    }
}

/// Whether an address to listen on can be reached from other machines.
#[must_use]
pub fn listens_beyond_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    !super::relay::is_loopback(host.trim_start_matches('[').trim_end_matches(']'))
}
