//! The sections that a tenant's file may override: mail, invites, limits, retention, branding, links. They are read from
//! the server's section with the tenant's laid over it, so the same rules hold for both.

use std::path::PathBuf;

use crate::{
    config::{
        reader::Section,
        relay::relay,
        secrets::{Confidential, file_path, text_of_file, text_or_file},
        settings::{Branding, Invites, Limits, Links, Mail, Retention, Transport, VerifiedEmail},
        tree::Origin,
        values,
    },
    domain::{Host, Permission, Permissions, nearest::did_you_mean},
};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Smtp,
    File,
    Memory,
}

/// `[mail]`.
pub(super) fn mail(section: Section<'_>) -> Option<Mail> {
    let cx = section.cx;
    let kind = section.need("transport", |text| {
        values::one_of(text, &[("file", Kind::File), ("smtp", Kind::Smtp), ("memory", Kind::Memory)])
    });
    let dir = section.need("dir", file_path);
    let ca_file = ca_file(&section);
    let url = text_or_file(&section, "url", "url_file");
    let relay = url.and_then(|(url, spot)| relay(&url, ca_file).map_err(|what| spot.problem(cx, what)).ok());
    let from = section.need("from", values::mailbox);
    let reply_to = section.maybe("reply_to", values::mailbox);
    let concurrency = section.integer("concurrency", 1..=256);
    let timeout = section.need("timeout", values::duration);
    let transport = match kind {
        Some(Kind::File) => dir.map(Transport::File),
        Some(Kind::Memory) => Some(Transport::Memory),
        Some(Kind::Smtp) => {
            if section.node("url").is_none() && section.node("url_file").is_none() {
                section.problem(
                    "url",
                    "is missing: transport `smtp` needs a relay like smtp://mail.example.com:587",
                );
            }
            if section.spot("from").origin == Origin::Default {
                section.problem("from", "is missing: transport `smtp` needs a sender of your own");
            }
            relay.map(Transport::Smtp)
        }
        None => None,
    };
    section.finish();
    Some(Mail {
        transport: transport?,
        from: from?,
        reply_to,
        concurrency: usize::try_from(concurrency?).ok()?,
        timeout: timeout?,
    })
}

fn ca_file(section: &Section<'_>) -> Option<PathBuf> {
    let (pem, spot) = text_of_file(section, "ca_file", Confidential::No)?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        spot.problem(section.cx, "is no PEM certificate");
    }
    section.maybe("ca_file", file_path)
}

/// `[invites]`.
pub(super) fn invites(section: Section<'_>) -> Option<Invites> {
    let [ttl, min_ttl, max_ttl] =
        ["ttl", "min_ttl", "max_ttl"].map(|key| section.need(key, values::duration));
    let resend_cooldown = section.need("resend_cooldown", values::duration_or_none);
    if let (Some(ttl), Some(min), Some(max)) = (ttl, min_ttl, max_ttl) {
        if min > max {
            section.problem("min_ttl", "must not be longer than `max_ttl`");
        } else if ttl < min || ttl > max {
            section.problem("ttl", "must lie between `min_ttl` and `max_ttl`");
        }
    }
    let require_verified_email = section.need("require_verified_email", |text| {
        values::one_of(
            text,
            &[
                ("always", VerifiedEmail::Always),
                ("without_token", VerifiedEmail::WithoutToken),
                ("never", VerifiedEmail::Never),
            ],
        )
    });
    let seats = section.integer("seats", 1..=i64::from(i32::MAX));
    let permissions = permissions(section.section("permissions"));
    let [allowed_domains, blocked_domains, disposable_extra, disposable_except] =
        ["allowed_domains", "blocked_domains", "disposable_extra", "disposable_except"].map(|key| {
            section.list(key, values::mail_domain).into_iter().map(|(domain, _)| domain).collect()
        });
    let block_disposable =
        section.need("disposable", |text| values::one_of(text, &[("allow", false), ("block", true)]));
    section.finish();
    Some(Invites {
        ttl: ttl?,
        min_ttl: min_ttl?,
        max_ttl: max_ttl?,
        resend_cooldown: resend_cooldown?,
        require_verified_email: require_verified_email?,
        seats,
        permissions,
        allowed_domains,
        blocked_domains,
        block_disposable: block_disposable?,
        disposable_extra,
        disposable_except,
    })
}

