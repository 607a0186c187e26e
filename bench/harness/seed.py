"""Rows of many invites put straight into usher's SQLite file while no server runs: as usher would have written them
over the last days, half of them pending, half accepted. Indexes are made again afterwards, which is what makes a
million rows a matter of a minute."""

import os
import sqlite3
import time
import uuid
from pathlib import Path

from . import wire
from .server import OWNER

DAY = 24 * 60 * 60 * 1000
SPAN, LEFT = 3 * DAY, 6 * DAY                 # since when they were made, and how long they still hold
CHUNK = 20_000
TABLES = {
    "invites": "id, tenant_id, workspace_id, email, email_norm, role, status, version, salt, kid, inviter, delivery, "
               "mails, mailed_at, expires_at, accepted_by, accepted_at, inserted_at, updated_at",
    "outbox": "id, tenant_id, invite_id, version, dedupe_key, state, attempts, next_at, inserted_at, sent_at",
    "events": "tenant_id, seq, kind, invite_id, workspace_id, actor, data, at",
    "users": "id, issuer, subject, email, email_norm, inserted_at, updated_at",
    "tenant_members": "tenant_id, user_id, role, added_by, invite_id, inserted_at, updated_at",
    "workspace_members": "workspace_id, user_id, tenant_id, role, added_by, invite_id, inserted_at, updated_at",
}


def version7(millis: int) -> uuid.UUID:
    """an id of that time"""
    return uuid.UUID(bytes=millis.to_bytes(6) + bytes([0x70, 0, 0x80]) + os.urandom(7))


class Seed:
    """A file that usher has migrated, and the numbers its events have reached."""

    def __init__(self, file: Path):
        # what is seeded need not survive a power cut
        self.db = sqlite3.connect(file, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;"
                              "PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY")
        self.sequences = dict(self.db.execute("SELECT id, event_seq FROM tenants"))
        self.seats = dict.fromkeys(self.sequences, 0)

    def invites(self, count: int, tenants: int, mail: str = "sent", accepted: bool = True):
        """so many over so many tenants; their mails have left, or are `queued`; every second one is accepted"""
        made_by_us = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        indexes = self.db.execute(made_by_us).fetchall()
        self.db.execute("BEGIN EXCLUSIVE")
        for name, _ in indexes:
            self.db.execute(f"DROP INDEX {name}")
        now = int(time.time() * 1000)
        for begin in range(0, count, CHUNK):
            rows = {table: [] for table in TABLES}
            for at in range(begin, min(begin + CHUNK, count)):
                made = now - SPAN + SPAN * at // count
                self.invite(rows, at % tenants, made, now + LEFT, mail, accepted and at // tenants % 2 == 1)
            for table, columns in TABLES.items():
                marks = ", ".join("?" * len(columns.split(",")))
                self.db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows[table])
        self.db.executemany("UPDATE tenants SET event_seq = ?, seats_used = seats_used + ? WHERE id = ?",
                            [(sequence, self.seats[id], id) for id, sequence in self.sequences.items()])
        for _, sql in indexes:
            self.db.execute(sql)
        self.db.execute("COMMIT")

    def invite(self, rows: dict, at: int, made: int, end: int, mail: str, accepted: bool):
        tenant, workspace = wire.tenant_id(at).bytes, wire.workspace_id(at).bytes
        invite, email, letter = version7(made), wire.fresh(), version7(made)
        person = email.split("@")[0]
        who, when = (person, made + 1) if accepted else (None, None)
        sent = mail == "sent"
        rows["invites"].append((
            invite.bytes, tenant, workspace, email, email, "member", "accepted" if accepted else "pending", 1,
            os.urandom(32), wire.LINK_KEY_ID, OWNER, mail, 1, made, end, who, when, made, when or made))
        rows["outbox"].append((letter.bytes, tenant, invite.bytes, 1, f"{invite}:1", mail, int(sent), made, made,
                               made + 1 if sent else None))
        self.event(rows, tenant, "invite.created", invite, workspace, OWNER, '{"mail":true,"role":"member"}', made)
        if sent:
            told = f'{{"attempts":1,"mail":"{letter}","reason":null}}'
            self.event(rows, tenant, "mail.sent", invite, workspace, "system", told, made)
        if accepted:
            self.event(rows, tenant, "invite.accepted", invite, workspace, person, '{"role":"member"}', when)
            self.seats[tenant] += 1
            rows["users"].append((person, wire.ISSUER, person, email, email, made, made))
            rows["tenant_members"].append((tenant, person, "member", OWNER, invite.bytes, made, made))
            rows["workspace_members"].append((workspace, person, tenant, "member", OWNER, invite.bytes, made, made))

    def event(self, rows, tenant, kind, invite, workspace, actor, data, at):
        self.sequences[tenant] += 1
        rows["events"].append((tenant, self.sequences[tenant], kind, invite.bytes, workspace, actor, data, at))

    def links(self, count: int, tenant: int) -> list[dict]:
        """links of pending invites of one tenant, derived as usher derives them"""
        pending = "SELECT id, salt, email FROM invites WHERE tenant_id = ? AND status = 'pending' LIMIT ?"
        found = self.db.execute(pending, (wire.tenant_id(tenant).bytes, count)).fetchall()
        return [{"token": wire.link(wire.tenant_id(tenant), uuid.UUID(bytes=id), salt), "email": email}
                for id, salt, email in found]

    def close(self):
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.close()
