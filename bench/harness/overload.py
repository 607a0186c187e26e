"""`overload`: usher at twice what it can take. What is admitted stays quick, what is refused is refused at once and
told when to come again, memory stays bounded, it recovers, and a tenant that floods troubles no other."""

import statistics
import time

from .client import Load, load
from .figures import Rounds, page, rows, short
from .machine import conditions, describe, say
from .scratch import Scratch
from .usher import Usher
from .workloads import AHEAD

CONNECTIONS = 5_000                           # more than may queue, so that requests are due whatever the server does
FLOODS = {"one tenant": 1, "100 tenants": 100}
REFUSED, TROUBLED = 100, 2.0                  # milliseconds; times the p99 of a calm server
RECOVERED, PATIENCE = 1.5, 15                 # times the calm p99; seconds
EXPECTED = ("200", "201", "429", "503")
OTHER, OTHER_RATE = 99, 100                   # the tenant beside the flood, and its creates a second


def overload(args) -> Rounds:
    found = Rounds("overload", machine=describe(), seconds=args.seconds)
    with Scratch(args) as scratch:
        server = Usher(scratch.home / "usher", scratch.usher)
        try:
            server.start()
            server.settle()
            saturated(server, 1, 1.0)
            for number in range(args.rounds):
                found.begin(conditions(scratch.home))
                for name, tenants in FLOODS.items():
                    found.add(name, "flood", flooded(server, tenants, args.seconds))
                found.add("another tenant", "flood", troubled(server, args.seconds))
                found.save(args.out)
                say(f"round {number + 1}/{args.rounds} done")
        finally:
            server.stop()
    return found


def commands(server: Usher, tenants: int, count: int) -> list[bytes]:
    """creates and accepts by turns"""
    each = count // 2 // tenants + 1
    share = [server.pending(each, tenant) for tenant in range(tenants)]
    invites = [invite for together in zip(*share) for invite in together]
    return [request for at, invite in enumerate(invites)
            for request in (server.create(at % tenants, mail=False), server.accept(invite))]


def saturated(server: Usher, tenants: int, seconds: float) -> dict:
    """the most it does for 64 connections"""
    count = int(server.rates.get(tenants, 2_000) * AHEAD * seconds)
    found = load(server.addr, commands(server, tenants, count), 64, seconds)
    server.rates[tenants] = found["good_per_second"]
    return found


def calm(server: Usher, seconds: float = 1.0) -> dict:
    """creates at a modest rate in a tenant that nobody floods"""
    requests = [server.create(OTHER, mail=False) for _ in range(int(OTHER_RATE * seconds))]
    return load(server.addr, requests, 64, seconds, rate=OTHER_RATE)


def flooded(server: Usher, tenants: int, seconds: float) -> dict:
    before, memory = calm(server, 2.0), server.memory()
    rate = saturated(server, tenants, seconds)["good_per_second"]
    requests = commands(server, tenants, int(2 * rate * seconds))
    flood, most = Load(server.addr, requests, CONNECTIONS, seconds, rate=2 * rate), memory
    while flood.process.poll() is None:
        most = max(most, server.memory())
        time.sleep(0.1)
    ended, result = time.monotonic(), flood.result()
    normal, after, spent = RECOVERED * before["latency"]["p99_us"], None, 0.0
    while (after is None or after > normal) and spent < PATIENCE:
        after = calm(server, 0.5)["latency"]["p99_us"]
        spent = time.monotonic() - ended
    refusals = [one for group in result["groups"].values() for status, one in group.items() if status in ("429", "503")]
    return {**result, "saturation": rate, "memory": memory, "most": most, "recovered": spent,
            "refused": sum(one["count"] for one in refusals) / result["seconds"],
            "refused_p99": max((one["p99_us"] for one in refusals), default=None)}


def troubled(server: Usher, seconds: float) -> dict:
    """one tenant's creates beside another's flood, against the same on a calm server"""
    before = calm(server, seconds)
    rate = server.rates[1]
    requests = commands(server, 1, int(2 * rate * (seconds + 3)))
    refused = server.refused()
    flood = Load(server.addr, requests, CONNECTIONS, seconds + 3, rate=2 * rate, background=True)
    # opening thousands of connections is another matter
    while server.refused() == refused and flood.process.poll() is None:
        time.sleep(0.05)
    beside = calm(server, seconds)
    if flood.process.poll() is not None:
        raise RuntimeError("the flood was over before the other tenant had been looked at")
    flood.result()
    return {"calm": before["latency"], "beside": beside["latency"], "statuses": beside["statuses"],
            "broken": beside["broken"], "refusals": beside["refusals"]}


def table(found: Rounds) -> str:
    def facts(of, scale: float = 1) -> list[str]:
        """the median of each flood"""
        middles = [found.middle(row, "flood", of) for row in FLOODS]
        return [short(value / scale if value is not None else None) for value in middles]

    memory = zip(facts(lambda one: one["memory"]), facts(lambda one: one["most"]))
    floods = rows([
        ["twice saturation, creates and accepts", *FLOODS],
        ["saturation, /s", *facts(lambda one: one["saturation"])],
        ["admitted, /s", *facts(lambda one: one["good_per_second"])],
        ["admitted, p50 ms", *facts(lambda one: one["latency"]["p50_us"], 1000)],
        ["admitted, p99 ms", *facts(lambda one: one["latency"]["p99_us"], 1000)],
        ["refused with 429 or 503, /s", *facts(lambda one: one["refused"])],
        [f"refused, p99 ms (≤ {REFUSED})", *facts(lambda one: one["refused_p99"], 1000)],
        ["refused without Retry-After", *facts(lambda one: one["mute"])],
        ["memory before / most, MiB", *(" / ".join(pair) for pair in memory)],
        [f"p99 within {RECOVERED:g} × of calm after, s", *facts(lambda one: one["recovered"])]])
    beside = found.results("another tenant", "flood")
    ratio = statistics.median(one["beside"]["p99_us"] / one["calm"]["p99_us"] for one in beside)
    pair = lambda which: " / ".join(
        short(statistics.median(one[which][name] for one in beside) / 1000) for name in ("p50_us", "p99_us"))
    other = rows([["another tenant, p50 / p99 ms", "calm", "beside a flood", f"p99, ratio (≤ {TROUBLED:g})"],
                  [f"creates, {OTHER_RATE} a second", pair("calm"), pair("beside"), short(ratio)]])
    odd = {status for _, _, one in found.all() for status in one["statuses"] if status not in EXPECTED}
    broken = sum(one["broken"] for _, _, one in found.all())
    doubted = [f"ODD: answers {', '.join(sorted(odd))}"] * bool(odd)
    doubted += [f"ODD: {broken} connections broke"] * bool(broken)
    return page(found, floods, other, doubted=doubted)
