"""`retention`: what creates notice while tens of thousands of rows are being forgotten beside them. Three servers with
the same rows share the processor in turn: one keeps all, one forgets mails that have left, one invites that ended."""

import contextlib
import statistics
import time

from .client import load
from .figures import Rounds, page, rows, short, spread
from .machine import conditions, describe, say
from .scratch import Scratch
from .seed import DAY, Seed
from .usher import Usher

RATE, CONNECTIONS, TENANT = 100, 64, 99       # creates a second, open loop
# what each server is told, and what is outdated with it
STATES = {
    "nothing": ("", None),
    "mails": ('[retention]\nmails = "1d"\n', "outbox WHERE state = 'sent' AND inserted_at < ?"),
    "invites": ('[retention]\ninvites = "1d"\n', "invites WHERE status = 'accepted' AND accepted_at < ?"),
}


def retention(args) -> Rounds:
    found = Rounds("retention", machine=describe(), seconds=args.seconds, backlog=args.backlog, outdated={})
    with Scratch(args) as scratch, contextlib.ExitStack() as stack:
        servers = {}
        for state, (told, outdated) in STATES.items():
            say(f"starting the server that forgets {state}, with {args.backlog:,} invites of the last three days")
            server = servers[state] = Usher(scratch.home / state, scratch.usher)
            stack.callback(server.stop)
            seeded(server, args.backlog, told)
            server.pause()
            if outdated:
                found.facts["outdated"][state] = [waiting(server, outdated)]
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            turn, names = number % len(STATES), list(STATES)
            for state in names[turn:] + names[:turn]:
                with servers[state].awake():
                    found.add("creates", state, measured(servers[state], args.seconds))
            found.save(args.out)
            seen = {state: found.results("creates", state)[-1] for state in STATES}
            told = [f"{state} p99 {short(one['latency']['p99_us'] / 1000)} ms, {short(one['forgotten'])} rows/s"
                    for state, one in seen.items()]
            say(f"round {number + 1}/{args.rounds}, forgetting {'; '.join(told)}")
        for state, (_, outdated) in STATES.items():
            if outdated:
                found.facts["outdated"][state].append(waiting(servers[state], outdated))
    return found


def seeded(server: Usher, invites: int, told: str):
    """starts it with so many invites, a third of which are younger than a day, and what it is told about forgetting"""
    server.start()
    server.settle()
    server.stop()
    seed = Seed(server.file)
    seed.invites(invites, server.tenants - 1)
    seed.close()
    server.configure(more=told)
    server.start()
    server.settle()


def waiting(server: Usher, outdated: str) -> int:
    """rows that it has still to forget"""
    return server.ask(f"SELECT count(*) FROM {outdated}", int(time.time() * 1000) - DAY)


def measured(server: Usher, seconds: float) -> dict:
    requests = [server.create(TENANT, mail=False) for _ in range(int(RATE * seconds))]
    before = server.figure("usher_rows_forgotten_total")
    found = load(server.addr, requests, CONNECTIONS, seconds, rate=RATE)
    return found | {"forgotten": (server.figure("usher_rows_forgotten_total") - before) / found["seconds"]}


def table(found: Rounds) -> str:
    of = lambda state, which: [one["latency"][which] for one in found.results("creates", state)]
    milli = lambda state, which: spread([micros / 1000 for micros in of(state, which)])
    lines = [[f"creates, {RATE} a second, while is forgotten", "p50 ms", "p99 ms", "p50 / nothing", "p99 / nothing",
              "rows forgotten/s"]]
    for state in STATES:
        ratios = ["", ""]
        if state != "nothing":
            ratios = [short(statistics.median(one / calm for one, calm in zip(of(state, which), of("nothing", which))))
                      for which in ("p50_us", "p99_us")]
        lines.append([state, milli(state, "p50_us"), milli(state, "p99_us"), *ratios,
                      spread([one["forgotten"] for one in found.results("creates", state)])])
    outdated = found.facts["outdated"].items()
    told = "; ".join(f"{state}: {seen[0]:,} outdated at the start, {seen[-1]:,} at the end" for state, seen in outdated)
    spent = [f"VOID: outdated {state} ran out; ask for more with --backlog" for state, seen in outdated if not seen[-1]]
    return page(found, rows(lines), told, *spent)
