"""`durable`: creates and accepts with batching on and off, on SQLite and PostgreSQL, against the rows of the same
commands committed by the bare engine."""

import contextlib
import time
from pathlib import Path

from . import usher
from .client import load
from .databases import Postgres, Sqlite
from .engine import LIMIT, bare, bare_database
from .figures import Rounds, milliseconds, page, rows, short, spread
from .machine import conditions, describe, say
from .scratch import Scratch
from .usher import Usher

CONNECTIONS = (1, 8, 64)
TENANTS = 16
CELLS = [(connections, 1) for connections in CONNECTIONS] + [(64, TENANTS)]
BARE = {"one": (1, 1), "many": (64, 1), "seven": (1, 7)}          # transactions of so many, on so many connections
# requests of a cell by connections, so that each takes a second or three; half as many without batching
COUNTS = {"SQLite": {1: 1_500, 8: 4_000, 64: 10_000}, "PostgreSQL": {1: 800, 8: 1_500, 64: 4_000}}


class Engine:
    """The servers on one engine, and its bare database."""

    def __init__(self, database, home: Path, binary: Path, share: int, stack: contextlib.ExitStack):
        self.database, self.share, self.name = database, share, database.name
        fresh = lambda name: database.fresh(f"{self.name}-{name}")

        def make(name: str, **how) -> Usher:
            return Usher(home / f"{self.name}-{name}", binary, database=fresh(name), tenants=TENANTS, **how)

        self.servers = {"on": make("on"), "off": make("off", max_batch=1),
                        "delivering": make("delivering", mail=usher.MEMORY)}
        for server in self.servers.values():
            stack.callback(server.stop)
            server.start()
            server.settle()
        self.bare = bare_database(home / f"{self.name}-bare", binary, fresh("bare"))

    def count(self, connections: int) -> int:
        return COUNTS[self.name][connections] // self.share

    def measure(self, found: Rounds):
        for kind in ("create", "accept"):
            for connections, tenants in CELLS:
                for batching, count in (("on", self.count(connections)), ("off", self.count(connections) // 2)):
                    row = f"{self.name} {kind} {connections} {tenants}"
                    found.add(row, batching, commands(self.servers[batching], kind, connections, tenants, count))
            for name, (batch, connections) in BARE.items():
                if connections == 1 or self.name != "SQLite":           # which has one writer
                    count = self.count({"one": 1, "many": 64, "seven": 8}[name])
                    found.add(f"{self.name} {kind} bare", name,
                              bare(kind, self.bare, batch=batch, connections=connections, count=count))
        delivering = commands(self.servers["delivering"], "create", 64, 1, self.count(64))
        found.add(f"{self.name} create 64 1", "delivering", delivering)


def commands(server: Usher, kind: str, connections: int, tenants: int, count: int) -> dict:
    if kind == "create":
        requests = [server.create(at % tenants) for at in range(count)]
    else:
        share = [server.pending(count // tenants, tenant) for tenant in range(tenants)]
        requests = [server.accept(invite) for together in zip(*share) for invite in together]
    before = server.processor_seconds()
    found = load(server.addr, requests, connections, LIMIT)
    return found | {"server_cpu": (server.processor_seconds() - before) / found["seconds"]}


def durable(args) -> Rounds:
    found = Rounds("durable", machine=describe(), engines=args.engines.split(","))
    begun = time.monotonic()
    with Scratch(args) as scratch, contextlib.ExitStack() as stack:
        engines = []
        for name in found.facts["engines"]:
            database = {"sqlite": Sqlite, "postgres": Postgres}[name](scratch.home)
            stack.callback(database.stop)
            engines.append(Engine(database, scratch.home, scratch.usher, 8 if args.quick else 1, stack))
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            for engine in engines:
                engine.measure(found)
            found.save(args.out)
            spent = time.monotonic() - begun
            say(f"round {number + 1} of {args.rounds} done after {spent:.0f} s")
            if spent > args.minutes * 60:
                say(f"stopping: --minutes {args.minutes}")
                break
    return found


def table(found: Rounds) -> str:
    text = []
    for engine in [{"sqlite": "SQLite", "postgres": "PostgreSQL"}[name] for name in found.facts["engines"]]:
        text.append(f"### {engine}, commands per second\n")
        lines = [["", "connections", "tenants", "batching on", "batching off", "on / off", "p50 / p99 ms, on",
                  "processor, µs a command, on", "off"]]
        for kind in ("create", "accept"):
            for connections, tenants in CELLS:
                row = f"{engine} {kind} {connections} {tenants}"
                on, off = spread(found.rates(row, "on")), spread(found.rates(row, "off"))
                costs = [spread(found.costs(row, batching)) for batching in ("on", "off")]
                lines.append([kind, str(connections), str(tenants), on, off, short(found.ratio(row, "on", "off")),
                              milliseconds(found, row, "on"), *costs])
        row = f"{engine} create 64 1"
        lines.append(["create, delivered meanwhile", "64", "1", spread(found.rates(row, "delivering")), "–", "–",
                      milliseconds(found, row, "delivering"), spread(found.costs(row, "delivering")), "–"])
        text.append(rows(lines))
        lines = [["bare engine", "1 a transaction", "64 a transaction", "1 a transaction, 7 connections",
                  "usher at 64 connections / bare at 64"]]
        for kind in ("create", "accept"):
            one, many, seven = (found.rates(f"{engine} {kind} bare", name) for name in BARE)
            ours = found.middle(f"{engine} {kind} 64 1", "on", lambda result: result["good_per_second"])
            theirs = found.middle(f"{engine} {kind} bare", "many", lambda result: result["good_per_second"])
            lines.append([kind, spread(one), spread(many), spread(seven), short(ours / theirs)])
        text.append(rows(lines))
    return page(found, *text)
