// An invite service as a good developer writes it by hand: Fastify, better-sqlite3, prepared statements, one immediate
// transaction a command, HS256 tokens, random link tokens of which only the hash is kept. It speaks usher's paths, so
// that the same client drives it, and is as durable: WAL with synchronous=FULL, answer after commit. No cache: a
// preview is one SELECT.
import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import Fastify from 'fastify';

const { PORT, DATABASE, SECRET, TENANTS } = process.env;
const WEEK = 7 * 24 * 60 * 60 * 1000;

// -- the database ---------------------------------------------------------------------------------------------------

const db = new Database(DATABASE);
for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', 'foreign_keys = ON', 'cache_size = -65536']) db.pragma(pragma);
db.exec(`
  CREATE TABLE IF NOT EXISTS tenants (id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS workspaces (
    id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenants (id), name TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS tenant_members (
    tenant_id TEXT NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS workspace_members (
    workspace_id TEXT NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, user_id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS invites (
    id TEXT PRIMARY KEY, workspace_id TEXT NOT NULL REFERENCES workspaces (id), email TEXT NOT NULL, role TEXT NOT NULL,
    status TEXT NOT NULL, token_hash BLOB NOT NULL UNIQUE, invited_by TEXT NOT NULL, inserted_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, accepted_at INTEGER);
  CREATE UNIQUE INDEX IF NOT EXISTS invites_pending ON invites (workspace_id, email) WHERE status = 'pending';
  CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, invite_id TEXT NOT NULL REFERENCES invites (id), recipient TEXT NOT NULL,
    state TEXT NOT NULL, inserted_at INTEGER NOT NULL);
`);

const statements = {
  addTenant: "INSERT OR IGNORE INTO tenants VALUES (?, 'Acme Corp')",
  addWorkspace: "INSERT OR IGNORE INTO workspaces VALUES (?, ?, 'Dr. Smith Clinic')",
  addOwner: "INSERT OR IGNORE INTO tenant_members VALUES (?, ?, 'owner', ?)",
  inviter: `SELECT w.tenant_id, m.role FROM workspaces w
    JOIN tenant_members m ON m.tenant_id = w.tenant_id AND m.user_id = ? WHERE w.id = ?`,
  pending: "SELECT id FROM invites WHERE workspace_id = ? AND email = ? AND status = 'pending'",
  renew: 'UPDATE invites SET role = ?, token_hash = ?, expires_at = ? WHERE id = ?',
  invite: "INSERT INTO invites VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, NULL)",
  owe: "INSERT INTO outbox (invite_id, recipient, state, inserted_at) VALUES (?, ?, 'queued', ?)",
  byToken: `SELECT i.*, w.name AS workspace_name, t.id AS tenant_id, t.name AS tenant_name FROM invites i
    JOIN workspaces w ON w.id = i.workspace_id JOIN tenants t ON t.id = w.tenant_id WHERE i.token_hash = ?`,
  accept: "UPDATE invites SET status = 'accepted', accepted_at = ? WHERE id = ? AND status = 'pending' AND expires_at > ?",
  joinTenant: "INSERT INTO tenant_members VALUES (?, ?, 'member', ?) ON CONFLICT DO NOTHING",
  joinWorkspace: 'INSERT INTO workspace_members VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  list: `SELECT id, workspace_id, email, role, status, invited_by, inserted_at, expires_at, accepted_at FROM invites
    WHERE workspace_id = ? AND status = 'pending' ORDER BY inserted_at LIMIT 100`,
};
const sql = Object.fromEntries(Object.entries(statements).map(([name, text]) => [name, db.prepare(text)]));

const { owner, tenants } = JSON.parse(readFileSync(TENANTS));
db.transaction(() => {
  for (const [tenant, workspace] of tenants) {
    sql.addTenant.run(tenant);
    sql.addWorkspace.run(workspace, tenant);
    sql.addOwner.run(tenant, owner, Date.now());
  }
})();

// -- rules ----------------------------------------------------------------------------------------------------------

const refuse = (statusCode, code) => Object.assign(new Error(code), { statusCode });
const hash = (token) => createHash('sha256').update(token).digest();
const time = (millis) => (millis === null ? null : new Date(millis).toISOString());

function caller(request) {
  const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const [head, payload, signature = ''] = token.split('.');
  const expected = createHmac('sha256', SECRET).update(`${head}.${payload}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw refuse(401, 'invalid_token');
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  const good = claims.iss === 'https://auth.bench.test' && claims.aud === 'usher' && claims.exp * 1000 > Date.now();
  if (!good) throw refuse(401, 'invalid_token');
  return claims;
}

