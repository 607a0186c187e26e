"""The service that a good developer writes by hand in a day: Fastify and better-sqlite3 (`peers/fastify`)."""

import json

from . import wire
from .machine import install_peer
from .server import OWNER, TENANTS, WireServer


class Fastify(WireServer):
    name = "Fastify"
    guess = 2_500

    def command(self):
        tenants = [[str(wire.tenant_id(at)), str(wire.workspace_id(at))] for at in range(TENANTS)]
        (self.home / "tenants.json").write_text(json.dumps({"owner": OWNER, "tenants": tenants}))
        return ["node", install_peer("fastify") / "server.js"], {
            "NODE_ENV": "production", "PORT": str(self.port), "DATABASE": str(self.home / "fastify.db"),
            "SECRET": wire.SECRET, "TENANTS": str(self.home / "tenants.json")}
