#!/usr/bin/env python3
"""Durable creates and accepts per second: usher over HTTP against the same rows committed by the bare engine.

    python3 bench/bench.py durable                     everything, on SQLite and PostgreSQL: four or five minutes a round
    python3 bench/bench.py durable --engines sqlite --rounds 3
    python3 bench/bench.py table bench/out/durable.json

See README.md beside this file for what is measured and how to read it.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
PROGRAMS = BENCH / "rust" / "target" / "release"
LINK_KEY = base64.b64encode(b"the bench's key of links".ljust(32, b".")).decode()
SECRET = "a-secret-of-the-bench-that-is-more-than-32-bytes"
CONNECTIONS = (1, 8, 64)
# requests of a cell by connections, so that each takes a second or three; half as many without batching
COUNTS = {"SQLite": {1: 1_500, 8: 4_000, 64: 10_000}, "PostgreSQL": {1: 800, 8: 1_500, 64: 4_000}}
LIMIT = 6                                     # seconds after which a cell ends all the same
TENANTS = 16
SERVER_CPU, CLIENT_CPU = "0", "1"


def say(text: str):
    print(text, file=sys.stderr, flush=True)


# -- databases -------------------------------------------------------------------------------------------------------

class Sqlite:
    name = "SQLite"

    def __init__(self, home: Path):
        self.home = home

    def fresh(self, name: str) -> str:
        """the URL of a database that is not there yet"""
        return f"sqlite://{self.home / name}.db"

    def bare(self, url: str) -> str:
        return url.removeprefix("sqlite://")

    def stop(self):
        pass


class Postgres:
    """A throw-away cluster with the durability that PostgreSQL has by default."""
    name = "PostgreSQL"

    def __init__(self, home: Path):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
        initdb = found[-1] if found else shutil.which("initdb")
        if not initdb:
            raise SystemExit("no initdb: install PostgreSQL, or measure --engines sqlite")
        self.bin, self.port = Path(initdb).parent, free_port()
        data = home / "postgres"
        data.mkdir()
        # it refuses to run as root
        self.account = {}
        if os.geteuid() == 0:
            who = pwd.getpwnam("postgres")
            self.account = {"user": who.pw_uid, "group": who.pw_gid}
            os.chown(data, who.pw_uid, who.pw_gid)
        self.run("initdb", "-A", "trust", "-U", "bench", "-E", "UTF8", "--locale=C", "-D", str(data))
        log = open(home / "postgres.log", "wb")
        self.server = subprocess.Popen(
            [self.bin / "postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories=", "-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB"],
            cwd="/", stdout=log, stderr=log, **self.account)
        wait_for(lambda: self.run("psql", "-c", "SELECT 1", self.url("postgres"), check=False), "PostgreSQL", 30)

    def run(self, program: str, *arguments: str, check=True) -> bool:
        done = subprocess.run([self.bin / program, *arguments], cwd="/", capture_output=True, text=True, **self.account)
        if check and done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")
        return done.returncode == 0

    def url(self, database: str) -> str:
        return f"postgres://bench@127.0.0.1:{self.port}/{database}"

    def fresh(self, name: str) -> str:
        database = name.replace("-", "_").lower()
        self.run("psql", "-c", f"CREATE DATABASE {database}", self.url("postgres"))
        return self.url(database)

    def bare(self, url: str) -> str:
        return url

    def stop(self):
        self.server.send_signal(signal.SIGINT)     # a fast shutdown
        self.server.wait(60)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(ready, what: str, seconds: float):
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f"{what} is not ready after {seconds} s")
        time.sleep(0.02)


# -- usher -----------------------------------------------------------------------------------------------------------

CONFIG = """
[server]
admin_listen = "off"
base_url = "http://127.0.0.1:{port}"
platform_hosts = ["127.0.0.1"]
[database]
url = "{database}"
[tokens]
active_key = "k1"
[[tokens.keys]]
id = "k1"
secret = "{key}"
[[auth.issuers]]
issuer = "https://auth.bench.test"
audience = "usher"
algorithms = ["HS256"]
hs256_secret = "{secret}"
[mail]
from = "Bench <no-reply@bench.test>"
{mail}
[limits]
invites_per_inviter = "off"
invites_per_recipient = "off"
invites_per_api_key = "off"
invites_per_tenant = "off"
requests_per_ip = "off"
[lane]
max_batch = {max_batch}
"""

TENANT = """
id = "{id}"
slug = "bench-{at}"
name = "Bench {at}"
owners = ["owner@bench.test"]
[[workspaces]]
id = "{workspace}"
name = "Workspace {at}"
slug = "workspace"
"""


class Usher:
    """One server on a database of its own."""

    def __init__(self, home: Path, binary: Path, engine, name: str, max_batch: int, delivers: bool):
        self.home, self.binary, self.port = home / name, binary, free_port()
        self.workspaces = [str(uuid.UUID(int=(0x0190_0000_0000_7000_8000 << 48) + 0x2000 + at)) for at in range(TENANTS)]
        (self.home / "config" / "tenants").mkdir(parents=True)
        # port 9 answers nobody, so mails stay owed: the rows that the bare engine writes too
        mail = 'transport = "memory"' if delivers else 'transport = "smtp"\nurl = "smtp://127.0.0.1:9?tls=none"'
        (self.home / "config" / "usher.toml").write_text(CONFIG.format(
            port=self.port, database=engine.fresh(name), key=LINK_KEY, secret=SECRET, mail=mail, max_batch=max_batch))
        for at, workspace in enumerate(self.workspaces):
            id = uuid.UUID(int=(0x0190_0000_0000_7000_8000 << 48) + 0x1000 + at)
            (self.home / "config" / "tenants" / f"bench-{at}.toml").write_text(
                TENANT.format(id=id, at=at, workspace=workspace))
        log = open(self.home / "log", "wb")
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CPU, binary, "--config", self.home / "config", "--data-dir", self.home / "data",
             "--listen", f"127.0.0.1:{self.port}", "serve"], stdout=log, stderr=log, cwd=self.home)
        try:
            wait_for(self.healthy, name, 30)
        except BaseException:
            self.stop()
            raise

    def healthy(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"usher ended: {(self.home / 'log').read_text()[-2000:]}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, kind: str, connections: int, tenants: int, count: int, mails: bool) -> dict:
        used = self.processor_seconds()
        result = program(CLIENT_CPU, "load", kind, addr=f"127.0.0.1:{self.port}", secret=SECRET, count=count,
                         workspaces=",".join(self.workspaces[:tenants]), connections=connections, seconds=LIMIT,
                         mails="yes" if mails else "no")
        if kind == "create":     # accepts are prepared in the same run, so their share is not known
            result["server_cpu"] = (self.processor_seconds() - used) / result["seconds"]
        return result

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def program(cpu: str, name: str, what: str, **flags) -> dict:
    """runs one of our programs on a processor and reads what it prints"""
    words = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    done = subprocess.run(["taskset", "-c", cpu, PROGRAMS / name, what, *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} {what}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


# -- measuring -------------------------------------------------------------------------------------------------------

def cells(quick: bool):
    """(name of the row, a function of the servers of one engine that measures it)"""
    count = lambda engine, connections: COUNTS[engine][connections] // (8 if quick else 1)
    for kind in ("create", "accept"):
        for connections, tenants in [(c, 1) for c in CONNECTIONS] + [(64, TENANTS)]:
            for batching in ("on", "off"):
                row = (kind, connections, tenants, batching)
                yield row, lambda run, k=kind, c=connections, t=tenants, b=batching: run.servers[b].load(
                    k, c, t, count(run.engine.name, c) // (1 if b == "on" else 2), mails=k == "create")
    yield ("create, delivered", 64, 1, "on"), lambda run: run.servers["delivering"].load(
        "create", 64, 1, count(run.engine.name, 64), True)
    for kind in ("create", "accept"):
        for batch, connections in [(1, 1), (64, 1), (1, 7)]:
            row = (f"bare {kind}", connections, connections, str(batch))
            size = 1 if batch * connections == 1 else 8 if batch == 1 else 64
            yield row, lambda run, k=kind, b=batch, c=connections, s=size: run.bare(k, b, c, count(run.engine.name, s))


class Measured:
    """The servers of one engine, and its bare database."""

    def __init__(self, engine):
        self.engine, self.servers, self.database = engine, {}, None

    def start(self, home: Path, binary: Path):
        engine = self.engine
        for name, max_batch, delivers in [("on", 64, False), ("off", 1, False), ("delivering", 64, True)]:
            self.servers[name] = Usher(home, binary, engine, f"{engine.name}-{name}", max_batch, delivers)
        # a schema as usher makes it, used by nobody else
        bare = Usher(home, binary, engine, f"{engine.name}-bare", 64, False)
        bare.stop()
        text = (bare.home / "config" / "usher.toml").read_text()
        self.database = engine.bare(text.split('[database]\nurl = "')[1].split('"')[0])

    def bare(self, kind: str, batch: int, connections: int, count: int):
        if connections > 1 and self.engine.name == "SQLite":
            return None                             # it has one writer
        return program(SERVER_CPU, "engine", kind, database=self.database, batch=batch, connections=connections,
                       count=count, seconds=LIMIT)

    def stop(self):
        for server in self.servers.values():
            server.stop()


def fdatasyncs(home: Path, seconds: float = 0.5) -> float:
    """how often a second the disk confirms 4 KiB appended: the context of every durable figure"""
    path, done = home / "probe", 0
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        os.write(handle, b"x" * 4096)
        os.fdatasync(handle)
        done += 1
    rate = done / (time.perf_counter() - begun)
    os.close(handle)
    path.unlink()
    return rate


def build(release: bool) -> Path:
    say("building usher and the programs of the bench")
    subprocess.run(["cargo", "build", "--locked", *(["--release"] if release else [])], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--locked", "--release"], cwd=BENCH / "rust", check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / ("release" if release else "debug") / "usher"


def durable(args):
    binary = Path(args.binary).resolve() if args.binary else build(not args.dev)
    if args.scratch:
        Path(args.scratch).mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="usher-bench-", dir=args.scratch))
    home.chmod(0o755)                               # PostgreSQL runs as another user
    out = {"rounds": [], "disk": [], "load": [], "machine": machine(), "engines": args.engines, "dev": args.dev}
    begun = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            runs = []
            for name in args.engines.split(","):
                engine = {"sqlite": Sqlite, "postgres": Postgres}[name](home)
                stack.callback(engine.stop)
                run = Measured(engine)
                stack.callback(run.stop)
                run.start(home, binary)
                runs.append(run)
            for number in range(args.rounds):
                out["disk"].append(fdatasyncs(home))
                out["load"].append(os.getloadavg()[0])
                found = {}
                for (row, measure) in cells(args.quick):
                    for run in runs:
                        result = measure(run)
                        if result is not None:
                            found["/".join(map(str, (run.engine.name, *row)))] = result
                out["rounds"].append(found)
                save(args.out, out)
                spent = time.monotonic() - begun
                say(f"round {number + 1} of {args.rounds} done after {spent:.0f} s; {out['disk'][-1]:.0f} fdatasync/s")
                if spent > args.minutes * 60:
                    say(f"stopping: --minutes {args.minutes}")
                    break
    finally:
        shutil.rmtree(home, ignore_errors=True)
    table(out)


def machine() -> str:
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {os.uname().release}"


# -- output ----------------------------------------------------------------------------------------------------------

def save(path: str, out: dict):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(out, indent=1))


def table(out: dict):
    """Markdown: medians over rounds, in brackets the least and the most"""
    def rates(engine, *row):
        key = "/".join(map(str, (engine, *row)))
        return [found[key]["good_per_second"] for found in out["rounds"] if key in found]

    def show(values):
        return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})" if values else "–"

    def latency(engine, *row):
        key = "/".join(map(str, (engine, *row)))
        found = [result[key] for result in out["rounds"] if key in result]
        middle = lambda name: statistics.median(one[name] for one in found) / 1000
        return f"{middle('p50_us'):.1f} / {middle('p99_us'):.1f}" if found else "–"

    print(f"{out['machine']}; {len(out['rounds'])} rounds{'; DEV BUILD' if out['dev'] else ''}\n")
    for engine in ("SQLite", "PostgreSQL"):
        if not rates(engine, "create", 1, 1, "on"):
            continue
        print(f"### {engine}, commands per second\n")
        print("| | connections | tenants | batching on | batching off | on / off | p50 / p99 ms, on |")
        print("|---|---|---|---|---|---|---|")
        for kind in ("create", "accept"):
            for connections, tenants in [(c, 1) for c in CONNECTIONS] + [(64, TENANTS)]:
                on, off = (rates(engine, kind, connections, tenants, b) for b in ("on", "off"))
                ratio = statistics.median(on) / statistics.median(off)
                print(f"| {kind} | {connections} | {tenants} | {show(on)} | {show(off)} | {ratio:.1f} | "
                      f"{latency(engine, kind, connections, tenants, 'on')} |")
        row = ("create, delivered", 64, 1, "on")
        print(f"| {row[0]} meanwhile | 64 | 1 | {show(rates(engine, *row))} | – | – | {latency(engine, *row)} |\n")
        print("| bare engine | 1 a transaction | 64 a transaction | 1 a transaction, 7 connections | usher at 64 connections / bare at 64 |")
        print("|---|---|---|---|---|")
        for kind in ("create", "accept"):
            one, many, seven = (rates(engine, f"bare {kind}", *row) for row in [(1, 1, "1"), (1, 1, "64"), (7, 7, "1")])
            share = statistics.median(rates(engine, kind, 64, 1, "on")) / statistics.median(many)
            print(f"| {kind} | {show(one)} | {show(many)} | {show(seven)} | {share:.2f} |")
        print()
    bad = {key: result for found in out["rounds"] for key, result in found.items()
           if result.get("broken") or any(not status.startswith("2") for status in result.get("statuses", {}))}
    for key, result in bad.items():
        print(f"VOID {key}: {result['statuses']}, {result['broken']} broken; {result['refusal']}")
    bound = {key for found in out["rounds"] for key, result in found.items() if result.get("client_cpu", 0) > 0.9}
    if bound:
        print("bound by the client, so a lower bound:", ", ".join(sorted(bound)))
    disk = out["disk"]
    print(f"fdatasync/s per round: {', '.join(f'{rate:,.0f}' for rate in disk)}")
    if max(disk) > min(disk) * 4 / 3:
        print("NOISY: the disk moved by more than a third between rounds; repeat, or trust ratios only")
    print(f"load average at the start of each round: {', '.join(f'{load:.1f}' for load in out['load'])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("durable", help="measures and prints the table")
    run.add_argument("--engines", default="sqlite,postgres")
    run.add_argument("--rounds", type=int, default=5)
    run.add_argument("--minutes", type=float, default=30, help="no further round is begun after so long")
    run.add_argument("--scratch", help="a directory on the disk to be measured, not in memory")
    run.add_argument("--out", default=str(BENCH / "out" / "durable.json"))
    run.add_argument("--binary", help="measure this usher, and build nothing")
    run.add_argument("--quick", action="store_true", help="an eighth of the requests: to see that it works")
    run.add_argument("--dev", action="store_true", help="the dev build: to see that it works")
    show = commands.add_parser("table", help="prints a saved result again")
    show.add_argument("file")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))     # so that servers are stopped and scratch is removed
    if args.command == "table":
        table(json.loads(Path(args.file).read_text()))
    else:
        durable(args)


if __name__ == "__main__":
    main()
