"""`micro`: the functions that are called most, each by itself (`rust/micro/benches/hot.rs`)."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .figures import Rounds, page, rows
from .machine import BENCH, ROOT, SERVER_CPU, conditions, describe, pinned, say


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
        command = pinned(SERVER_CPU, *cargo, "--", "--measurement-time", args.seconds)
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
    lines = [["function", "median, µs", "95 % of medians lie between"]]
    for name, _, one in found.all():
        lines.append([name, f"{one['median'] / 1000:.2f}", f"{one['least'] / 1000:.2f} and {one['most'] / 1000:.2f}"])
    return page(found, rows(lines))
