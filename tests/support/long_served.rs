//! Rows of a service that has been in use for long, put straight into the tables: half of the invites in one tenant, the
//! rest in a hundred others; half still pending; each with its mail, its events and, where it was accepted, its person
//! and memberships; and what is kept beside them. Ids follow from numbers, so that rows can be asked for.

use entity::{ApiKeyId, InviteId, OutboxId, TenantId, UserId, WorkspaceId};
use uuid::Uuid;

use super::{ACME, CLINIC, Engine, database::Inspector};

/// Tenants besides the large one.
pub const OTHERS: u64 = 100;
/// Since when it is in use, in milliseconds.
pub const SPAN: i64 = 60 * 86_400_000;
/// The tables that grow.
pub const TABLES: [&str; 9] = [
    "invites",
    "outbox",
    "events",
    "users",
    "tenant_members",
    "workspace_members",
    "limit_counters",
    "idempotency_records",
    "api_keys",
];

/// What an id is of; part of it, so that no two are alike.
#[derive(Clone, Copy)]
enum Of {
    Invite = 1,
    Mail = 2,
    Tenant = 3,
    Workspace = 4,
    Key = 5,
}

/// The seeded rows.
pub struct LongServed {
    /// How many invites.
    pub count: u64,
    /// When they were seeded.
    pub now: i64,
}

impl LongServed {
    /// Seeds so many invites and what belongs to them. Nobody may be serving.
    pub async fn seed(rows: &Inspector, count: u64, now: i64) -> Self {
        let seeded = Self { count, now };
        if rows.engine == Engine::Sqlite {
            // what is seeded need not survive a power cut
            for pragma in ["synchronous = OFF", "cache_size = -1000000", "foreign_keys = OFF"] {
                rows.execute(&format!("PRAGMA {pragma}")).await;
            }
        }
        for statement in seeded.statements(rows) {
            rows.execute(&statement).await;
        }
        // statistics as autovacuum keeps them; SQLite has none, as in service
        if rows.engine == Engine::Postgres {
            for table in TABLES.iter().chain(&["tenants", "workspaces"]) {
                rows.execute(&format!("VACUUM ANALYZE {table}")).await;
            }
        }
        seeded
    }

    /// When the nth invite was made.
    fn made(&self, n: u64) -> i64 {
        self.now - SPAN + SPAN / i64::try_from(self.count).unwrap() * i64::try_from(n).unwrap()
    }

    fn id(&self, of: Of, n: u64) -> Uuid {
        let millis = u128::try_from(self.made(n)).unwrap();
        let kind = 0x7000_a000 | of as u128;
        Uuid::from_u128(millis << 80 | kind << 48 | u128::from(n))
    }

    /// The id of the nth invite.
    pub fn invite(&self, n: u64) -> InviteId {
        InviteId(self.id(Of::Invite, n))
    }

    /// The id of its mail.
    pub fn mail(&self, n: u64) -> OutboxId {
        OutboxId(self.id(Of::Mail, n))
    }

    /// The id of the nth key.
    pub fn key(&self, n: u64) -> ApiKeyId {
        ApiKeyId(self.id(Of::Key, n))
    }

    /// The tenant of the nth invite: every second is the large one's.
    pub fn tenant(n: u64) -> TenantId {
        match n % 2 {
            0 => TenantId(ACME.parse().unwrap()),
            _ => TenantId(small(Of::Tenant, n / 2 % OTHERS)),
        }
    }

    /// Its workspace; none for every fourth.
    pub fn workspace(n: u64) -> Option<WorkspaceId> {
        match n % 4 {
            0 => Some(WorkspaceId(CLINIC.parse().unwrap())),
            2 => None,
            _ => Some(WorkspaceId(small(Of::Workspace, n / 2 % OTHERS))),
        }
    }

    /// The address of the nth invite.
    pub fn address(n: u64) -> String {
        format!("person-{n}@example.test")
    }

    /// Who has accepted the nth, if it was accepted.
    pub fn person(n: u64) -> UserId {
        UserId(format!("person-{n}"))
    }

