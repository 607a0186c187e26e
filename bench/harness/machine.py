"""The machine a run happens on: its processors, its disk, how quiet it is, and the programs that a run needs built."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
PROGRAMS = BENCH / "rust" / "target" / "release"
SERVER_CPU, CLIENT_CPU = "0", "1"
MEMORY = Path("/dev/shm")                     # requests go here, so that writing them does not trouble the disk
MOVED = 4 / 3                                 # a disk that moves by more is too noisy to conclude from
BUSY = 0.15                                   # share of the processors that others may use while we rest


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def describe() -> str:
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {os.uname().release}"


# -- programs --------------------------------------------------------------------------------------------------------

def build_usher(profile: str = "release") -> Path:
    """the binary under test, built from this tree"""
    say(f"building usher ({profile})")
    flags = ["--release"] if profile == "release" else []
    subprocess.run(["cargo", "build", "--locked", *flags], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / ("release" if profile == "release" else "debug") / "usher"


def build_programs():
    say("building the programs of the bench")
    command = ["cargo", "build", "--locked", "--release", "--target-dir", str(PROGRAMS.parent)]
    subprocess.run(command, cwd=BENCH / "rust", check=True)


def install_peer(name: str) -> Path:
    """a peer with the packages of its lock file; installed once, and anew when that file changes"""
    home = BENCH / "peers" / name
    lock, done = home / "package-lock.json", home / "node_modules" / ".installed"
    if not done.exists() or done.read_text() != lock.read_text():
        say(f"installing {name} (npm ci)")
        subprocess.run(["npm", "ci"], cwd=home, check=True, stdout=sys.stderr)
        done.write_text(lock.read_text())
    return home


def pinned(cpu: str, *command) -> list[str]:
    return ["taskset", "-c", cpu, *map(str, command)]


# -- ports and waiting -----------------------------------------------------------------------------------------------

def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(ready, what: str, seconds: float, pause: float = 0.02):
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f"{what} is not ready after {seconds} s")
        time.sleep(pause)


# -- noise -----------------------------------------------------------------------------------------------------------

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


def busy(seconds: float = 0.5) -> float:
    """share of all processors that is used while this program rests"""
    def ticks():
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]
    total, idle = ticks()
    time.sleep(seconds)
    total_after, idle_after = ticks()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def conditions(home: Path) -> dict:
    """of one round, before it begins"""
    return {"busy": busy(), "fdatasync": fdatasyncs(home), "load": os.getloadavg()[0]}


def noise(rounds: list[dict]) -> list[str]:
    """what makes these rounds unfit to conclude from; nothing if they are fine"""
    disk, others = [one["fdatasync"] for one in rounds], max(one["busy"] for one in rounds)
    found = []
    if max(disk) > min(disk) * MOVED:
        found.append(f"the disk moved between {min(disk):,.0f} and {max(disk):,.0f} fdatasync/s: "
                     "trust ratios of one round only, or repeat")
    if others > BUSY:
        found.append(f"other programs used up to {others:.0%} of the processors: repeat when nothing else runs")
    return found
