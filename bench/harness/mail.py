"""`mail`: how fast owed mails leave into a local relay that takes everything at once, what the API notices of it, and
what a backlog takes in memory. Three servers share the processor in turn."""

import contextlib
import socket
import statistics
import subprocess
import time

from . import usher
from .client import load
from .figures import Rounds, against, page, rows, short, spread
from .machine import CLIENT_CPU, PROGRAMS, conditions, describe, free_port, pinned, say, wait_for
from .scratch import Scratch
from .seed import Seed
from .usher import Usher
from .workloads import mixed

MAILS, P50, P99 = 500, 1.05, 1.25             # a second at least; times idle at most
RATE, CONNECTIONS = 300, 16                   # of the API meanwhile: mixed requests a second, open loop
STATES = ("idle", "busy", "dead relay")


class Sink:
    """The relay (`rust/src/bin/sink.rs`)."""

    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen(pinned(CLIENT_CPU, PROGRAMS / "sink", "--listen", f"127.0.0.1:{self.port}"))
        wait_for(self.answers, "the sink", 10)
        self.transport = f'transport = "smtp"\nurl = "smtp://127.0.0.1:{self.port}?tls=none"'

    def answers(self) -> bool:
        try:
            return self.taken() >= 0
        except OSError:
            return False

    def taken(self) -> int:
        with socket.create_connection(("127.0.0.1", self.port), 5) as stream, stream.makefile("rwb") as talk:
            talk.readline()
            talk.write(b"COUNT\r\n")
            talk.flush()
            return int(talk.readline().split()[1])

    def stop(self):
        self.process.terminate()
        self.process.wait()


def mail(args) -> Rounds:
    found = Rounds("mail", machine=describe(), seconds=args.seconds, backlog=args.backlog, memory={})
    with Scratch(args) as scratch, contextlib.ExitStack() as stack:
        sink = Sink()
        stack.callback(sink.stop)
        servers = {}
        for state in STATES:
            say(f"starting the server that is {state}")
            server = servers[state] = Usher(scratch.home / state.replace(" ", "-"), scratch.usher, mail=sink.transport)
            stack.callback(server.stop)
            server.start()
            server.settle()
            server.hot = server.pending(1_000, 1)
            server.pending(100, server.tenants - 1)
            server.acceptable(int(args.rounds * args.seconds * RATE * 0.05) + 200)
            if state != "idle":
                owe(server, args.backlog, usher.OWED if state == "dead relay" else sink.transport)
                time.sleep(5)
            found.facts["memory"][state] = server.memory()
            server.pause()
        for number in range(args.rounds):
            found.begin(conditions(scratch.home))
            turn = number % len(STATES)
            for state in STATES[turn:] + STATES[:turn]:
                with servers[state].awake():
                    found.add("api", state, measured(servers[state], sink, args.seconds))
            found.save(args.out)
            seen = {state: found.results("api", state)[-1]["latency"] for state in STATES}
            told = [f"{state} p50 {short(one['p50_us'] / 1000)} p99 {short(one['p99_us'] / 1000)} ms"
                    for state, one in seen.items()]
            say(f"round {number + 1}/{args.rounds}: {', '.join(told)}")
        # nobody asks anything now: the most that leaves in a second
        with servers["busy"].awake():
            before = sink.taken()
            time.sleep(5)
            found.facts["alone"] = (sink.taken() - before) / 5
            found.facts["left"] = args.backlog - sink.taken()
    return found


def owe(server: Usher, count: int, transport: str):
    """stops it, puts so many mails that are owed into its tables, and starts it again"""
    server.stop()
    seed = Seed(server.file)
    seed.invites(count, server.tenants - 1, mail="queued", accepted=False)
    seed.close()
    server.configure(transport)
    server.start()


def measured(server: Usher, sink: Sink, seconds: float) -> dict:
    requests, _, used = mixed(server, int(RATE * seconds))
    before = sink.taken()
    found = load(server.addr, requests, CONNECTIONS, seconds, rate=RATE)
    del server.unused[:used]
    return found | {"mails": (sink.taken() - before) / found["seconds"], "memory": server.memory()}


def table(found: Rounds) -> str:
    def pairs(state: str, which: str) -> list[float]:
        return [one["latency"][which] / idle["latency"][which]
                for one, idle in zip(found.results("api", state), found.results("api", "idle"))]

    milli = lambda state, which: short(found.middle("api", state, lambda one: one["latency"][which]) / 1000)
    lines = [[f"mixed, {RATE} requests a second", "p50 ms", "p99 ms", "p50 / idle", "p99 / idle", "mails/s",
              "memory at the start, MiB", "at the end"]]
    for state in STATES:
        ratios, mails = ["", ""], [one["mails"] for one in found.results("api", state)]
        if state != "idle":
            ratios = [against(statistics.median(pairs(state, which)), most, most=True)
                      for which, most in (("p50_us", P50), ("p99_us", P99))]
        lines.append([state, milli(state, "p50_us"), milli(state, "p99_us"), *ratios,
                      spread(mails) if state == "busy" else "",
                      short(found.facts["memory"][state]), short(found.results("api", state)[-1]["memory"])])
    owed = f"{found.facts['backlog']:,} mails owed by the server that is busy and by the one whose relay is dead"
    alone = f"With nobody asking anything {against(found.facts['alone'], MAILS)} mails/s leave."
    spent = ["VOID: the backlog ran out; ask for more with --backlog"] * (found.facts["left"] <= 0)
    return page(found, f"{owed}\n", rows(lines), alone, *spent)
