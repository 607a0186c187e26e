"""usher itself: the release binary with a configuration, tenants and a database of its own."""

import base64
import contextlib
import hashlib
import sqlite3
import urllib.request
from pathlib import Path

from . import wire
from .machine import SERVER_CPU, free_port
from .server import OWNER_EMAIL, TENANTS, WireServer

CONFIG = """
[server]
admin_listen = "127.0.0.1:{admin}"
base_url = "http://{addr}"
platform_hosts = ["127.0.0.1"]
[database]
url = "{database}"
[tokens]
active_key = "{key_id}"
[[tokens.keys]]
id = "{key_id}"
secret = "{key}"
[[auth.issuers]]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["HS256"]
hs256_secret = "{secret}"
[mail]
from = "Bench <no-reply@bench.test>"
{mail}
[limits]
invites_per_inviter = "off"
invites_per_recipient = "off"
invites_per_api_key = "off"
invites_per_tenant = "off"
requests_per_ip = "off"
[lane]
max_batch = {max_batch}
"""

TENANT = """
id = "{id}"
slug = "bench-{at}"
name = "Acme Corp"
owners = ["{owner}"]
[[workspaces]]
id = "{workspace}"
name = "Dr. Smith Clinic"
slug = "clinic"
"""

# nobody answers on port 9, so mails stay owed: the rows that the peers write too
OWED = 'transport = "smtp"\nurl = "smtp://127.0.0.1:9?tls=none"'
MEMORY = 'transport = "memory"'


class Usher(WireServer):
    name = "usher"

    def __init__(self, home: Path, binary: Path, *, cpu: str = SERVER_CPU, database: str | None = None,
                 tenants: int = TENANTS, mail: str = OWED, max_batch: int = 64, more: str = ""):
        super().__init__(home, cpu)
        self.binary, self.tenants, self.admin = binary.resolve(), tenants, free_port()
        self.file = home / "usher.db"
        self.database = database or f"sqlite://{self.file}"
        self.configure(mail, max_batch, more)

    def configure(self, mail: str = OWED, max_batch: int = 64, more: str = ""):
        """writes its configuration; `more` are sections that it has not"""
        folder = self.home / "config" / "tenants"
        folder.mkdir(parents=True, exist_ok=True)
        (self.home / "config" / "usher.toml").write_text(CONFIG.format(
            addr=self.addr, admin=self.admin, database=self.database, key_id=wire.LINK_KEY_ID,
            key=base64.b64encode(wire.LINK_KEY).decode(), issuer=wire.ISSUER, audience=wire.AUDIENCE,
            secret=wire.SECRET, mail=mail, max_batch=max_batch) + more)
        for at in range(self.tenants):
            (folder / f"bench-{at}.toml").write_text(TENANT.format(
                id=wire.tenant_id(at), at=at, workspace=wire.workspace_id(at), owner=OWNER_EMAIL))

    def command(self):
        return [self.binary, "--config", self.home / "config", "--data-dir", self.home / "data",
                "--listen", self.addr, "serve"], {}

    def is_ready(self) -> bool:
        return self.answers("/readyz", self.admin)

    def figure(self, *names: str) -> float:
        """the sum of these figures of its own, whatever their labels; asking has it put all of them together"""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as page:
            lines = [line.rpartition(" ") for line in page.read().decode().splitlines()]
        return sum(float(value) for name, _, value in lines if name.split("{")[0] in names)

    def refused(self) -> float:
        """changes that found no room or no time, since it started"""
        return self.figure("usher_lane_refused_total", "usher_requests_crowded_out_total")

    def ask(self, sql: str, *values) -> int:
        """a number out of its SQLite file, while it runs"""
        with contextlib.closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(sql, values).fetchone()[0]

    def version(self) -> str:
        return hashlib.sha256(self.binary.read_bytes()).hexdigest()[:12]
