"""`growth`: usher against itself as it grows, from a thousand invites to a million and from a hundred tenants to ten
thousand. Every size is a server of its own; they share the processor in turn."""

import contextlib
import os
import signal
import statistics
import time
from dataclasses import astuple

from .figures import Rounds, against, milliseconds, page, rows, short, spread
from .machine import conditions, describe, say, wait_for
from .scratch import Scratch
from .seed import Seed
from .usher import Usher
from .workloads import HEAVY, Cell, chosen, measure, warm

SIZES = [(1_000, 100), (100_000, 100), (1_000_000, 100), (100_000, 10_000)]
THROUGHPUT, LATENCY, COLD_START = 0.85, 1.3, 0.5          # at a million against a thousand; seconds
STARTS = 5


def named(invites: int, tenants: int) -> str:
    return f"{invites:,} invites, {tenants:,} tenants"


def growth(args) -> Rounds:
    asked = [tuple(int(float(part)) for part in size.split("/")) for size in (args.sizes or "").split(",") if size]
    sizes = asked or SIZES
    cells = chosen(HEAVY, args.workloads)
    found = Rounds("growth", machine=describe(), sizes=sizes, cells=[astuple(cell) for cell in cells],
                   seconds=args.seconds, facts={})
    with Scratch(args) as scratch, contextlib.ExitStack() as stack:
        systems = {}
        for invites, tenants in sizes:
            name = named(invites, tenants)
            system = Usher(scratch.home / f"{invites}-{tenants}", scratch.usher, tenants=tenants + 1)
            stack.callback(system.stop)
            found.facts["facts"][name] = grown(system, invites)
            system.settle()
            system.pending(100, system.tenants - 1)
            warm(system, args.warm)
            system.pause()
            systems[name] = system
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            names = list(systems)
            for at, cell in enumerate(cells):
                turn = (number + at) % len(names)
                for name in names[turn:] + names[:turn]:
                    with systems[name].awake():
                        result = measure(systems[name], cell, args.seconds)
                    found.add(cell, name, result)
                    say(f"round {number + 1}/{args.rounds} {cell} with {name}: {short(result['good_per_second'])}/s")
            found.save(args.out)
        for name, system in systems.items():
            with system.awake():
                found.facts["facts"][name] |= {"memory": system.memory(), "reload": reloaded(system)}
    return found


def grown(system: Usher, invites: int) -> dict:
    """a running server that holds so many invites, and what that costs before anybody asks it anything"""
    system.start()
    system.stop()
    begun, empty = time.monotonic(), system.file.stat().st_size
    seed = Seed(system.file)
    seed.invites(invites, system.tenants - 1)
    # previews are of what was seeded, so that they are spread over the whole table
    system.hot = [link for tenant in range(10) for link in seed.links(100, tenant)]
    seed.close()
    disk = (system.file.stat().st_size - empty) / invites
    say(f"seeded {named(invites, system.tenants - 1)} in {time.monotonic() - begun:.0f} s; starting it {STARTS} times")
    starts = []
    for at in range(STARTS):
        if at:
            system.stop()
        starts.append(system.start())
    time.sleep(2)
    return {"disk": disk, "starts": starts, "idle": system.memory()}


def reloaded(system: Usher) -> float:
    """seconds from a changed tenant file and a hangup until an answer shows it"""
    path = system.home / "config" / "tenants" / "bench-0.toml"
    path.write_text(path.read_text().replace("Acme Corp", "Acme Limited"))
    begun = time.monotonic()
    os.kill(system.process.pid, signal.SIGHUP)
    shown = lambda: b"Acme Limited" in system.get("/api/v1/workspace-invites/" + system.hot[0]["token"])[2]
    wait_for(shown, "the changed name of a tenant", 60, pause=0.005)
    return time.monotonic() - begun


def table(found: Rounds) -> str:
    names = [named(*size) for size in found.facts["sizes"]]
    cells = [Cell(*cell) for cell in found.facts["cells"]]
    least, most = named(1_000, 100), named(1_000_000, 100)
    lines = [["requests a second", "connections", *names, "10^6 / 10^3"]]
    for cell in cells:
        lines.append([*cell.words(), *(spread(found.rates(cell, name)) for name in names),
                      against(found.ratio(cell, most, least), THROUGHPUT)])
    rates = rows(lines)
    lines = [["p50 / p99 ms", "connections", *names, "p99, 10^6 / 10^3"]]
    for cell in cells:
        slow = [found.middle(cell, name, lambda one: one["latency"]["p99_us"]) for name in (most, least)]
        lines.append([*cell.words(), *(milliseconds(found, cell, name) for name in names),
                      against(slow[0] / slow[1] if all(slow) else None, LATENCY, most=True)])
    times = rows(lines)
    lines = [["processor, µs a request", "connections", *names, "10^6 / 10^3"]]
    for cell in cells:
        lines.append([*cell.words(), *(spread(found.costs(cell, name)) for name in names),
                      short(found.cost_ratio(cell, most, least))])
    facts = [found.facts["facts"][name] for name in names]
    return page(found, rates, times, rows(lines), rows([
        ["", *names],
        [f"cold start to ready, s (≤ {COLD_START})", *(short(statistics.median(one["starts"])) for one in facts)],
        ["memory idle, MiB", *(short(one["idle"]) for one in facts)],
        ["memory after the rounds, MiB", *(short(one["memory"]) for one in facts)],
        ["bytes on disk an invite, with its events, mail and member", *(short(one["disk"]) for one in facts)],
        ["reload of a changed tenant, s", *(short(one["reload"]) for one in facts)],
    ]))
