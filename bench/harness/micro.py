"""`micro`: the functions that are called most, each by itself (`rust/micro/benches/hot.rs`)."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .figures import Rounds, page, rows
from .machine import BENCH, ROOT, SERVER_CPU, conditions, describe, pinned, say

REQUEST = "request: "


def micro(args) -> Rounds:
    found = Rounds("micro", machine=describe())
    package, target = BENCH / "rust" / "micro", BENCH / "rust" / "target"
    # the dependencies of usher as they are in its binary
    shutil.copy(ROOT / "Cargo.lock", package / "Cargo.lock")
    cargo = ["cargo", "bench", "--target-dir", str(target), "--bench", "hot"]
    say("building usher for benchmarks of its functions")
    subprocess.run([*cargo, "--no-run"], cwd=package, check=True)
    with tempfile.TemporaryDirectory() as home:
        found.begin(conditions(Path(home)))
        command = pinned(SERVER_CPU, *cargo, "--", "--warm-up-time", 1, "--measurement-time", args.seconds)
        subprocess.run(command, cwd=package, check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "CRITERION_HOME": home})
        for estimates in sorted(Path(home).glob("*/new/estimates.json")):
            name = json.loads((estimates.parent / "benchmark.json").read_text())["title"]
            middle = json.loads(estimates.read_text())["median"]
            bounds = middle["confidence_interval"]
            found.add(name, "nanoseconds", {"median": middle["point_estimate"], "least": bounds["lower_bound"],
                                            "most": bounds["upper_bound"]})
    return found


def table(found: Rounds) -> str:
    middle = {name: one for name, _, one in found.all()}
    between = lambda one: f"{one['least'] / 1000:.2f} and {one['most'] / 1000:.2f}"
    functions = [["function", "median, µs", "95 % of medians lie between"]]
    requests = [["request, in an application without a socket", "median, µs", "95 % of medians lie between",
                 "beyond the bare one"]]
    bare = middle.get(f"{REQUEST}bare", {"median": 0})["median"]
    for name, one in middle.items():
        cost = f"{one['median'] / 1000:.2f}"
        if name.startswith(REQUEST):
            beyond = f"{(one['median'] - bare) / 1000:.2f}"
            requests.append([name.removeprefix(REQUEST), cost, between(one), beyond])
        else:
            functions.append([name, cost, between(one)])
    requests[1:] = sorted(requests[1:], key=lambda line: float(line[1]))
    return page(found, rows(functions), rows(requests))
