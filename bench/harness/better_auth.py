"""Better Auth with its organization plugin (`peers/better-auth`). It has sessions instead of bearer tokens: people,
their sessions and the invitations that accepts need are put straight into its tables, and cookies are signed as it
signs them."""

import base64
import hmac
import secrets
import sqlite3
import time
import urllib.parse

from . import wire
from .machine import install_peer
from .server import LISTED, OWNER_EMAIL, TENANTS, Server

API = "/api/auth/organization"
GUEST_EMAIL = "guest@bench.test"
WEEK = 7 * 24 * 60 * 60
USER = """INSERT INTO "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
          VALUES (?, ?, ?, 1, ?, ?)"""
SESSION = """INSERT INTO session (id, "expiresAt", token, "createdAt", "updatedAt", "ipAddress", "userAgent", "userId")
             VALUES (?, ?, ?, ?, ?, '', 'bench', ?)"""
ORGANIZATION = """INSERT INTO organization (id, name, slug, "createdAt") VALUES (?, 'Acme Corp', ?, ?)"""
MEMBER = """INSERT INTO member (id, "organizationId", "userId", role, "createdAt") VALUES (?, ?, ?, 'owner', ?)"""
INVITATION = """INSERT INTO invitation (id, "organizationId", email, role, status, "expiresAt", "createdAt",
                "inviterId") VALUES (?, ?, ?, 'member', 'pending', ?, ?, ?)"""


def identifier() -> str:
    return secrets.token_hex(16)


def moment(after: int = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + after))


def signed_cookie(token: str) -> str:
    signature = base64.b64encode(hmac.digest(wire.SECRET.encode(), token.encode(), "sha256")).decode()
    return "better-auth.session_token=" + urllib.parse.quote(f"{token}.{signature}", safe="")


class BetterAuth(Server):
    name = "Better Auth"
    guess = 300

    def command(self):
        self.file = self.home / "better-auth.db"
        return ["node", install_peer("better-auth") / "server.js"], {
            "NODE_ENV": "production", "PORT": str(self.port), "DATABASE": str(self.file), "SECRET": wire.SECRET,
            "BETTER_AUTH_TELEMETRY": "0"}

    def put(self, *tables: tuple[str, list]):
        """rows into its tables, in one transaction"""
        db = sqlite3.connect(self.file, timeout=30)
        with db:
            for statement, rows in tables:
                db.executemany(statement, rows)
        db.close()

    def people(self, emails: list[str]) -> list[tuple[str, str]]:
        """a user and a session for each address; the ids of the one, the tokens of the other"""
        now, end = moment(), moment(WEEK)
        made = [(identifier(), identifier()) for _ in emails]
        self.put((USER, [(user, email, email, now, now) for (user, _), email in zip(made, emails)]),
                 (SESSION, [(identifier(), end, token, now, now, user) for user, token in made]))
        return made

    def invitations(self, organization: str, emails: list[str]) -> list[str]:
        ids = [identifier() for _ in emails]
        self.put((INVITATION, [(id, organization, email, moment(WEEK), moment(), self.owner)
                               for id, email in zip(ids, emails)]))
        return ids

    def settle(self):
        self.organizations = [identifier() for _ in range(TENANTS)]
        (self.owner, owner_session), (_, guest_session) = self.people([OWNER_EMAIL, GUEST_EMAIL])
        self.put((ORGANIZATION, [(id, f"bench-{at}", moment()) for at, id in enumerate(self.organizations)]),
                 (MEMBER, [(identifier(), id, self.owner, moment()) for id in self.organizations]))
        self.owner_cookie, self.guest_cookie = self.cached(owner_session), self.cached(guest_session)

    def cached(self, session: str) -> str:
        """the cookies that a browser has once it was given the signed cache of its session"""
        cookie = signed_cookie(session)
        _, headers, _ = self.get("/api/auth/get-session", {"Cookie": cookie})
        given = [one.split(";")[0] for one in headers.get_all("set-cookie") or []]
        return "; ".join([cookie, *(one for one in given if one.startswith("better-auth.session_data="))])

    def prepare(self, hot: int = 1_000):
        self.settle()
        # it shows an invitation to its invitee only: all of these are one guest's, whose session is cached
        self.hot = [{"id": id} for id in self.invitations(self.organizations[1], [GUEST_EMAIL] * hot)]
        self.pending(LISTED, TENANTS - 1)

    def pending(self, count: int, tenant: int) -> list:
        emails = [wire.fresh() for _ in range(count)]
        ids = self.invitations(self.organizations[tenant], emails)
        return [{"id": id, "cookie": signed_cookie(session)} for id, (_, session) in zip(ids, self.people(emails))]

    def preview(self, invite) -> bytes:
        return wire.request("preview", "GET", f"{API}/get-invitation?id={invite['id']}", self.addr,
                            {"Cookie": self.guest_cookie})

    def create(self, tenant: int, mail: bool = True) -> bytes:
        body = {"email": wire.fresh(), "role": "member", "organizationId": self.organizations[tenant]}
        return wire.request("create", "POST", f"{API}/invite-member", self.addr, {"Cookie": self.owner_cookie}, body)

    def accept(self, invite) -> bytes:
        return wire.request("accept", "POST", f"{API}/accept-invitation", self.addr, {"Cookie": invite["cookie"]},
                            {"invitationId": invite["id"]})

    def list(self) -> bytes:
        path = f"{API}/list-invitations?organizationId={self.organizations[-1]}"
        return wire.request("list", "GET", path, self.addr, {"Cookie": self.owner_cookie})
