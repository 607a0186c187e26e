"""`postgres`: usher on PostgreSQL against two bare inserts in a transaction of their own, at the concurrency at which
those are fastest; database and server share one processor in both."""

import contextlib

from .client import load
from .databases import Postgres
from .engine import bare, bare_database
from .figures import Rounds, against, milliseconds, page, rows, short, spread
from .machine import SERVER_CPU, conditions, describe, say
from .replicas import replicas
from .scratch import Scratch
from .usher import Usher
from .workloads import AHEAD

TENANTS, CONNECTIONS = 16, 64
CONCURRENCY = (1, 4, 8, 16, 32)
TARGET = 1.0


def postgres(args) -> Rounds:
    if args.replicas:
        return replicas(args)
    found = Rounds("postgres", machine=describe(), seconds=args.seconds)
    with Scratch(args) as scratch, contextlib.ExitStack() as stack:
        database = Postgres(scratch.home, SERVER_CPU)
        stack.callback(database.stop)
        server = Usher(scratch.home / "usher", scratch.usher, database=database.fresh("usher"), tenants=TENANTS)
        stack.callback(server.stop)
        server.start()
        server.settle()
        empty = bare_database(scratch.home / "bare", scratch.usher, database.fresh("bare"))
        bare("create", empty, batch=1, connections=8, count=2_000)
        for kind in ("create", "accept"):
            commands(server, kind, 1.0)
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            for kind in ("create", "accept"):
                found.add(kind, "usher", commands(server, kind, args.seconds))
            for connections in CONCURRENCY:
                count = int(12_000 * args.seconds)                # ended by the time
                found.add("bare", str(connections), bare("create", empty, batch=1, connections=connections, count=count,
                                                         seconds=args.seconds))
            say(f"round {number + 1}/{args.rounds}: create {short(found.rates('create', 'usher')[-1])}/s, "
                f"accept {short(found.rates('accept', 'usher')[-1])}/s, two inserts {short(best(found)[1][-1])}/s")
            found.save(args.out)
    return found


def commands(server: Usher, kind: str, seconds: float) -> dict:
    count = int(server.rates.get(kind, 1_000) * AHEAD * seconds) // TENANTS + 8
    if kind == "create":
        requests = [server.create(at % TENANTS) for at in range(count * TENANTS)]
    else:
        share = [server.pending(count, tenant) for tenant in range(TENANTS)]
        requests = [server.accept(invite) for together in zip(*share) for invite in together]
    found = load(server.addr, requests, CONNECTIONS, seconds)
    server.rates[kind] = found["good_per_second"]
    return found


def best(found: Rounds) -> tuple[str, list[float]]:
    """the concurrency at which bare inserts are fastest, and their rates"""
    every = {name: found.rates("bare", name) for name in map(str, CONCURRENCY)}
    name = max(every, key=lambda name: sorted(every[name])[len(every[name]) // 2])
    return name, every[name]


def table(found: Rounds) -> str:
    name, inserts = best(found)
    for result, one in zip(found.rounds, inserts):
        for kind in ("create", "accept"):
            result["found"][kind]["bare"] = {"good_per_second": one}
    lines = [["16 tenants, 64 connections", "usher, /s", f"two inserts at {name} connections, /s", "usher / inserts",
              "p50 / p99 ms"]]
    for kind in ("create", "accept"):
        lines.append([kind, spread(found.rates(kind, "usher")), spread(inserts),
                      against(found.ratio(kind, "usher", "bare"), TARGET), milliseconds(found, kind, "usher")])
    others = ", ".join(f"{name}: {spread(found.rates('bare', name))}" for name in map(str, CONCURRENCY))
    return page(found, rows(lines), f"Two inserts a second by connections: {others}")
