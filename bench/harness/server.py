"""A server under test as a process: started on its own processor, waited for, weighed, stopped. And what all systems
that speak usher's paths have in common."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from pathlib import Path

from . import wire
from .client import all_made
from .machine import SERVER_CPU, free_port, pinned, wait_for

TENANTS = 101                 # the last of which holds the list; creates are spread over the others
LISTED = 100                  # pending invites that are listed
WAKING = 0.3                  # seconds
OWNER, OWNER_EMAIL = "bench-owner", "owner@bench.test"


class Server:
    """One process, with a directory of its own."""
    name = ""
    guess = 1_000             # commands a second, until one has been measured
    tenants = TENANTS

    def __init__(self, home: Path, cpu: str = SERVER_CPU):
        self.home, self.cpu, self.port, self.process = home, cpu, free_port(), None
        self.addr = f"127.0.0.1:{self.port}"
        self.rates, self.unused, self.hot = {}, [], []
        home.mkdir(parents=True, exist_ok=True)

    def command(self) -> tuple[list, dict]:
        """what to run, and environment variables"""
        raise NotImplementedError

    def start(self, seconds: float = 60) -> float:
        """seconds until it answers that it is ready"""
        command, environment = self.command()
        with open(self.home / "log", "ab") as log:
            begun = time.monotonic()
            self.process = subprocess.Popen(pinned(self.cpu, *command), stdout=log, stderr=log, cwd=self.home,
                                            env={**os.environ, **environment})
        try:
            wait_for(self.is_ready, self.name, seconds, pause=0.002)
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - begun

    def is_ready(self) -> bool:
        return self.answers("/healthz", self.port)

    def answers(self, path: str, port: int) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {(self.home / 'log').read_text()[-2000:]}")
        try:
            return self.get(path, port=port)[0] == 200
        except OSError:
            return False

    def get(self, path: str, headers: dict = {}, port: int | None = None):
        """status, headers and body of one request that is not measured"""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=5)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, which: str = "VmRSS") -> float:
        """MiB resident; `VmHWM` for the most there ever was"""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(which + ":")) / 1024

    def pause(self):
        """stops it where it stands, so that it takes nothing from the one that is measured"""
        self.process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def awake(self):
        """goes on for as long as it is measured; what came due meanwhile is done before"""
        self.process.send_signal(signal.SIGCONT)
        time.sleep(WAKING)
        try:
            yield
        finally:
            self.pause()

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # -- what workloads ask for; each system makes its own requests ----------------------------------------------

    def prepare(self, hot: int = 1_000):
        """what every workload needs: tenants, the previewed invites, the listed ones"""
        self.settle()
        self.hot = self.pending(hot, 1)
        self.pending(LISTED, self.tenants - 1)

    def settle(self):
        """tenants and their owners, before anything is measured"""

    def pending(self, count: int, tenant: int) -> list:
        """so many invites, each with all that its acceptance needs"""
        raise NotImplementedError

    def acceptable(self, count: int) -> list:
        """invites that nobody has accepted yet; the caller takes away those it has used"""
        if len(self.unused) < count:
            self.unused += self.pending(count - len(self.unused), 0)
        return self.unused[:count]


class WireServer(Server):
    """A system that speaks usher's paths and takes bearer tokens."""

    def settle(self):
        # owners are recognised by the first request to their tenant, which is not what is measured
        all_made(self.addr, [self.create(at, mail=False) for at in range(self.tenants)])

    def preview(self, invite) -> bytes:
        return wire.request("preview", "GET", f"/api/v1/workspace-invites/{invite['token']}", self.addr)

    def create(self, tenant: int, mail: bool = True) -> bytes:
        body = {"email": wire.fresh(), "role": "member", "send_email": mail}
        return wire.request("create", "POST", f"/api/v1/workspaces/{wire.workspace_id(tenant)}/invites", self.addr,
                            {"Authorization": wire.bearer(OWNER, OWNER_EMAIL)}, body)

    def accept(self, invite) -> bytes:
        person = wire.bearer(invite["email"].split("@")[0], invite["email"])
        return wire.request("accept", "POST", f"/api/v1/workspace-invites/{invite['token']}/accept", self.addr,
                            {"Authorization": person}, {})

    def list(self) -> bytes:
        listed = wire.workspace_id(self.tenants - 1)
        return wire.request("list", "GET", f"/api/v1/workspaces/{listed}/invites", self.addr,
                            {"Authorization": wire.bearer(OWNER, OWNER_EMAIL)})

    def pending(self, count: int, tenant: int) -> list:
        made = all_made(self.addr, [self.create(tenant, mail=False) for _ in range(count)])
        invites = [one["data"] for one in made]
        return [{"token": one["invite_url"].rsplit("/", 1)[1], "email": one["email"]} for one in invites]
