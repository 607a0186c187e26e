"""Drives the load client (`rust/src/bin/load.rs`) over prepared requests and gives what it saw."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from .machine import CLIENT_CPU, MEMORY, PROGRAMS, pinned


class Load:
    """One run of the client, under way; several may run at once."""

    def __init__(self, addr: str, requests, connections: int, seconds: float, *, repeat=False, rate=None, answers=False,
                 background=False):
        where = MEMORY if os.access(MEMORY, os.W_OK) else None
        self.files = tempfile.TemporaryDirectory(prefix="usher-bench-", dir=where)
        sent, self.answered = Path(self.files.name) / "requests", Path(self.files.name) / "answers"
        with open(sent, "wb") as file:
            file.writelines(requests)
        flags = {"addr": addr, "file": sent, "connections": connections, "seconds": seconds,
                 "repeat": "yes" if repeat else "no"}
        if rate:
            flags["rate"] = rate
        if answers:
            flags["answers"] = self.answered
        words = [word for name, value in flags.items() for word in (f"--{name}", value)]
        # one in the background gives way to the others on their processor
        nice = ["nice", "-n", "19"] if background else []
        self.process = subprocess.Popen([*nice, *pinned(CLIENT_CPU, PROGRAMS / "load", *words)], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def result(self) -> dict:
        try:
            out, error = self.process.communicate()
            if self.process.returncode:
                raise RuntimeError(f"load: {error[-2000:]}")
            found = json.loads(out)
            if self.answered.exists():
                found["answers"] = self.answered.read_text().splitlines()
            return found
        finally:
            self.files.cleanup()


def load(*arguments, **options) -> dict:
    return Load(*arguments, **options).result()


def all_made(addr: str, requests: list[bytes]) -> list[dict]:
    """answers to creates that are not measured, all of which must end well"""
    found = load(addr, requests, 64, 600, answers=True)
    if found["good"] != len(requests):
        raise RuntimeError(f"preparing {len(requests)} invites: {found['statuses']}, {found['broken']} broken; "
                           f"{found['refusals']}")
    return [json.loads(answer) for answer in found["answers"]]
