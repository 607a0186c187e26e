"""`postgres --replicas 3`: several processes on one PostgreSQL against one process, all on one processor with it, so that
more processes are no more machine: outcomes stay right, a create costs as many statements, and nothing collapses."""

import contextlib

from .client import load
from .databases import Postgres
from .figures import Rounds, milliseconds, page, rows, short, spread
from .machine import SERVER_CPU, conditions, describe, say
from .scratch import Scratch
from .usher import Usher
from .workloads import AHEAD

CONNECTIONS = 64
SPREADS = {"creates over 16 tenants": 16, "creates all in one tenant": 1}


class Group:
    """Processes that serve one database."""

    def __init__(self, name: str, processes: int, database: Postgres, scratch: Scratch, stack: contextlib.ExitStack):
        self.name, self.database, self.rates = name, database, {}
        url = database.fresh(name)
        self.servers = [Usher(scratch.home / f"{name}-{at}", scratch.usher, database=url, tenants=16)
                        for at in range(processes)]
        for server in self.servers:
            stack.callback(server.stop)
            server.start()
        self.servers[0].settle()
        if database.counts:
            database.ask("CREATE EXTENSION pg_stat_statements", self.name)
        for server in self.servers:
            server.pause()

    def creates(self, tenants: int, seconds: float) -> dict:
        count = int(self.rates.get(tenants, 1_000) * AHEAD * seconds) + CONNECTIONS
        requests = [self.servers[0].create(at % tenants) for at in range(count)]
        with contextlib.ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server.awake())
            before, statements = self.invites(), self.statements()
            found = load(",".join(server.addr for server in self.servers), requests, CONNECTIONS, seconds)
            found["statements"] = (self.statements() - statements) / max(found["good"], 1)
            found["missing"] = found["good"] - (self.invites() - before)
            found["gaps"] = self.gaps()
        self.rates[tenants] = found["good_per_second"]
        return found

    def invites(self) -> int:
        return self.number("SELECT count(*) FROM invites")

    def gaps(self) -> int:
        """tenants whose events are not numbered from 1 on, each number once"""
        return self.number("SELECT count(*) FROM tenants LEFT JOIN (SELECT tenant_id, count(*) AS many, max(seq) AS last "
                           "FROM events GROUP BY tenant_id) e ON tenant_id = id "
                           "WHERE event_seq <> coalesce(many, 0) OR event_seq <> coalesce(last, 0)")

    def statements(self) -> int:
        if not self.database.counts:
            return 0
        return self.number("SELECT sum(calls) FROM pg_stat_statements WHERE dbid = "
                           "(SELECT oid FROM pg_database WHERE datname = current_database()) AND query ~* '^(select|insert|"
                           "update|delete|with|begin|commit|savepoint|release)' AND query !~ 'pg_stat|count\\('")

    def number(self, sql: str) -> int:
        return int(self.database.ask(sql, self.name)[0] or 0)


def replicas(args) -> Rounds:
    found = Rounds("replicas", machine=describe(), seconds=args.seconds, processes=args.replicas)
    with Scratch(args) as scratch, contextlib.ExitStack() as stack:
        database = Postgres(scratch.home, SERVER_CPU, counting=True)
        stack.callback(database.stop)
        groups = [Group("one", 1, database, scratch, stack),
                  Group("several", args.replicas, database, scratch, stack)]
        for group in groups:
            for tenants in SPREADS.values():
                group.creates(tenants, 1.0)
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            for what, tenants in SPREADS.items():
                turn = number % 2
                for group in groups[turn:] + groups[:turn]:
                    found.add(what, group.name, group.creates(tenants, args.seconds))
            told = [f"{what}: {short(found.rates(what, 'one')[-1])}/s and {short(found.rates(what, 'several')[-1])}/s"
                    for what in SPREADS]
            say(f"round {number + 1}/{args.rounds}: {', '.join(told)}")
            found.save(args.out)
    return found


def table(found: Rounds) -> str:
    several = f"{found.facts['processes']} processes"
    lines = [["64 connections", "one process, /s", f"{several}, /s", f"{several} / one", "p50 / p99 ms, one",
              f"p50 / p99 ms, {several}", "statements a create, one", several]]
    for what in SPREADS:
        cost = [found.middle(what, column, lambda one: one["statements"]) for column in ("one", "several")]
        lines.append([what, *(spread(found.rates(what, column)) for column in ("one", "several")),
                      short(found.ratio(what, "several", "one")),
                      *(milliseconds(found, what, column) for column in ("one", "several")), *map(short, cost)])
    wrong = sum(abs(one["missing"]) + one["gaps"] for _, _, one in found.all())
    outcome = f"WRONG: {wrong} invites or numbers of events" if wrong else \
        "Every invite that was answered is there once, and no tenant's events have a gap."
    return page(found, rows(lines), outcome)
