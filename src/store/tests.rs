//! The statements that decide, asked by themselves: each guard in their WHERE is the only thing that a test
//! here changes, because the code above looks at some of the same facts before or after.

use entity::{InviteStatus, Millis, Role, TenantId, UserId, WorkspaceId, invite, workspace};

use super::{
    Store,
    events::{self, NewEvent, Told},
    examples::pending_invite,
    invites::{self, Acceptance},
    members::{self, Origin},
    migrate, tenants,
    users::Sighting,
};
use crate::{
    config::settings,
    domain::{Clock, Scope},
};

/// A new database: a SQLite file, or one in the PostgreSQL that `USHER_TEST_POSTGRES` names.
async fn store(tenants_of: &[TenantId]) -> Store {
    use sea_orm::ConnectionTrait;

    let name = format!("store_{}", uuid::Uuid::now_v7().simple());
    let url = match std::env::var("USHER_TEST_POSTGRES") {
        Err(_) => format!("sqlite://{}/usher.db", std::env::temp_dir().join(&name).display()),
        Ok(server) => {
            let admin = sea_orm::Database::connect(format!("{server}/postgres")).await.unwrap();
            admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
            admin.close().await.unwrap();
            format!("{server}/{name}")
        }
    };
    let database = settings::Database { url: url.into(), max_connections: 2 };
    migrate::up(&database).await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let store = Store::connect(&database, runtime, Clock::default()).await.unwrap();
    // SQLite's files stay open as long as they are needed
    let _ = std::fs::remove_dir_all(std::env::temp_dir().join(&name));
    let tx = store.system_write().await.unwrap();
    for id in tenants_of {
        tenants::sync(tx.conn(), *id, &id.to_string(), "A tenant", store.clock().now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    store
}

#[tokio::test]
async fn an_acceptance_or_refusal_of_an_invite_changes_nothing_unless_every_guard_holds() {
    let (here, elsewhere) = (TenantId(uuid::Uuid::now_v7()), TenantId(uuid::Uuid::now_v7()));
    let store = store(&[here, elsewhere]).await;
    let now = store.clock().now();
    let user = UserId("alice".into());
    type Change = fn(&mut invite::Model, Millis);
    let unchanged: Change = |_, _| {};
    type Case = (&'static str, TenantId, Option<i32>, &'static str, Change, bool);
    let cases: [Case; 8] = [
        ("everything holds", here, Some(2), "alice@example.com", unchanged, true),
        ("answered by id", here, None, "alice@example.com", unchanged, true),
        ("of another tenant", elsewhere, Some(2), "alice@example.com", unchanged, false),
        ("an older link", here, Some(1), "alice@example.com", unchanged, false),
        ("a later link", here, Some(3), "alice@example.com", unchanged, false),
        ("another address", here, Some(2), "bob@example.com", unchanged, false),
        ("past its end", here, Some(2), "alice@example.com", |row, now| row.expires_at = now, false),
        ("revoked", here, Some(2), "alice@example.com", revoke, false),
    ];
    for (case, tenant, version, email_norm, change, holds) in cases {
        for accepting in [true, false] {
            let tx = store.tenant_write(here).await.unwrap();
            let mut row = invite::Model { version: 2, ..pending_invite(here, "alice@example.com", now) };
            change(&mut row, now);
            invites::insert(tx.conn(), vec![row.clone()]).await.unwrap();
            let who = Acceptance { id: row.id, version, email_norm, user: &user };
            let answer = if accepting {
                invites::accept(&tx, tenant, who).await
            } else {
                invites::decline(&tx, tenant, who, None).await
            };
            // a CHECK that stops what a guard let through is not the guard
            let answer = answer.unwrap_or_else(|error| panic!("{case}, accepting {accepting}: {error}"));
            assert_eq!(answer.is_some(), holds, "{case}, accepting {accepting}");
            tx.rollback().await;
        }
    }
}

fn revoke(row: &mut invite::Model, now: Millis) {
    row.status = InviteStatus::Revoked;
    row.revoked_at = Some(now);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_cut_short_leaves_a_writer_that_works() {
    let tenant = TenantId(uuid::Uuid::now_v7());
    let folder = std::env::temp_dir().join(format!("cut_{}", uuid::Uuid::now_v7().simple()));
    let url = format!("sqlite://{}/usher.db", folder.display()).into();
    let database = settings::Database { url, max_connections: 2 };
    migrate::up(&database).await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let store = Store::connect(&database, runtime, Clock::default()).await.unwrap();
    let tx = store.system_write().await.unwrap();
    tenants::sync(tx.conn(), tenant, "a", "A tenant", store.clock().now()).await.unwrap();
    tx.commit().await.unwrap();

    let tx = store.tenant_write(tenant).await.unwrap();
    tx.arm_statement_limit();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000000) \
                   UPDATE tenants SET seats_used = (SELECT count(*) FROM n)";
    let cut = sea_orm::ConnectionTrait::execute_unprepared(tx.conn(), endless).await;
    assert!(cut.is_err(), "the statement limit cuts it");
    let after = super::tenants::count_seats(tx.conn(), tenant, 1).await;
    assert!(after.is_err(), "nothing is written beside a transaction that SQLite has ended");
    tx.rollback().await;
    for _ in 0..3 {
        let tx = store.tenant_write(tenant).await.expect("the next write begins");
        super::tenants::count_seats(tx.conn(), tenant, 1).await.expect("and writes");
        tx.commit().await.expect("and commits");
    }
    let seats = store.read(async move |db| super::tenants::seats_used(&db, tenant).await).await.unwrap();
    assert_eq!(seats, 3, "nothing of what was cut is left");
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_in_the_file_is_told_once_and_what_is_changed_here_never() {
    use sea_orm::ConnectionTrait;

    let folder = std::env::temp_dir().join(format!("told_{}", uuid::Uuid::now_v7().simple()));
    let url = format!("sqlite://{}/usher.db", folder.display()).into();
    let database = settings::Database { url, max_connections: 2 };
    migrate::up(&database).await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let store = Store::connect(&database, runtime, Clock::default()).await.unwrap();
    let others = super::look_into(&database).await.unwrap();
    store.changed_elsewhere().await.unwrap();
    for round in 0..3 {
        let tx = store.system_write().await.unwrap();
        let (id, slug) = (TenantId(uuid::Uuid::now_v7()), format!("t{round}"));
        tenants::sync(tx.conn(), id, &slug, "A tenant", store.clock().now()).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!store.changed_elsewhere().await.unwrap(), "its own change");
        others.execute_unprepared("UPDATE tenants SET seats_used = seats_used + 1").await.unwrap();
        assert!(store.changed_elsewhere().await.unwrap(), "another's");
        assert!(!store.changed_elsewhere().await.unwrap(), "told already");
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_more_parts_than_a_statement_takes_is_found() {
    use super::invites::listing::{Filter, Listing, Part, SortBy, list};

    let mine = TenantId(uuid::Uuid::now_v7());
    let store = store(&[mine]).await;
    let now = store.clock().now();
    let row = invite::Model {
        inviter: Some(UserId("u-1".into())),
        ..pending_invite(mine, "alice@example.com", now)
    };
    let tx = store.tenant_write(mine).await.unwrap();
    super::invites::insert(tx.conn(), vec![row.clone()]).await.unwrap();
    let elsewhere = (0..150).map(|_| TenantId(uuid::Uuid::now_v7()));
    let parts: Vec<_> = std::iter::once(mine)
        .chain(elsewhere)
        .map(|tenant| Part::SentBy(tenant, UserId("u-1".into()), None))
        .collect();
    let listing = Listing {
        parts,
        filter: Filter::default(),
        sort: SortBy::Created,
        descending: false,
        after: None,
        skip: 0,
        limit: 1,
        now,
    };
    let (rows, total) = list(tx.conn(), &listing).await.unwrap();
    assert_eq!((rows.len(), rows[0].id, total), (1, row.id, 1));
}

#[tokio::test]
async fn an_address_is_looked_up_and_no_tenants_rows_are_walked_for_it() {
    use sea_orm::{ConnectionTrait, DbBackend, QueryTrait};

    use crate::domain::Scope;

    let tenant = TenantId(uuid::Uuid::now_v7());
    let store = store(&[tenant]).await;
    let workspace = Scope::Workspace(entity::WorkspaceId(uuid::Uuid::now_v7()));
    let tx = store.tenant_write(tenant).await.unwrap();
    let backend = tx.conn().get_database_backend();
    let email = "alice@example.com";
    let statements = [
        (
            "the pending invite of a tenant",
            invites::finding_pending_for(tenant, Scope::Org, email).build(backend),
        ),
        (
            "the pending invite of a workspace",
            invites::finding_pending_for(tenant, workspace, email).build(backend),
        ),
        ("the inbox", invites::finding_inbox(email, &[tenant, tenant], store.clock().now()).build(backend)),
        ("the members who hold it", super::members::finding_with_email(tenant, email).build(backend)),
    ];
    let explain = if backend == DbBackend::Sqlite { "EXPLAIN QUERY PLAN" } else { "EXPLAIN" };
    if backend == DbBackend::Postgres {
        // an empty table is read whole, whatever indexes it has
        tx.conn().execute_unprepared("SET LOCAL enable_seqscan = off").await.unwrap();
    }
    for (what, mut statement) in statements {
        statement.sql = format!("{explain} {}", statement.sql);
        let rows = tx.conn().query_all_raw(statement).await.unwrap();
        let column = if backend == DbBackend::Sqlite { "detail" } else { "QUERY PLAN" };
        let plan: String = rows.iter().map(|row| row.try_get::<String>("", column).unwrap() + "\n").collect();
        let (steps, conditions): (Vec<&str>, &str) = match backend {
            DbBackend::Sqlite => {
                (plan.lines().filter(|step| step.starts_with("SEARCH")).collect(), "email_norm=?")
            }
            _ => (plan.lines().filter(|step| step.contains("Index Cond")).collect(), "email_norm"),
        };
        assert!(steps.iter().any(|step| step.contains(conditions)), "{what}: {plan}");
        assert!(
            !plan.contains("SCAN invites") && !plan.contains("tenant_members_1 (tenant_id=?)"),
            "{what}: {plan}"
        );
    }
    tx.rollback().await;
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_confirmed() {
    use sea_orm::{ConnectionTrait, Statement};

    let store = store(&[]).await;
    let tx = store.system_write().await.unwrap();
    let backend = tx.conn().get_database_backend();
    let settings = match backend {
        sea_orm::DbBackend::Sqlite => [("PRAGMA synchronous", "2"), ("PRAGMA journal_mode", "wal")],
        _ => [("SHOW synchronous_commit", "on"), ("SHOW statement_timeout", "1500ms")],
    };
    for (asked, wanted) in settings {
        let row = tx.conn().query_one_raw(Statement::from_string(backend, asked)).await.unwrap().unwrap();
        let told = row
            .try_get_by_index::<String>(0)
            .or_else(|_| row.try_get_by_index::<i64>(0).map(|number| number.to_string()));
        assert_eq!(told.unwrap(), wanted, "{asked}");
    }
    assert!(tx.rollback().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_looked_up_is_read_at_once_and_where_no_connection_is_free_by_another_thread() {
    let folder = std::env::temp_dir().join(format!("store-{}", uuid::Uuid::now_v7()));
    let url = format!("sqlite://{}/usher.db", folder.display());
    let database = settings::Database { url: url.into(), max_connections: 2 };
    migrate::up(&database).await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let store = Store::connect(&database, runtime.clone(), Clock::default()).await.unwrap();
    let asking = move || {
        let again = store.clone();
        // the one connection that has been opened is taken while another is asked for
        let looking = store.look_up(async move |_| {
            let (here, within) = (again.clone(), async |_| Ok(std::thread::current().id()));
            Ok((std::thread::current().id(), here.look_up(within).await.unwrap()))
        });
        (std::thread::current().id(), runtime.block_on(looking).unwrap())
    };
    let (asked, (at_once, by_another)) = tokio::task::spawn_blocking(asking).await.unwrap();
    assert_eq!(asked, at_once);
    assert_ne!(asked, by_another);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn events_of_several_tenants_are_numbered_each_by_itself_and_whoever_joined_is_counted() {
    let tenants: [_; 3] = std::array::from_fn(|_| TenantId(uuid::Uuid::now_v7()));
    let store = store(&tenants).await;
    let event =
        |kind| NewEvent { kind, invite_id: None, workspace_id: None, actor: "u-1".into(), data: None };
    let told = |tenant, kinds: &[&'static str], joined| Told {
        tenant,
        at: Millis(1),
        events: kinds.iter().map(|kind| event(kind)).collect(),
        joined,
    };
    let [one, two, three] = tenants;
    for batch in [
        vec![told(one, &["a"], 1)],
        vec![told(one, &["b", "c"], 2), told(two, &["d"], 0), told(three, &[], 5)],
        vec![told(two, &["e", "f"], 1), told(one, &["g"], 0), told(three, &["h"], 0)],
    ] {
        let tx = store.tenants_write(&tenants).await.unwrap();
        events::append(tx.conn(), batch).await.unwrap();
        tx.commit().await.unwrap();
    }
    for (tenant, kinds, seats) in [(one, "abcg", 3), (two, "def", 1), (three, "h", 0)] {
        let tx = store.tenant_write(tenant).await.unwrap();
        let rows = events::after(tx.conn(), tenant, 0, 10).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.kind.as_str()).collect::<String>(), kinds);
        assert!(rows.iter().zip(1..).all(|(row, seq)| row.seq == seq), "{rows:?}");
        assert_eq!(tenants::seats_used(tx.conn(), tenant).await.unwrap(), seats);
        tx.rollback().await;
    }
    let nobody = TenantId(uuid::Uuid::now_v7());
    let tx = store.tenants_write(&tenants).await.unwrap();
    assert!(events::append(tx.conn(), vec![told(nobody, &["x"], 0)]).await.is_err());
}

#[tokio::test]
async fn what_is_asked_for_many_is_told_of_each_in_its_own_tenant_and_scope() {
    let (here, elsewhere) = (TenantId(uuid::Uuid::now_v7()), TenantId(uuid::Uuid::now_v7()));
    let store = store(&[here, elsewhere]).await;
    let now = store.clock().now();
    let (mine, theirs) = (WorkspaceId::new(), WorkspaceId::new());
    let (one, two) = (UserId("u-1".into()), UserId("u-2".into()));
    let tx = store.tenants_write(&[here, elsewhere]).await.unwrap();
    let conn = tx.conn();
    for (tenant, id) in [(here, mine), (elsewhere, theirs)] {
        let row = workspace::Model {
            id,
            tenant_id: tenant,
            name: "A workspace".into(),
            slug: None,
            description: None,
            metadata: None,
            external_workspace_id: None,
            external_user_id: None,
            configured: false,
            created_by: None,
            inserted_at: now,
            updated_at: now,
        };
        super::workspaces::insert(conn, row).await.unwrap();
    }
    let since = Origin { added_by: None, invite: None, at: now };
    for user in [&one, &two] {
        let (issuer, subject) = ("https://auth.example.test".into(), user.0.clone());
        let seen = Sighting { id: user.clone(), issuer, subject, email: None, name: None };
        super::users::upsert(conn, vec![seen], now).await.unwrap();
    }
    let belongs = [(here, one.clone()), (elsewhere, two.clone()), (elsewhere, one.clone())];
    let tenants = belongs.iter().map(|(tenant, user)| since.in_tenant(*tenant, user, Role::Admin)).collect();
    members::join(conn, tenants, vec![since.in_workspace(here, mine, &one, Role::Viewer)]).await.unwrap();
    let (into_org, into_mine) = ("org@example.com", "mine@example.com");
    let row = invite::Model { workspace_id: Some(mine), ..pending_invite(here, into_mine, now) };
    invites::insert(conn, vec![pending_invite(here, into_org, now), row]).await.unwrap();

    // more than one run of statements, the last of them filled up
    let asked: Vec<_> = [(here, &one), (here, &two), (elsewhere, &one), (elsewhere, &two)]
        .into_iter()
        .flat_map(|(tenant, user)| [None, Some(mine), Some(theirs)].map(|id| (tenant, user.clone(), id)))
        .cycle()
        .take(12 * 6 - 1)
        .collect();
    let told = members::standings(conn, &asked).await.unwrap();
    assert_eq!(told.len(), asked.len());
    for ((tenant, user, workspace), (standing, there)) in asked.iter().zip(told) {
        assert_eq!(standing, members::standing(conn, *tenant, user, *workspace).await.unwrap());
        let viewer = (*tenant, user, *workspace) == (here, &one, Some(mine));
        assert_eq!(standing.workspace, viewer.then_some(Role::Viewer), "{tenant} {user:?} {workspace:?}");
        let is_there = [(here, Some(mine)), (elsewhere, Some(theirs))].contains(&(*tenant, *workspace));
        assert_eq!(there, is_there, "{tenant} {workspace:?}");
    }
    let people: Vec<_> = asked.iter().map(|(tenant, user, _)| (*tenant, user.clone())).collect();
    let members = members::among(conn, &people).await.unwrap();
    for (place, person) in people.iter().enumerate() {
        assert_eq!(members.contains(&place), belongs.contains(person));
    }
    let addresses: Vec<_> = [here, elsewhere]
        .into_iter()
        .flat_map(|tenant| {
            [Scope::Org, Scope::Workspace(mine), Scope::Workspace(theirs)].map(|of| (tenant, of))
        })
        .flat_map(|(tenant, of)| [into_org, into_mine].map(|norm| (tenant, of, norm.to_owned())))
        .cycle()
        .take(12 * 12 - 1)
        .collect();
    let pending = invites::pending_among(conn, &addresses).await.unwrap();
    for (place, address) in addresses.iter().enumerate() {
        let is = [(here, Scope::Org, into_org), (here, Scope::Workspace(mine), into_mine)];
        let (tenant, scope, norm) = address;
        assert_eq!(pending.contains(&place), is.contains(&(*tenant, *scope, norm.as_str())), "{address:?}");
    }
}