function tenantOfInviter(workspace, user) {
  const found = sql.inviter.get(user, workspace);
  if (!found) throw refuse(404, 'NOT_FOUND');
  if (found.role !== 'owner' && found.role !== 'admin') throw refuse(403, 'FORBIDDEN');
  return found.tenant_id;
}

const create = db.transaction((workspace, user, email, role) => {
  const tenant = tenantOfInviter(workspace, user);
  const token = randomBytes(32).toString('base64url');
  const now = Date.now();
  const known = sql.pending.get(workspace, email);
  const id = known?.id ?? randomUUID();
  if (known) sql.renew.run(role, hash(token), now + WEEK, id);
  else sql.invite.run(id, workspace, email, role, hash(token), user, now, now + WEEK);
  sql.owe.run(id, email, now);
  return {
    id, tenant_id: tenant, workspace_id: workspace, email, role, status: 'pending', invited_by: user,
    expires_at: time(now + WEEK), inserted_at: time(now), accepted_at: null,
    invite_url: `http://127.0.0.1:${PORT}/workspace-invites/${token}`,
  };
});

const accept = db.transaction((token, who) => {
  const invite = sql.byToken.get(hash(token));
  if (!invite) throw refuse(404, 'INVALID_TOKEN');
  if (invite.email !== who.email.toLowerCase()) throw refuse(422, 'EMAIL_MISMATCH');
  const now = Date.now();
  if (sql.accept.run(now, invite.id, now).changes === 0) throw refuse(409, 'NOT_PENDING');
  sql.joinTenant.run(invite.tenant_id, who.sub, now);
  sql.joinWorkspace.run(invite.workspace_id, who.sub, invite.role, now);
  return { accepted: true, workspace_id: invite.workspace_id, tenant_id: invite.tenant_id, role: invite.role };
});

// -- HTTP -----------------------------------------------------------------------------------------------------------

const app = Fastify({ logger: false, keepAliveTimeout: 120_000 });
app.setErrorHandler((error, _request, reply) => reply.code(error.statusCode ?? 500).send({ error: { code: error.message } }));
app.get('/healthz', async () => 'ok');

const newInvite = {
  body: {
    type: 'object', required: ['email'],
    properties: { email: { type: 'string', minLength: 3, maxLength: 320 }, role: { enum: ['admin', 'member', 'viewer'] } },
  },
};
app.post('/api/v1/workspaces/:id/invites', { schema: newInvite }, async (request, reply) => {
  const { email, role = 'member' } = request.body;
  const data = create.immediate(request.params.id, caller(request).sub, email.toLowerCase(), role);
  reply.code(201);
  return { type: 'invited', data };
});
app.get('/api/v1/workspaces/:id/invites', async (request) => {
  tenantOfInviter(request.params.id, caller(request).sub);
  const data = sql.list.all(request.params.id);
  for (const row of data) {
    row.inserted_at = time(row.inserted_at);
    row.expires_at = time(row.expires_at);
  }
  return { data, total: data.length };
});
app.get('/api/v1/workspace-invites/:token', async (request) => {
  const invite = sql.byToken.get(hash(request.params.token));
  if (!invite) throw refuse(404, 'INVALID_TOKEN');
  const { workspace_name, tenant_name, email, role, status, expires_at } = invite;
  return { data: {
    tenant_name, workspace_name, email, role, expires_at: time(expires_at), expired: expires_at <= Date.now(),
    accepted: status === 'accepted', revoked: false,
  } };
});
app.post('/api/v1/workspace-invites/:token/accept', async (request) => accept.immediate(request.params.token, caller(request)));

await app.listen({ port: Number(PORT), host: '127.0.0.1' });
