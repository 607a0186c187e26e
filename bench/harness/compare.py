"""`compare`: usher beside the limit and its peers, on the same work, in interleaved rounds."""

import contextlib
from dataclasses import astuple

from .better_auth import BetterAuth
from .fastify import Fastify
from .figures import Rounds, against, milliseconds, page, rows, short, spread
from .limit import Limit
from .machine import conditions, describe, say
from .scratch import Scratch
from .usher import Usher
from .workloads import COMPARED, Cell, chosen, measure, warm

SYSTEMS = {"usher": Usher, "limit": Limit, "fastify": Fastify, "better-auth": BetterAuth}

# what usher must reach at least: times the limit, the Fastify service, Better Auth
TARGETS = {
    Cell("preview", 16): {"limit": 0.9}, Cell("preview", 64): {"limit": 0.9},
    Cell("create", 1): {"limit": 0.7}, Cell("create", 64): {"limit": 0.5, "fastify": 4, "better-auth": 40},
    Cell("create, many tenants", 64): {"limit": 0.5, "fastify": 4, "better-auth": 40},
    Cell("accept", 1): {"limit": 0.6}, Cell("accept", 64): {"limit": 0.5, "fastify": 3.5, "better-auth": 40},
    Cell("list of 100", 16): {"limit": 1.0}, Cell("mixed", 64): {"limit": 0.7},
}


def compare(args):
    names = args.systems.split(",")
    cells = chosen(COMPARED, args.workloads)
    found = Rounds("compare", machine=describe(), systems=names, cells=[astuple(cell) for cell in cells],
                   seconds=args.seconds, rate=args.rate)
    with Scratch(args) as scratch, contextlib.ExitStack() as stack:
        systems = {}
        for name in names:
            make, home = SYSTEMS[name], scratch.home / name
            system = make(home, scratch.usher) if make is Usher else make(home)
            stack.callback(system.stop)
            say(f"starting {system.name}, which took {system.start():.2f} s; preparing and warming it")
            system.prepare()
            warm(system, args.warm)
            system.pause()
            systems[name] = system
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            for at, cell in enumerate(cells):
                # another goes first each time, so that none always follows the same
                turn = (number + at) % len(names)
                for name in names[turn:] + names[:turn]:
                    with systems[name].awake():
                        result = measure(systems[name], cell, args.seconds, args.rate)
                    found.add(cell, name, result)
                    say(f"round {number + 1}/{args.rounds} {cell} {name}: {short(result['good_per_second'])}/s, "
                        f"{short(found.costs(cell, name)[-1])} µs of its processor each")
            found.save(args.out)
    return found


def table(found: Rounds) -> str:
    cells = [Cell(*cell) for cell in found.facts["cells"]]
    return page(found, *(at_a_rate if found.facts["rate"] else at_full_speed)(found, found.facts["systems"], cells))


def at_a_rate(found: Rounds, names: list[str], cells: list[Cell]):
    yield f"Open loop, {found.facts['rate']:g} requests a second; p50 / p99 ms from when a request was due\n"
    yield rows([["workload", "connections", *names],
                *([*cell.words(), *(milliseconds(found, cell, name) for name in names)] for cell in cells)])


def at_full_speed(found: Rounds, names: list[str], cells: list[Cell]):
    peers = [name for name in names if name != "usher"]
    lines = [["workload", "connections", *(f"{name}, /s" for name in names), *(f"usher / {name}" for name in peers)]]
    for cell in cells:
        rates = [spread(found.rates(cell, name)) for name in names]
        ratios = [against(found.ratio(cell, "usher", name), TARGETS.get(cell, {}).get(name)) for name in peers]
        lines.append([*cell.words(), *rates, *ratios])
    yield rows(lines)
    lines = [["p50 / p99 ms · processor of the server", "connections", *names]]
    for cell in cells:
        shares = [found.middle(cell, name, lambda one: one["server_cpu"]) for name in names]
        times = [milliseconds(found, cell, name) for name in names]
        lines.append([*cell.words(), *(f"{time} · {short(share)}" for time, share in zip(times, shares))])
    yield rows(lines)
    lines = [["processor, µs a request", "connections", *names, *(f"usher / {name}" for name in peers)]]
    for cell in cells:
        ratios = [short(found.cost_ratio(cell, "usher", name)) for name in peers]
        lines.append([*cell.words(), *(spread(found.costs(cell, name)) for name in names), *ratios])
    yield rows(lines)