/// Rights of tenant roles. A right never lifts the ceiling: its holder still grants no role above their own.
fn permissions(section: Section<'_>) -> Permissions {
    const RIGHTS: [(&str, Permission); 3] = [
        ("invites:create", Permission::Create),
        ("invites:read", Permission::Read),
        ("invites:revoke", Permission::Revoke),
    ];
    let mut granted = Vec::new();
    for (name, role) in
        [("owner", entity::Role::Owner), ("admin", entity::Role::Admin), ("member", entity::Role::Member)]
    {
        let rights = section.list(name, |text| {
            RIGHTS.iter().find(|(right, _)| *right == text).map(|(_, right)| *right).ok_or_else(|| {
                let names = RIGHTS.map(|(right, _)| right);
                format!("must be one of {}{}", names.join(", "), did_you_mean(text, names.into_iter()))
            })
        });
        granted.extend(rights.into_iter().map(|(right, _)| (role, right)));
    }
    section.finish();
    Permissions { granted }
}

/// `[limits]`.
pub(super) fn limits(section: Section<'_>) -> Option<Limits> {
    let [inviter, recipient, api_key, tenant, ip] = [
        "invites_per_inviter",
        "invites_per_recipient",
        "invites_per_api_key",
        "invites_per_tenant",
        "requests_per_ip",
    ]
    .map(|key| section.need(key, values::rate));
    section.finish();
    Some(Limits {
        invites_per_inviter: inviter?,
        invites_per_recipient: recipient?,
        invites_per_api_key: api_key?,
        invites_per_tenant: tenant?,
        requests_per_ip: ip?,
    })
}

/// `[retention]`.
pub(super) fn retention(section: Section<'_>) -> Option<Retention> {
    let [invites, mails, failed_mails] =
        ["invites", "mails", "failed_mails"].map(|key| section.need(key, values::duration_or_forever));
    let answers = section.need("answers", values::duration);
    section.finish();
    Some(Retention { invites: invites?, mails: mails?, failed_mails: failed_mails?, answers: answers? })
}

/// `[branding]`; a logo's URL has to lie on one of the tenant's own domains.
pub(super) fn branding(section: Section<'_>, domains: Option<&[Host]>) -> Branding {
    let logo_url = section.maybe("logo_url", |text| {
        let url = values::web_url(text)?;
        let host = url.host_str().and_then(Host::name);
        let own = host.is_some_and(|host| domains.is_some_and(|domains| domains.contains(&host)));
        own.then(|| text.to_owned())
            .ok_or_else(|| "must lie on one of the tenant's own domains; or use `logo_file`".to_owned())
    });
    let logo_file = section.maybe("logo_file", |text| {
        let path = file_path(text)?;
        section.cx.reads(&path);
        let image = path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
            ["svg", "png", "jpg", "jpeg", "gif", "webp"].contains(&extension.to_ascii_lowercase().as_str())
        });
        if !image {
            return Err("must be an svg, png, jpg, gif or webp file".to_owned());
        }
        std::fs::File::open(&path)
            .map_err(|error| format!("cannot read {}: {}", path.display(), error.kind()))?;
        Ok(path)
    });
    let primary_color = section.maybe("primary_color", values::color);
    let support_email = section.maybe("support_email", values::address);
    let support_url = section.maybe("support_url", values::web_page);
    section.finish();
    Branding {
        logo_url,
        logo_file,
        primary_color,
        support_email: support_email.map(|address| address.as_str().to_owned()),
        support_url,
    }
}

/// `[links]`.
pub(super) fn links(section: Section<'_>) -> Links {
    let sign_in_url = section.maybe("sign_in_url", values::web_page);
    let after_accept_url = section.maybe("after_accept_url", values::web_page);
    section.finish();
    Links { sign_in_url, after_accept_url }
}
