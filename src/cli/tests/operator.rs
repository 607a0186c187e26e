//! The operator's hand on a real database: invites without an inviter, their history, and whom a key acts as.

use std::{path::PathBuf, sync::Arc};

use entity::{AddressState, InviteStatus, Millis, Role, TenantId, UserId};

use crate::cli::context::{self, Context};
use crate::{
    actors::Lanes,
    config::{Documents, Loaded, Source, compose, settings},
    domain::{Clock, EmailAddress, Refusal, Scope},
    identity::Authority,
    identity::OPERATOR_ISSUER,
    invites::{
        create::{self, Created, NewInvite},
        history, resend, revoke,
        rules::Life,
    },
    keys::create::{Holder, NewKey, create as create_key},
    store::{Store, migrate, users, users::Sighting},
    tenancy::Registry,
};

const SERVER: &str = r#"
[[tokens.keys]]
id = "k1"
secret = "c29tZSAzMiBieXRlcyB0aGF0IGFyZSBzZWNyZXQhISE="
[[auth.issuers]]
issuer = "https://auth.test"
audience = "usher"
hs256_secret = "a-secret-of-the-server-that-is-long-enough"
"#;

fn tenant(slug: &str, id: &str) -> (String, String) {
    let text = format!(
        "id = \"{id}\"\nslug = \"{slug}\"\nname = \"{slug}\"\ndomains = [\"{slug}.test\"]\n\
         [[auth.issuers]]\nissuer = \"https://{slug}.login.test\"\naudience = \"usher\"\n\
         hs256_secret = \"a-secret-of-{slug}-that-is-also-long-enough\"\n"
    );
    (format!("{slug}.toml"), text)
}