    fn statements(&self, rows: &Inspector) -> Vec<String> {
        let (now, count) = (self.now, self.count);
        let sqlite = rows.engine == Engine::Sqlite;
        let numbers = |from: u64, to: u64| match rows.engine {
            Engine::Sqlite => {
                format!("WITH RECURSIVE g(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM g WHERE n < {to})")
            }
            Engine::Postgres => format!("WITH g(n) AS (SELECT generate_series({from}::bigint, {to}))"),
        };
        let all = numbers(1, count);
        let made = format!("({now} - {SPAN} + {} * n)", SPAN / i64::try_from(count).unwrap());
        let hex = |value: &str| match sqlite {
            true => format!("printf('%012x', {value})"),
            false => format!("lpad(to_hex(({value})::bigint), 12, '0')"),
        };
        let uuid = |text: String| match sqlite {
            true => format!("unhex({text})"),
            false => format!("({text})::uuid"),
        };
        let blob = |text: String| match sqlite {
            true => format!("unhex({text})"),
            false => format!("decode({text}, 'hex')"),
        };
        let id = |of: Of| uuid(format!("{} || '7000a0{:02x}' || {}", hex(&made), of as u8, hex("n")));
        let small = |of: Of, n: &str| uuid(format!("'0190000000007000a0{:02x}' || {}", of as u8, hex(n)));
        let random = |text: &str| match sqlite {
            true => "randomblob(32)".to_owned(),
            false => format!("sha256(('{text}' || n)::bytea)"),
        };
        let (acme, clinic) = (rows.id(ACME), rows.id(CLINIC));
        let tenant = format!("CASE WHEN n % 2 = 0 THEN {acme} ELSE {} END", small(Of::Tenant, "n / 2 % 100"));
        let workspace = format!(
            "CASE n % 4 WHEN 0 THEN {clinic} WHEN 2 THEN NULL ELSE {} END",
            small(Of::Workspace, "n / 2 % 100")
        );
        let state = "(n / 4 % 10)";
        let accepted = format!("{state} BETWEEN 5 AND 7");
        let others = numbers(0, OTHERS - 1);
        let mut all_of = vec![
            format!(
                "{others} INSERT INTO tenants (id, slug, name, event_seq, inserted_at, updated_at) SELECT {}, 't-' || n, \
                 'A tenant', 10000000, {now}, {now} FROM g",
                small(Of::Tenant, "n")
            ),
            format!(
                "{others} INSERT INTO workspaces (id, tenant_id, name, configured, inserted_at, updated_at) \
                 SELECT {}, {}, 'A workspace', true, {now}, {now} FROM g",
                small(Of::Workspace, "n"),
                small(Of::Tenant, "n")
            ),
            format!("UPDATE tenants SET event_seq = 10000000 WHERE id = {acme}"),
            format!(
                "{all} INSERT INTO invites (id, tenant_id, workspace_id, email, email_norm, role, status, version, salt, \
                 kid, inviter, delivery, mails, mailed_at, expires_at, accepted_by, accepted_at, revoked_at, expired_at, \
                 inserted_at, updated_at) SELECT {}, {tenant}, {workspace}, 'person-' || n || '@example.test', \
                 'person-' || n || '@example.test', CASE WHEN n % 50 = 0 THEN 'admin' ELSE 'member' END, \
                 CASE WHEN {state} < 5 THEN 'pending' WHEN {accepted} THEN 'accepted' WHEN {state} = 8 THEN 'revoked' \
                 ELSE 'expired' END, 1, {}, 'k1', 'sender-' || (n / 2 % 101), \
                 CASE WHEN n % 500 = 0 THEN 'bounced' ELSE 'sent' END, 1, {made}, {now} + 3600000 + n, \
                 CASE WHEN {accepted} THEN 'person-' || n END, CASE WHEN {accepted} THEN {made} END, \
                 CASE WHEN {state} = 8 THEN {made} END, CASE WHEN {state} = 9 THEN {made} END, {made}, {made} FROM g",
                id(Of::Invite),
                random("salt"),
            ),
            format!(
                "{all} INSERT INTO outbox (id, tenant_id, invite_id, version, dedupe_key, state, attempts, next_at, \
                 lease_until, lease_token, inserted_at, sent_at) SELECT {}, {tenant}, {}, 1, \
                 {} || '-7000-a001-' || {} || ':1', \
                 CASE WHEN n % 100 = 0 THEN 'queued' WHEN n % 100 = 1 THEN 'leased' WHEN n % 200 = 3 THEN 'dead' \
                 WHEN n % 200 = 4 THEN 'cancelled' ELSE 'sent' END, 1, {now} - n, \
                 CASE WHEN n % 100 = 1 THEN {now} + 1000000 - n * 1000 END, CASE WHEN n % 100 = 1 THEN {} END, {made}, \
                 CASE WHEN n % 100 > 1 AND n % 200 NOT IN (3, 4) THEN {made} END FROM g",
                id(Of::Mail),
                id(Of::Invite),
                hex(&made),
                hex("n"),
                id(Of::Mail),
            ),
            format!(
                "{all} INSERT INTO users (id, issuer, subject, email, email_norm, inserted_at, updated_at) SELECT \
                 'person-' || n, 'https://auth.example.test', 'person-' || n, 'person-' || n || '@example.test', \
                 'person-' || n || '@example.test', {made}, {made} FROM g WHERE {accepted}"
            ),
            format!(
                "{all} INSERT INTO tenant_members (tenant_id, user_id, role, added_by, invite_id, inserted_at, \
                 updated_at) SELECT {tenant}, 'person-' || n, 'member', 'sender-1', {}, {made}, {made} FROM g \
                 WHERE {accepted}",
                id(Of::Invite)
            ),
            format!(
                "{all} INSERT INTO workspace_members (workspace_id, user_id, tenant_id, role, added_by, invite_id, \
                 inserted_at, updated_at) SELECT {workspace}, 'person-' || n, {tenant}, 'member', 'sender-1', {}, \
                 {made}, {made} FROM g WHERE {accepted} AND n % 4 <> 2",
                id(Of::Invite)
            ),
            format!(
                "{} INSERT INTO limit_counters (tenant_id, kind, subject, window_start, used) SELECT {tenant}, \
                 'recipient', 'person-' || n, {now} - {now} % 86400000 - n % 3 * 86400000, 1 FROM g",
                numbers(1, count / 5)
            ),
            format!(
                "{} INSERT INTO idempotency_records (id, tenant_id, request_hash, status, salt, kid, sealed, inserted_at, \
                 expires_at) SELECT {}, {tenant}, {}, 201, {}, 'k1', {}, {now}, {now} - 100 + n FROM g",
                numbers(1, count / 10),
                blob(format!("'01' || {}", hex("n"))),
                random("request"),
                random("salt"),
                random("sealed"),
            ),
            format!(
                "{} INSERT INTO api_keys (id, tenant_id, role, email_state, name, prefix, hash, scopes, inserted_at) \
                 SELECT {}, {tenant}, 'admin', 'absent', 'a key', 'msk_u_', {}, '', {now} FROM g",
                numbers(1, count / 10),
                id(Of::Key),
                blob(format!("'01' || {}", hex("n"))),
            ),
        ];
        for (kind, second) in [("invite.created", 0), ("mail.sent", 1)] {
            all_of.push(format!(
                "{all} INSERT INTO events (tenant_id, seq, kind, invite_id, workspace_id, actor, data, at) SELECT \
                 {tenant}, n * 2 + {second}, '{kind}', {}, {workspace}, 'sender-1', \
                 '{{\"mail\":true,\"role\":\"member\"}}', {made} FROM g",
                id(Of::Invite)
            ));
        }
        all_of
    }
}

/// What the nth record and the nth key are found by.
pub fn key_of(n: u64) -> Vec<u8> {
    let mut key = vec![1];
    key.extend_from_slice(&n.to_be_bytes()[2..]);
    key
}

fn small(of: Of, n: u64) -> Uuid {
    let kind = 0x7000_a000 | of as u128;
    Uuid::from_u128(0x0190_0000_0000_u128 << 80 | kind << 48 | u128::from(n))
}
