"""The bare engine (`rust/src/bin/engine.rs`): the rows of creates and accepts committed with nothing around them, in a
schema as usher makes it."""

import json
import subprocess
from pathlib import Path

from .machine import PROGRAMS, SERVER_CPU, pinned
from .usher import Usher

LIMIT = 6                                     # seconds after which a cell ends all the same


def bare_database(home: Path, binary: Path, database: str) -> str:
    """what the engine opens: a database that usher has migrated and nobody else uses"""
    migrated = Usher(home, binary, database=database, tenants=1)
    migrated.start()
    migrated.stop()
    return database.removeprefix("sqlite://")


def bare(kind: str, database: str, *, batch: int, connections: int, count: int, seconds: float = LIMIT) -> dict:
    """so many creates or accepts committed, `batch` a transaction, by one program on the server's processor"""
    flags = {"database": database, "batch": batch, "connections": connections, "count": count, "seconds": seconds}
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    done = subprocess.run(pinned(SERVER_CPU, PROGRAMS / "engine", kind, *words), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"engine {kind}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)
