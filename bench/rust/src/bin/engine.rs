//! The bare engine: the rows of creates and accepts committed without anything around them, so many a
//! transaction, in a database that usher has migrated.
//!
//! A create is an invite and its mail owed (2 INSERTs); an accept is the invite (1 UPDATE) and both memberships
//! (2 INSERTs). SQLite by prepared statements of its C interface on one connection; PostgreSQL by prepared
//! statements of sqlx, one row a statement, on as many connections as are asked for. Prints one JSON object.

use std::time::{Duration, Instant};

use rusqlite::params;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use usher_bench::{Flags, fail};
use uuid::Uuid;

const USAGE: &str = "engine create|accept --database sqlite-file|postgres://… --batch N --connections N --count N --seconds S";

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let flags = Flags::after(1);
    let task = Task {
        accept: match what.as_str() {
            "create" => false,
            "accept" => true,
            _ => fail(USAGE),
        },
        batch: flags.number("batch"),
        count: flags.number("count"),
        limit: Duration::from_secs_f64(flags.number("seconds")),
    };
    let database = flags.text("database");
    let rate = if database.starts_with("postgres:") {
        postgres(database, &task, flags.number("connections"))
    } else {
        sqlite(database, &task)
    };
    println!("{}", json!({ "good_per_second": rate }));
}

struct Task {
    accept: bool,
    batch: usize,
    count: usize,
    limit: Duration,
}

const TENANT: &str =
    "INSERT INTO tenants (id, slug, name, inserted_at, updated_at) VALUES ($1, $2, 'Bench', 0, 0)";
const WORKSPACE: &str = "INSERT INTO workspaces (id, tenant_id, name, configured, inserted_at, updated_at) \
                         VALUES ($1, $2, 'Bench', FALSE, 0, 0)";
const INVITE: &str = "INSERT INTO invites (id, tenant_id, workspace_id, email, email_norm, role, status, version, salt, \
                      kid, inviter, delivery, mails, mailed_at, expires_at, inserted_at, updated_at) \
                      VALUES ($1, $2, $3, $4, $4, 'member', 'pending', 1, $5, 'k1', 'bench-owner', 'queued', 1, $6, $7, $6, $6)";
const MAIL: &str = "INSERT INTO outbox (id, tenant_id, invite_id, version, dedupe_key, state, attempts, next_at, inserted_at) \
                    VALUES ($1, $2, $3, 1, $4, 'queued', 0, $5, $5)";
const ACCEPT: &str = "UPDATE invites SET status = 'accepted', accepted_by = $3, accepted_at = $4, updated_at = $4 \
                      WHERE id = $1 AND tenant_id = $2 AND status = 'pending' AND expires_at > $4 AND version = 1 AND email_norm = $5";
const TENANT_MEMBER: &str = "INSERT INTO tenant_members (tenant_id, user_id, role, invite_id, inserted_at, updated_at) \
                             VALUES ($1, $2, 'member', $3, $4, $4)";
const WORKSPACE_MEMBER: &str = "INSERT INTO workspace_members (workspace_id, user_id, tenant_id, role, invite_id, inserted_at, updated_at) \
                                VALUES ($1, $2, $3, 'member', $4, $5, $5)";
/// Any time: the clock costs the same everywhere.
const AT: i64 = 1_800_000_000_000;
const END: i64 = AT + 604_800_000;

fn address(id: Uuid) -> String {
    format!("{}@example.test", id.simple())
}

fn salt() -> Vec<u8> {
    [Uuid::now_v7().into_bytes(), Uuid::now_v7().into_bytes()].concat()
}

