"""The limit: what actix-web and one SQLite writer allow over HTTP when nothing else is done
(`rust/src/bin/limit.rs`)."""

from .machine import PROGRAMS
from .server import WireServer


class Limit(WireServer):
    name = "limit"
    guess = 8_000

    def command(self):
        return [PROGRAMS / "limit", "--listen", self.addr, "--database", self.home / "limit.db"], {}
