"""`footprint`: what usher takes before it is asked anything: memory, time to start, the size of its binary. And what
many requests leave in its memory, when nobody reads its figures meanwhile."""

import statistics
import time

from . import wire
from .client import load
from .figures import Rounds, page, rows, short, spread
from .machine import conditions, describe, say
from .scratch import Scratch
from .usher import Usher
from .workloads import Cell, measure

MEMORY, BINARY, COLD_START = 40, 40, 0.5                  # MiB, MB, seconds
LONG = 8                                                  # times the seconds of a cell, for each of two long runs
PUT_TOGETHER = 6                                          # seconds in which it has put its figures together by itself


def footprint(args) -> Rounds:
    found = Rounds("footprint", machine=describe())
    with Scratch(args) as scratch:
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            server = Usher(scratch.home / f"server-{number}", scratch.usher, tenants=args.tenants)
            try:
                facts = {"first": server.start()}
                server.stop()
                facts["again"] = server.start()
                time.sleep(3)
                facts["idle"] = server.memory()
                server.settle()
                for cell in (Cell("create", 64), Cell("mixed", 64)):
                    server.hot = server.hot or server.pending(1_000, 0)
                    measure(server, cell, args.seconds)
                facts["worked"], facts["most"] = server.memory(), server.memory("VmHWM")
                say(f"round {number + 1}/{args.rounds}: {facts}; now two long runs of {LONG * args.seconds:g} s")
                facts["health"] = added(server, [wire.request("health", "GET", "/healthz", server.addr)], args.seconds)
                facts["preview"] = added(server, [server.preview(invite) for invite in server.hot], args.seconds)
                say(f"bytes a health check adds: {facts['health']}, a preview: {facts['preview']}")
            finally:
                server.stop()
            facts["binary"] = scratch.usher.stat().st_size / 1e6
            found.add("usher", "footprint", facts)
            found.save(args.out)
    return found


def added(server: Usher, requests: list[bytes], seconds: float) -> dict:
    """bytes of memory that each of many requests adds, once it has what it needs to answer them at that rate"""
    load(server.addr, requests, 16, PUT_TOGETHER, repeat=True)
    time.sleep(PUT_TOGETHER)
    before = server.memory()
    count = load(server.addr, requests, 16, LONG * seconds, repeat=True)["good"]
    time.sleep(PUT_TOGETHER)
    return {"bytes": (server.memory() - before) * 2**20 / count, "requests": count}


def table(found: Rounds) -> str:
    facts = found.results("usher", "footprint")
    of = lambda name: short(statistics.median(one[name] for one in facts))
    growth = []
    for name, what in (("health", "health checks"), ("preview", "previews")):
        count = short(statistics.median(one[name]["requests"] for one in facts))
        growth.append([f"memory that each of {count} {what} adds, bytes",
                       spread([one[name]["bytes"] for one in facts]), ""])
    return page(found, rows([["", "measured", "at most"],
                             ["release binary, MB", of("binary"), str(BINARY)],
                             ["memory idle, MiB", of("idle"), str(MEMORY)],
                             ["memory after creates and mixed requests, MiB", of("worked"), ""],
                             ["the most memory there was, MiB", of("most"), ""],
                             *growth,
                             ["cold start to ready with an empty disk (migrates), s", of("first"), ""],
                             ["cold start to ready, s", of("again"), str(COLD_START)]]))
