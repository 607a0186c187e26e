//! What the machine allows over HTTP: usher's four requests with nothing around them but what nobody can leave out.
//!
//! A bearer token (HS256) is verified for all but the preview. The preview is a struct in memory, written as JSON. All
//! creates and accepts go to the one thread that writes, which commits whatever has gathered in one durable
//! transaction, a savepoint around each command: for a create the look-up of a pending invite and 2 INSERTs, for an
//! accept the look-up of the invite, 1 UPDATE and 2 INSERTs. The list reads a hundred rows on a connection of the
//! worker's own. No authorisation, no limits, no events, no signature on links.
//!
//! `limit --listen HOST:PORT --database FILE`

use std::{
    cell::RefCell,
    sync::mpsc::{Receiver, Sender, channel},
    time::{SystemTime, UNIX_EPOCH},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::StatusCode,
    web::{Data, Json, Path, get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::oneshot;
use usher_bench::Flags;
use uuid::Uuid;

/// Most commands of one commit.
const MOST: usize = 256;
const WEEK: i64 = 7 * 24 * 60 * 60 * 1000;
/// Every workspace has the same tenant: its id is not what costs.
const TENANT: Uuid = Uuid::from_u128(1);
const SECRET: &[u8] = b"a-secret-of-the-bench-that-is-more-than-32-bytes";

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS invites (
        id BLOB PRIMARY KEY, tenant_id BLOB NOT NULL, workspace_id BLOB NOT NULL, email TEXT NOT NULL, email_norm TEXT NOT NULL,
        role TEXT NOT NULL, status TEXT NOT NULL, version INTEGER NOT NULL, salt BLOB NOT NULL, inviter TEXT NOT NULL,
        inserted_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, accepted_at INTEGER, accepted_by TEXT);
    CREATE UNIQUE INDEX IF NOT EXISTS invites_pending ON invites (workspace_id, email_norm) WHERE status = 'pending';
    CREATE INDEX IF NOT EXISTS invites_address ON invites (email_norm, status);
    CREATE TABLE IF NOT EXISTS outbox (
        id BLOB PRIMARY KEY, tenant_id BLOB NOT NULL, invite_id BLOB NOT NULL REFERENCES invites (id), state TEXT NOT NULL,
        attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, inserted_at INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS outbox_due ON outbox (state, next_at);
    CREATE TABLE IF NOT EXISTS tenant_members (
        tenant_id BLOB NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, inserted_at INTEGER NOT NULL,
        PRIMARY KEY (tenant_id, user_id));
    CREATE TABLE IF NOT EXISTS workspace_members (
        workspace_id BLOB NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, inserted_at INTEGER NOT NULL,
        PRIMARY KEY (workspace_id, user_id));";
/// Of every connection: each commit is on the disk before the answer.
const PRAGMAS: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -65536; PRAGMA busy_timeout = 10000";

const PENDING: &str =
    "SELECT id FROM invites WHERE workspace_id = ?1 AND email_norm = ?2 AND status = 'pending'";
const INVITE: &str = "INSERT INTO invites (id, tenant_id, workspace_id, email, email_norm, role, status, version, salt, \
                      inviter, inserted_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?4, 'member', 'pending', 1, ?5, ?6, ?7, ?8)";
const MAIL: &str = "INSERT INTO outbox (id, tenant_id, invite_id, state, attempts, next_at, inserted_at) \
                    VALUES (?1, ?2, ?3, 'queued', 0, ?4, ?4)";
const FIND: &str = "SELECT workspace_id, email_norm FROM invites WHERE id = ?1";
const ACCEPT: &str = "UPDATE invites SET status = 'accepted', accepted_at = ?1, accepted_by = ?2 \
                      WHERE id = ?3 AND status = 'pending' AND expires_at > ?1";
const TENANT_MEMBER: &str = "INSERT INTO tenant_members VALUES (?1, ?2, 'member', ?3) ON CONFLICT DO NOTHING";
const WORKSPACE_MEMBER: &str =
    "INSERT INTO workspace_members VALUES (?1, ?2, 'member', ?3) ON CONFLICT DO NOTHING";
const LIST: &str = "SELECT id, email, inviter, inserted_at, expires_at FROM invites \
                    WHERE workspace_id = ?1 AND status = 'pending' LIMIT 100";

fn main() -> std::io::Result<()> {
    let flags = Flags::after(0);
    let file = flags.text("database").to_owned();
    let db = open(&file);
    db.execute_batch(SCHEMA).unwrap();
    let (queue, waiting) = channel();
    std::thread::spawn(move || write(db, &waiting));
    let state = Data::new(Shared { file, queue });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/healthz", get().to(async || "ok"))
            .route("/api/v1/workspaces/{id}/invites", post().to(create))
            .route("/api/v1/workspaces/{id}/invites", get().to(list))
            .route("/api/v1/workspace-invites/{token}", get().to(preview))
            .route("/api/v1/workspace-invites/{token}/accept", post().to(accept))
    });
    actix_web::rt::System::new().block_on(server.workers(1).bind(flags.text("listen"))?.run())
}

struct Shared {
    file: String,
    queue: Sender<(Command, oneshot::Sender<Answer>)>,
}

fn open(file: &str) -> Connection {
    let db = Connection::open(file).unwrap();
    db.execute_batch(PRAGMAS).unwrap();
    db
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

// -- the thread that writes ----------------------------------------------------------------------------------------

enum Command {
    Create { workspace: Uuid, email: String, inviter: String },
    Accept { id: Uuid, user: String, email: String },
}

enum Answer {
    Good(StatusCode, Value),
    Refused(StatusCode),
}

fn write(mut db: Connection, waiting: &Receiver<(Command, oneshot::Sender<Answer>)>) {
    while let Ok(first) = waiting.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(waiting.try_iter().take(MOST - 1)).collect();
        let now = now();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let run = |sql| tx.prepare_cached(sql).and_then(|mut statement| statement.execute([])).unwrap();
        let mut answers = Vec::with_capacity(batch.len());
        for (command, reply) in batch {
            run("SAVEPOINT command");
            let answer = apply(&tx, command, now).unwrap_or_else(|_| {
                run("ROLLBACK TO command");
                Answer::Refused(StatusCode::CONFLICT)
            });
            run("RELEASE command");
            answers.push((reply, answer));
        }
        tx.commit().unwrap();
        for (reply, answer) in answers {
            let _ = reply.send(answer);
        }
    }
}

fn apply(db: &Connection, command: Command, now: i64) -> rusqlite::Result<Answer> {
    match command {
        Command::Create { workspace, email, inviter } => {
            let row = params![workspace.as_bytes(), email];
            let known = db.prepare_cached(PENDING)?.query_row(row, |row| row.get(0)).optional()?;
            let (id, expires) = (known.map_or_else(Uuid::now_v7, Uuid::from_bytes), now + WEEK);
            if known.is_none() {
                // thirty-two bytes; where they come from is not what costs
                let salt = [id.into_bytes(), id.into_bytes()].concat();
                let row = params![
                    id.as_bytes(),
                    TENANT.as_bytes(),
                    workspace.as_bytes(),
                    email,
                    salt,
                    inviter,
                    now,
                    expires
                ];
                db.prepare_cached(INVITE)?.execute(row)?;
                let mail = Uuid::now_v7();
                let row = params![mail.as_bytes(), TENANT.as_bytes(), id.as_bytes(), now];
                db.prepare_cached(MAIL)?.execute(row)?;
            }
            let mut data = invite(id, workspace, &email, &inviter, now, expires);
            data["invite_url"] = format!("http://limit.bench.test/workspace-invites/{id}").into();
            Ok(Answer::Good(StatusCode::CREATED, json!({ "type": "invited", "data": data })))
        }
        Command::Accept { id, user, email } => {
            let found: Option<([u8; 16], String)> = db
                .prepare_cached(FIND)?
                .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((workspace, invited)) = found else { return Ok(Answer::Refused(StatusCode::NOT_FOUND)) };
            if invited != email {
                return Ok(Answer::Refused(StatusCode::UNPROCESSABLE_ENTITY));
            }
            if db.prepare_cached(ACCEPT)?.execute(params![now, user, id.as_bytes()])? == 0 {
                return Ok(Answer::Refused(StatusCode::CONFLICT));
            }
            db.prepare_cached(TENANT_MEMBER)?.execute(params![TENANT.as_bytes(), user, now])?;
            db.prepare_cached(WORKSPACE_MEMBER)?.execute(params![workspace, user, now])?;
            let workspace = Uuid::from_bytes(workspace);
            let body =
                json!({ "accepted": true, "workspace_id": workspace, "tenant_id": TENANT, "role": "member" });
            Ok(Answer::Good(StatusCode::OK, body))
        }
    }
}

// -- HTTP ----------------------------------------------------------------------------------------------------------

/// An invite as it is answered: a value a row, as a plain handler makes it.
fn invite(id: Uuid, workspace: Uuid, email: &str, inviter: &str, at: i64, expires: i64) -> Value {
    json!({
        "id": id, "tenant_id": TENANT, "workspace_id": workspace, "email": email, "role": "member", "status": "pending",
        "invited_by": inviter, "expires_at": expires, "inserted_at": at, "updated_at": at, "accepted_at": null,
    })
}

#[derive(Serialize)]
struct Preview {
    tenant_name: &'static str,
    workspace_name: &'static str,
    inviter_name: Option<&'static str>,
    email: &'static str,
    role: &'static str,
    expires_at: &'static str,
    expired: bool,
    revoked: bool,
    accepted: bool,
    state: &'static str,
    scope: &'static str,
}

async fn preview(token: Path<String>) -> HttpResponse {
    if token.len() < 16 {
        return HttpResponse::NotFound().finish();
    }
    let data = Preview {
        tenant_name: "Acme Corp",
        workspace_name: "Dr. Smith Clinic",
        inviter_name: None,
        email: "person-00000001@example.test",
        role: "member",
        expires_at: "2030-01-01T00:00:00Z",
        expired: false,
        revoked: false,
        accepted: false,
        state: "pending",
        scope: "workspace",
    };
    #[derive(Serialize)]
    struct Enveloped {
        data: Preview,
    }
    // the headers that usher sends
    HttpResponse::Ok()
        .insert_header(("x-request-id", "01900000-0000-7000-8000-000000000000"))
        .insert_header(("cache-control", "no-store"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("x-content-type-options", "nosniff"))
        .json(Enveloped { data })
}

#[derive(Deserialize)]
struct NewInvite {
    email: String,
}

async fn create(
    request: HttpRequest,
    workspace: Path<Uuid>,
    body: Json<NewInvite>,
    shared: Data<Shared>,
) -> HttpResponse {
    let Some(caller) = caller(&request) else { return HttpResponse::Unauthorized().finish() };
    let email = body.into_inner().email.to_ascii_lowercase();
    shared.ask(Command::Create { workspace: *workspace, email, inviter: caller.sub }).await
}

async fn accept(request: HttpRequest, id: Path<Uuid>, shared: Data<Shared>) -> HttpResponse {
    let Some(caller) = caller(&request) else { return HttpResponse::Unauthorized().finish() };
    shared.ask(Command::Accept { id: *id, user: caller.sub, email: caller.email.to_ascii_lowercase() }).await
}

impl Shared {
    async fn ask(&self, command: Command) -> HttpResponse {
        let (reply, answer) = oneshot::channel();
        let _ = self.queue.send((command, reply));
        match answer.await {
            Ok(Answer::Good(status, body)) => HttpResponse::build(status).json(body),
            Ok(Answer::Refused(status)) => HttpResponse::new(status),
            Err(_) => HttpResponse::ServiceUnavailable().finish(),
        }
    }
}

async fn list(request: HttpRequest, workspace: Path<Uuid>, shared: Data<Shared>) -> HttpResponse {
    thread_local! {
        static READER: RefCell<Option<Connection>> = const { RefCell::new(None) };
    }
    if caller(&request).is_none() {
        return HttpResponse::Unauthorized().finish();
    }
    let read = |db: &Connection| -> rusqlite::Result<Vec<Value>> {
        let mut statement = db.prepare_cached(LIST)?;
        let rows = statement.query_map([workspace.as_bytes()], |row| {
            let (email, inviter): (String, String) = (row.get(1)?, row.get(2)?);
            Ok(invite(Uuid::from_bytes(row.get(0)?), *workspace, &email, &inviter, row.get(3)?, row.get(4)?))
        })?;
        rows.collect()
    };
    let data = READER.with_borrow_mut(|db| read(db.get_or_insert_with(|| open(&shared.file))).unwrap());
    HttpResponse::Ok().json(json!({ "total": data.len(), "data": data }))
}

// -- the bearer token ----------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    email: String,
    exp: i64,
}

/// Whose token this is, if it is genuine and of now.
fn caller(request: &HttpRequest) -> Option<Claims> {
    let token = request.headers().get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, payload) = signed.split_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let genuine =
        claims.iss == "https://auth.bench.test" && claims.aud == "usher" && claims.exp * 1000 > now();
    genuine.then_some(claims)
}
