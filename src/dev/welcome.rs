//! What a dev server says when it serves: where things are, and lines to paste that invite somebody, read the
//! mail and accept. They are plain curl and sed, and work in this order.

use std::{fmt::Write, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use crate::{
    app::StartError,
    config::settings::{Issuer, IssuerKeys, Settings, Tenant},
    identity::bearer::mint_hs256,
};

/// How long the printed tokens live.
const TOKEN_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// Whom the printed line invites.
const INVITEE: &str = "alice@example.com";

/// The whole text.
///
/// # Errors
/// [`StartError::Other`] if a token cannot be minted.
pub(super) fn text(settings: &Settings, addr: SocketAddr, data_dir: &Path) -> Result<String, StartError> {
    let port = addr.port();
    let platform = settings.server.platform_hosts.iter().map(|host| host.as_str());
    let host = platform.clone().find(|host| *host == "localhost").or_else(|| platform.clone().next());
    let origin = format!("http://{}:{port}", host.unwrap_or("localhost"));
    let mut out = String::new();
    let _ = write!(
        out,
        "usher dev serves on {origin}\n\n  \
         mailbox   {origin}/dev/mailbox\n  \
         API       {origin}/docs\n  \
         data      {} (delete it to begin anew)\n",
        data_dir.display()
    );
    for tenant in &settings.tenants {
        let at = home(tenant, port).unwrap_or_else(|| origin.clone());
        let owner = tenant.owners.first().map_or("nobody", |owner| owner.as_str());
        let _ = writeln!(out, "  {:<9} {at}  owner {owner}", tenant.slug);
    }
    if let Some(demo) = Demo::of(settings, port, &origin) {
        demo.write(&mut out, &origin)?;
    }
    let _ = write!(
        out,
        "\n# let a week pass\n\
         curl -s {origin}/dev/clock/advance -H 'Content-Type: application/json' -d '{{\"seconds\":604800}}'\n\n\
         Stop with Ctrl-C.\n"
    );
    Ok(out)
}

fn home(tenant: &Tenant, port: u16) -> Option<String> {
    tenant.domains.first().map(|host| format!("http://{host}:{port}"))
}

/// What the lines to paste are about.
struct Demo<'a> {
    issuer: &'a Issuer,
    tenant: &'a Arc<Tenant>,
    at: String,
}

impl<'a> Demo<'a> {
    /// The first tenant with an owner, if somebody here can sign tokens for it.
    fn of(settings: &'a Settings, port: u16, origin: &str) -> Option<Self> {
        let signs = |issuer: &&Issuer| matches!(issuer.keys, IssuerKeys::Hs256(_));
        let tenant = settings.tenants.iter().find(|tenant| !tenant.owners.is_empty())?;
        let issuer = settings.issuers.iter().chain(&tenant.issuers).find(signs)?;
        // only names below `localhost` lead here from everywhere
        let local = tenant.domains.first().is_some_and(|host| host.as_str().ends_with(".localhost"));
        let at = home(tenant, port).filter(|_| local).unwrap_or_else(|| origin.to_owned());
        Some(Self { issuer, tenant, at })
    }

    fn token(&self, subject: &str, email: &str) -> Result<String, StartError> {
        mint_hs256(self.issuer, subject, Some(email), Some(true), TOKEN_LIFE)
            .map_err(|error| StartError::Other(error.to_string()))
    }

    fn write(&self, out: &mut String, origin: &str) -> Result<(), StartError> {
        let (tenant, at) = (self.tenant, &self.at);
        let owner = tenant.owners.first().map_or("", |owner| owner.as_str());
        let owners = self.token(&format!("{}-owner", tenant.slug), owner)?;
        let invitees = self.token("alice", INVITEE)?;
        let (place, create, links) = match tenant.workspaces.first() {
            Some(workspace) => (
                format!("the workspace {}", workspace.name),
                format!("workspaces/{}/invites", workspace.id),
                "workspace-invites",
            ),
            None => (tenant.name.clone(), format!("tenants/{}/invites", tenant.id), "invites"),
        };
        let _ = write!(
            out,
            r#"
# invite {INVITEE} into {place}, as {owner}
curl -s {at}/api/v1/{create} -H 'Authorization: Bearer {owners}' -H 'Content-Type: application/json' -d '{{"email":"{INVITEE}","role":"member"}}'

# read the mail, or open {origin}/dev/mailbox and follow its link
curl -s -H 'Accept: application/json' {origin}/dev/mailbox

# accept as {INVITEE}, with the token from the newest mail
TOKEN=$(curl -s -H 'Accept: application/json' {origin}/dev/mailbox | sed -n 's/.*"link":"[^"]*\/\([^"\/]*\)".*/\1/p')
curl -s -X POST "{at}/api/v1/{links}/$TOKEN/accept" -H 'Authorization: Bearer {invitees}'
"#
        );
        Ok(())
    }
}
