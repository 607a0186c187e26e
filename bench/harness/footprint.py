"""`footprint`: what usher takes before it is asked anything: memory, time to start, the size of its binary."""

import statistics
import time

from .figures import Rounds, page, rows, short
from .machine import conditions, describe, say
from .scratch import Scratch
from .usher import Usher
from .workloads import Cell, measure

MEMORY, BINARY, COLD_START = 40, 40, 0.5                  # MiB, MB, seconds


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
            finally:
                server.stop()
            facts["binary"] = scratch.usher.stat().st_size / 1e6
            found.add("usher", "footprint", facts)
            say(f"round {number + 1}/{args.rounds}: {facts}")
    return found


def table(found: Rounds) -> str:
    of = lambda name: short(statistics.median(one[name] for one in found.results("usher", "footprint")))
    return page(found, rows([["", "measured", "at most"],
                             ["release binary, MB", of("binary"), str(BINARY)],
                             ["memory idle, MiB", of("idle"), str(MEMORY)],
                             ["memory after creates and mixed requests, MiB", of("worked"), ""],
                             ["the most memory there was, MiB", of("most"), ""],
                             ["cold start to ready with an empty disk (migrates), s", of("first"), ""],
                             ["cold start to ready, s", of("again"), str(COLD_START)]]))