/// So many a second, until the work is done or the time is up.
fn measure(task: &Task, mut commit: impl FnMut(usize)) -> f64 {
    let (begun, mut done) = (Instant::now(), 0);
    while done < task.count && begun.elapsed() < task.limit {
        let size = task.batch.min(task.count - done);
        commit(size);
        done += size;
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

// -- SQLite --------------------------------------------------------------------------------------------------------

fn sqlite(file: &str, task: &Task) -> f64 {
    let db = rusqlite::Connection::open(file).unwrap();
    // as usher opens it
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY",
    )
    .unwrap();
    let (tenant, workspace) = (Uuid::now_v7(), Uuid::now_v7());
    db.execute(TENANT, params![tenant.as_bytes(), tenant.to_string()]).unwrap();
    db.execute(WORKSPACE, params![workspace.as_bytes(), tenant.as_bytes()]).unwrap();
    // `$1` would be a name to SQLite, numbered by where it first stands
    let [invite, mail_owed, accept_it, tenant_member, workspace_member] =
        [INVITE, MAIL, ACCEPT, TENANT_MEMBER, WORKSPACE_MEMBER].map(|sql| sql.replace('$', "?"));
    let create = |id: Uuid| {
        let (email, mail) = (address(id), Uuid::now_v7());
        let row = params![id.as_bytes(), tenant.as_bytes(), workspace.as_bytes(), email, salt(), AT, END];
        db.prepare_cached(&invite).unwrap().execute(row).unwrap();
        let row = params![mail.as_bytes(), tenant.as_bytes(), id.as_bytes(), format!("{id}:1"), AT];
        db.prepare_cached(&mail_owed).unwrap().execute(row).unwrap();
    };
    let accept = |id: Uuid| {
        let (email, user) = (address(id), id.to_string());
        let row = params![id.as_bytes(), tenant.as_bytes(), user, AT, email];
        assert_eq!(db.prepare_cached(&accept_it).unwrap().execute(row).unwrap(), 1);
        let row = params![tenant.as_bytes(), user, id.as_bytes(), AT];
        db.prepare_cached(&tenant_member).unwrap().execute(row).unwrap();
        let row = params![workspace.as_bytes(), user, tenant.as_bytes(), id.as_bytes(), AT];
        db.prepare_cached(&workspace_member).unwrap().execute(row).unwrap();
    };
    let mut pending = Vec::new();
    if task.accept {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        pending.extend((0..task.count).map(|_| Uuid::now_v7()));
        pending.iter().copied().for_each(&create);
        db.execute_batch("COMMIT").unwrap();
    }
    measure(task, |size| {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..size {
            match pending.pop() {
                Some(id) => accept(id),
                None => create(Uuid::now_v7()),
            }
        }
        db.execute_batch("COMMIT").unwrap();
    })
}

// -- PostgreSQL ----------------------------------------------------------------------------------------------------

fn postgres(url: &str, task: &Task, connections: usize) -> f64 {
    // a tenant and a thread each, so that they share nothing but the engine
    std::thread::scope(|scope| {
        let share = |_| {
            let task = Task { count: task.count / connections, ..*task };
            scope.spawn(move || postgres_alone(url, &task))
        };
        let running: Vec<_> = (0..connections).map(share).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn postgres_alone(url: &str, task: &Task) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut db = runtime.block_on(PgConnection::connect(url)).unwrap();
    let (tenant, workspace) = (Uuid::now_v7(), Uuid::now_v7());
    let mut pending: Vec<Uuid> = Vec::new();
    runtime.block_on(async {
        sqlx::query(TENANT).bind(tenant).bind(tenant.to_string()).execute(&mut db).await.unwrap();
        sqlx::query(WORKSPACE).bind(workspace).bind(tenant).execute(&mut db).await.unwrap();
        if task.accept {
            let mut tx = db.begin().await.unwrap();
            pending.extend((0..task.count).map(|_| Uuid::now_v7()));
            for id in &pending {
                create(&mut tx, tenant, workspace, *id).await;
            }
            tx.commit().await.unwrap();
        }
    });
    measure(task, |size| {
        runtime.block_on(async {
            let mut tx = db.begin().await.unwrap();
            for _ in 0..size {
                match pending.pop() {
                    Some(id) => accept(&mut tx, tenant, workspace, id).await,
                    None => create(&mut tx, tenant, workspace, Uuid::now_v7()).await,
                }
            }
            tx.commit().await.unwrap();
        });
    })
}

async fn create(db: &mut PgConnection, tenant: Uuid, workspace: Uuid, id: Uuid) {
    let row = sqlx::query(INVITE)
        .bind(id)
        .bind(tenant)
        .bind(workspace)
        .bind(address(id))
        .bind(salt())
        .bind(AT)
        .bind(END);
    row.execute(&mut *db).await.unwrap();
    let row = sqlx::query(MAIL).bind(Uuid::now_v7()).bind(tenant).bind(id).bind(format!("{id}:1")).bind(AT);
    row.execute(db).await.unwrap();
}

async fn accept(db: &mut PgConnection, tenant: Uuid, workspace: Uuid, id: Uuid) {
    let user = id.to_string();
    let row = sqlx::query(ACCEPT).bind(id).bind(tenant).bind(&user).bind(AT).bind(address(id));
    assert_eq!(row.execute(&mut *db).await.unwrap().rows_affected(), 1);
    let row = sqlx::query(TENANT_MEMBER).bind(tenant).bind(&user).bind(id).bind(AT);
    row.execute(&mut *db).await.unwrap();
    let row = sqlx::query(WORKSPACE_MEMBER).bind(workspace).bind(&user).bind(tenant).bind(id).bind(AT);
    row.execute(db).await.unwrap();
}
