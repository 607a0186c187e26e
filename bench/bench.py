#!/usr/bin/env python3
"""usher measured: beside its peers and the limits of the machine, as it grows, under overload, while it mails.

    python3 bench/bench.py compare                     usher, the limit, a Fastify service and Better Auth
    python3 bench/bench.py compare --systems usher,limit --workloads create,accept/64 --rounds 1
    python3 bench/bench.py table bench/out/compare.json

Each command builds and installs what it needs, shows its progress, prints a table and keeps the figures in `out/`;
whatever else it makes goes away. See README.md beside this file for what is measured and how to read it.
"""

import argparse
import signal
import sys

from harness import compare, durable, footprint, growth, mail, micro, overload, postgres, replicas, retention
from harness.figures import Rounds
from harness.machine import BENCH

COMMANDS = {"compare": compare.compare, "growth": growth.growth, "footprint": footprint.footprint,
            "postgres": postgres.postgres, "overload": overload.overload, "mail": mail.mail, "durable": durable.durable,
            "retention": retention.retention, "micro": micro.micro}
TABLES = {"compare": compare.table, "growth": growth.table, "footprint": footprint.table,
          "postgres": postgres.table, "overload": overload.table, "mail": mail.table, "durable": durable.table,
          "retention": retention.table, "micro": micro.table, "replicas": replicas.table}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, help: str, rounds: int, seconds: float | None = 2.0):
        one = commands.add_parser(name, help=help)
        one.add_argument("--rounds", type=int, default=rounds)
        if seconds:
            one.add_argument("--seconds", type=float, default=seconds, help="of one cell")
        one.add_argument("--binary", help="measure this usher instead of building it")
        one.add_argument("--scratch", help="a directory on the disk to be measured, not in memory")
        one.add_argument("--out", default=str(BENCH / "out" / f"{name}.json"))
        one.add_argument("--no-build", action="store_true", help="the programs of the bench are built")
        one.add_argument("--dev", action="store_true", help="the dev build: to see that it works")
        return one

    one = command("compare", "usher beside the limit and its peers", 5)
    one.add_argument("--systems", default="usher,limit,fastify,better-auth")
    one.add_argument("--workloads", help="for example preview,create/64")
    one.add_argument("--rate", type=float, help="open loop: so many requests a second, whatever the server does")
    one.add_argument("--warm", type=float, default=1.0, help="seconds of each kind before anything counts")

    one = command("growth", "a thousand to a million invites, a hundred to ten thousand tenants", 3)
    one.add_argument("--sizes", help="invites/tenants, for example 1e3/100,1e6/100")
    one.add_argument("--workloads", help="for example preview,create/64")
    one.add_argument("--warm", type=float, default=1.0, help="seconds of each kind before anything counts")

    one = command("footprint", "idle memory, cold start, size of the binary", 3)
    one.add_argument("--tenants", type=int, default=101)

    one = command("postgres", "creates and accepts on PostgreSQL against two bare inserts", 5)
    one.add_argument("--replicas", type=int, help="instead: so many processes on one database, against one process")
    command("overload", "twice saturation, and a flooding tenant beside another", 3, 4.0)
    one = command("mail", "mails a second, and what the API notices of them", 9)
    one.add_argument("--backlog", type=int, default=100_000, help="mails owed")

    one = command("retention", "creates while tens of thousands of rows are being forgotten", 5, 4.0)
    one.add_argument("--backlog", type=int, default=250_000, help="invites of the last three days")

    one = command("durable", "batching on and off, against rows committed by the bare engine", 5, None)
    one.add_argument("--engines", default="sqlite,postgres")
    one.add_argument("--minutes", type=float, default=30, help="no further round is begun after so long")
    one.add_argument("--quick", action="store_true", help="an eighth of the requests: to see that it works")

    one = commands.add_parser("micro", help="single functions by themselves")
    one.add_argument("--seconds", type=float, default=2.0, help="of one function")
    one.add_argument("--out", default=str(BENCH / "out" / "micro.json"))

    show = commands.add_parser("table", help="prints a saved result again")
    show.add_argument("file")
    return top


def main():
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))     # so that servers are stopped and scratch is removed
    found = Rounds.read(args.file) if args.command == "table" else COMMANDS[args.command](args)
    if args.command != "table":
        found.save(args.out)
    print(TABLES[found.facts["kind"]](found))


if __name__ == "__main__":
    main()
