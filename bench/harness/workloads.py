"""The workloads: what requests a cell sends to a system, and how it is measured."""

import itertools
import random
from dataclasses import dataclass

from .client import load
from .server import Server

MIX = ["preview"] * 90 + ["create"] * 5 + ["accept"] * 4 + ["list"]
AHEAD = 1.7               # requests made for a cell, times what the system last managed


@dataclass(frozen=True)
class Cell:
    """One row of a table."""
    workload: str
    connections: int

    def __str__(self):
        return f"{self.workload}/{self.connections}"

    def words(self) -> list[str]:
        """as the first columns of a table"""
        return [self.workload, str(self.connections)]


COMPARED = [Cell("preview", 1), Cell("preview", 16), Cell("preview", 64),
            Cell("create", 1), Cell("create", 16), Cell("create", 64), Cell("create, many tenants", 64),
            Cell("accept", 1), Cell("accept", 16), Cell("accept", 64), Cell("list of 100", 16), Cell("mixed", 64)]
# the heaviest of each kind, for runs that compare a system with itself
HEAVY = [Cell("preview", 16), Cell("create", 64), Cell("create, many tenants", 64), Cell("accept", 64),
         Cell("list of 100", 16), Cell("mixed", 64)]


def chosen(cells: list[Cell], names: str | None) -> list[Cell]:
    """those whose name, or name and connections, is in a comma-separated list: `create,preview/16`"""
    if not names:
        return cells
    wanted = names.split(",")
    found = [cell for cell in cells if str(cell) in wanted or cell.workload in wanted]
    if not found:
        raise SystemExit(f"no such workload; there are {', '.join(map(str, cells))}")
    return found


def measure(system: Server, cell: Cell, seconds: float, rate: float | None = None) -> dict:
    """one cell of one round: what the client saw, and the share of its processor that the server used"""
    expected = rate or system.rates.get(cell, system.guess) * AHEAD
    count = int(expected * seconds) + 4 * cell.connections
    requests, repeat, used = prepared(system, cell.workload, count)
    before = system.processor_seconds()
    found = load(system.addr, requests, cell.connections, seconds, repeat=repeat, rate=rate)
    found["server_cpu"] = (system.processor_seconds() - before) / found["seconds"]
    # an invite that was sent for is used up, answered or not
    del system.unused[:min(used, sent(found, "accept") + cell.connections)]
    system.rates[cell] = max(found["good_per_second"], 1)
    return found


def sent(found: dict, group: str) -> int:
    return sum(one["count"] for one in found["groups"].get(group, {}).values()) + found["broken"]


def prepared(system: Server, workload: str, count: int) -> tuple[list[bytes], bool, int]:
    """requests, whether they are sent round and round, and how many invites of `system.unused` are among them"""
    match workload:
        case "preview":
            return [system.preview(invite) for invite in system.hot], True, 0
        case "create":
            return [system.create(0) for _ in range(count)], False, 0
        case "create, many tenants":
            return [system.create(at % (system.tenants - 1)) for at in range(count)], False, 0
        case "accept":
            invites = system.acceptable(count)
            return [system.accept(invite) for invite in invites], False, len(invites)
        case "list of 100":
            return [system.list() for _ in range(100)], True, 0
        case "mixed":
            return mixed(system, count)
    raise ValueError(workload)


def mixed(system: Server, count: int) -> tuple[list[bytes], bool, int]:
    rounds = count // len(MIX) + 1
    invites = system.acceptable(rounds * MIX.count("accept"))
    accepts, previews = iter(invites), itertools.cycle(system.hot)
    tenants, order = itertools.cycle(range(system.tenants - 1)), random.Random(7)
    make = {"preview": lambda: system.preview(next(previews)), "create": lambda: system.create(next(tenants)),
            "accept": lambda: system.accept(next(accepts)), "list": system.list}
    kinds = [kind for _ in range(rounds) for kind in order.sample(MIX, len(MIX))]
    return [make[kind]() for kind in kinds], False, len(invites)


def warm(system: Server, seconds: float):
    """a discarded second of each kind, so that just-in-time compilers settle and pages fill"""
    for cell in HEAVY:
        found = measure(system, cell, seconds)
        for other in COMPARED:
            if other.workload == cell.workload:
                system.rates.setdefault(other, found["good_per_second"])
