// Better Auth with its organization plugin, mounted as its documentation says, set up to be compared: SQLite in WAL
// with synchronous=FULL, no rate limits, no telemetry, no log, the plugin's own limits out of the way, the signed cookie
// cache of sessions on. Sending an invitation writes one durable row of mail owed.
import { createServer } from 'node:http';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { organization } from 'better-auth/plugins';
import Database from 'better-sqlite3';

const { PORT, DATABASE, SECRET } = process.env;
const NO_LIMIT = 1_000_000_000;
const HOUR = 60 * 60;

const db = new Database(DATABASE);
for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', 'cache_size = -65536', 'busy_timeout = 10000']) db.pragma(pragma);
db.exec(`CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY, invitation_id TEXT NOT NULL, recipient TEXT NOT NULL, state TEXT NOT NULL, inserted_at INTEGER NOT NULL)`);
const owe = db.prepare("INSERT INTO outbox (invitation_id, recipient, state, inserted_at) VALUES (?, ?, 'queued', ?)");

export const auth = betterAuth({
  database: db,
  secret: SECRET,
  baseURL: `http://127.0.0.1:${PORT}`,
  emailAndPassword: { enabled: true },
  session: { cookieCache: { enabled: true, maxAge: 2 * HOUR } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true },
  advanced: { disableCSRFCheck: true, ipAddress: { disableIpTracking: true } },
  plugins: [
    organization({
      invitationLimit: NO_LIMIT,
      membershipLimit: NO_LIMIT,
      invitationExpiresIn: 7 * 24 * HOUR,
      sendInvitationEmail: async ({ id, email }) => void owe.run(id, email, Date.now()),
    }),
  ],
});
await (await getMigrations(auth.options)).runMigrations();

const handle = toNodeHandler(auth);
const server = createServer((request, response) => (request.url === '/healthz' ? response.end('ok') : handle(request, response)));
server.keepAliveTimeout = 120_000;
server.listen(Number(PORT), '127.0.0.1');