fn loaded(folder: &std::path::Path) -> Loaded {
    let tenants = vec![
        tenant("acme", "01900000-0000-7000-8000-00000000acde"),
        tenant("clinic", "01900000-0000-7000-8000-00000000c11c"),
    ];
    let documents = Documents { server: ("usher.toml".into(), SERVER.into()), tenants };
    let source = Source { data_dir: Some(folder.to_owned()), ..Source::default() };
    compose(&source, &documents).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn with_context(test: impl AsyncFnOnce(&Context)) {
    let folder = Folder(std::env::temp_dir().join(format!("usher-cli-{}", uuid::Uuid::now_v7())));
    context::block_on(async |runtime| {
        let loaded = loaded(&folder.0);
        let settings = loaded.settings.clone();
        migrate::up(&settings.database).await?;
        let store = Store::connect_for_maintenance(&settings.database, runtime, Clock::default()).await?;
        let lane = settings::Lane { actors: false, ..settings.lane };
        let arbiter = actix_web::rt::System::current().arbiter().clone();
        let lanes = Lanes::new(store.clone(), lane, 4, arbiter);
        let cx = Context { loaded, registry: Arc::new(Registry::new(settings)), store, lanes };
        test(&cx).await;
        cx.store.close().await;
        Ok(())
    })
    .unwrap();
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn invite_of(email: &str, role: Role) -> NewInvite {
    NewInvite {
        scope: Scope::Org,
        email: address(email),
        role,
        life: Life::default(),
        send_email: true,
        locale: None,
        message: None,
    }
}

async fn invited(cx: &Context, email: &str, role: Role) -> (entity::invite::Model, String) {
    let tenant = cx.tenant_with_rows("acme").await.unwrap();
    let new = invite_of(email, role);
    match create::create(&cx.invites(), Authority::Operator(tenant), new).await.unwrap() {
        Created::Invited(row, link) => (*row, link),
        Created::Added(_) => panic!("added"),
    }
}

#[test]
fn the_operator_invites_an_owner_without_being_anybody_and_may_do_so_again() {
    with_context(async |cx| {
        let (first, link) = invited(cx, "alice@x.test", Role::Owner).await;
        assert_eq!((first.inviter.clone(), first.inviter_key), (None, None));
        let (again, same) = invited(cx, "Alice@X.test", Role::Admin).await;
        assert_eq!((again.id, again.role, same), (first.id, Role::Admin, link.clone()));

        let (row, tenant) = cx.invite(first.id).await.unwrap();
        assert_eq!(cx.invites().url(&tenant, &row).unwrap(), link, "the link is derived, not stored");
        assert!(link.starts_with("https://acme.test/invites/"), "{link}");
    });
}

#[test]
fn rotating_makes_another_link_and_revoking_is_told_in_the_history() {
    with_context(async |cx| {
        let (row, link) = invited(cx, "bob@x.test", Role::Member).await;
        let by = Authority::Operator(cx.tenant("acme").unwrap());
        let cooling = resend::resend(&cx.invites(), by.clone(), Scope::Org, row.id, false).await;
        assert!(matches!(cooling, Err(Refusal::RateLimited { .. })), "{cooling:?}");
        let (_, other) = resend::resend(&cx.invites(), by.clone(), Scope::Org, row.id, true).await.unwrap();
        assert_ne!(other, link);
        for _ in 0..2 {
            revoke::revoke(&cx.invites(), by.clone(), Scope::Org, row.id).await.unwrap();
        }
        let (row, _) = cx.invite(row.id).await.unwrap();
        let history = history::history(&cx.invites(), row).await.unwrap();
        let kinds: Vec<&str> = history.lines.iter().map(|line| line.kind.as_str()).collect();
        assert_eq!(kinds, ["invite.created", "invite.resent", "invite.revoked"]);
        assert!(history.lines.iter().all(|line| line.actor == "operator"));
        assert_eq!(history.status, InviteStatus::Revoked);
    });
}

#[test]
fn natural_expiry_is_the_computed_last_line_of_a_history() {
    with_context(async |cx| {
        let (row, _) = invited(cx, "carol@x.test", Role::Member).await;
        cx.store.clock().advance_millis(row.expires_at.0 - cx.store.clock().now().0);
        let (row, _) = cx.invite(row.id).await.unwrap();
        assert_eq!(row.status, InviteStatus::Pending, "nothing was written");
        let expires_at = row.expires_at;
        let history = history::history(&cx.invites(), row).await.unwrap();
        let last = history.lines.last().unwrap();
        assert_eq!(
            (last.kind.as_str(), last.at, history.status),
            ("invite.expired", expires_at, InviteStatus::Expired)
        );
    });
}

async fn seen(cx: &Context, id: &str, issuer: &str, email: &str, at: i64) {
    let sighting = Sighting {
        id: UserId(id.into()),
        issuer: issuer.into(),
        subject: id.into(),
        email: Some(address(email)),
        name: None,
    };
    let tx = cx.store.system_write().await.unwrap();
    assert!(users::upsert(tx.conn(), vec![sighting], Millis(at)).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}

async fn key_for(cx: &Context, email: &str, tenant: Option<&str>) -> entity::api_key::Model {
    let tenant = match tenant {
        Some(tenant) => Some(cx.tenant_with_rows(tenant).await.unwrap()),
        None => None,
    };
    let holder = Holder::Person(address(email), tenant);
    let new = NewKey { holder, name: "test".into(), scopes: vec![], expires_at: None };
    create_key(&cx.keys(), new).await.unwrap().0
}

fn acts_as(key: &entity::api_key::Model) -> &str {
    key.user_id.as_ref().map_or("nobody", |user| user.as_str())
}

#[test]
fn a_key_acts_as_the_longest_standing_user_whose_address_counts_where_it_is_for() {
    with_context(async |cx| {
        let acme: TenantId = "01900000-0000-7000-8000-00000000acde".parse().unwrap();
        seen(cx, "evil", "https://clinic.login.test", "boss@x.test", 1).await;
        seen(cx, "acme:boss", "https://acme.login.test", "boss@x.test", 2).await;
        seen(cx, "later", "https://auth.test", "boss@x.test", 4).await;
        seen(cx, "sooner", "https://auth.test", "boss@x.test", 3).await;

        let of_acme = key_for(cx, "boss@x.test", Some("acme")).await;
        assert_eq!((acts_as(&of_acme), of_acme.confined_to), ("acme:boss", Some(acme)));
        let personal = key_for(cx, "BOSS@x.test", None).await;
        assert_eq!((acts_as(&personal), personal.confined_to, personal.tenant_id), ("sooner", None, None));
        assert_eq!(personal.email_state, AddressState::Verified);
        assert_eq!(personal.issuer, None, "the operator vouches, no issuer");
    });
}

#[test]
fn an_address_that_nobody_has_shown_makes_one_user_for_all_its_keys() {
    with_context(async |cx| {
        let first = key_for(cx, "new@x.test", None).await;
        let second = key_for(cx, "New@X.test", Some("acme")).await;
        assert_eq!(acts_as(&first), acts_as(&second));
        let id = first.user_id.unwrap();
        let user = cx.store.read(async move |db| users::find(&db, &id).await).await.unwrap().unwrap();
        assert_eq!((user.issuer.as_str(), user.email_norm.as_deref()), (OPERATOR_ISSUER, Some("new@x.test")));
    });
}
