"""The databases that usher is measured on, each fresh and thrown away: SQLite files, and a PostgreSQL cluster with the
durability it has by default."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from .machine import free_port, wait_for


class Sqlite:
    name = "SQLite"

    def __init__(self, home: Path):
        self.home = home

    def fresh(self, name: str) -> str:
        """the URL of a database that is not there yet"""
        return f"sqlite://{self.home / name}.db"

    def stop(self):
        pass


class Postgres:
    name = "PostgreSQL"

    def __init__(self, home: Path, cpu: str | None = None, counting: bool = False):
        """a cluster on one processor, or on all; `counting` statements where it can"""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
        initdb = found[-1] if found else shutil.which("initdb")
        if not initdb:
            raise SystemExit("no initdb: install PostgreSQL, or measure SQLite alone")
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
        pinned = ["taskset", "-c", cpu] if cpu else []
        library = subprocess.run([self.bin / "pg_config", "--pkglibdir"], capture_output=True, text=True).stdout.strip()
        self.counts = counting and (Path(library) / "pg_stat_statements.so").exists()
        more = ["-c", "shared_preload_libraries=pg_stat_statements"] if self.counts else []
        with open(home / "postgres.log", "wb") as log:
            self.server = subprocess.Popen(
                [*pinned, self.bin / "postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", "unix_socket_directories=", "-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB", *more],
                cwd="/", stdout=log, stderr=log, **self.account)
        wait_for(lambda: self.run("psql", "-c", "SELECT 1", self.url("postgres"), check=False), "PostgreSQL", 30)

    def run(self, program: str, *arguments: str, check=True) -> bool:
        done = subprocess.run([self.bin / program, *arguments], cwd="/", capture_output=True, text=True, **self.account)
        if check and done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")
        return done.returncode == 0

    def ask(self, sql: str, database: str) -> list[str]:
        """the rows of an answer, columns divided by `|`"""
        command = [self.bin / "psql", "-XAtc", sql, self.url(database)]
        return subprocess.run(command, cwd="/", check=True, capture_output=True, text=True).stdout.splitlines()

    def url(self, database: str) -> str:
        return f"postgres://bench@127.0.0.1:{self.port}/{database}"

    def fresh(self, name: str) -> str:
        database = name.replace("-", "_").lower()
        self.run("psql", "-c", f"CREATE DATABASE {database}", self.url("postgres"))
        return self.url(database)

    def stop(self):
        self.server.send_signal(signal.SIGINT)     # a fast shutdown
        self.server.wait(60)
