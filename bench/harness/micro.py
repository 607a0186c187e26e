"""`micro`: the functions that are called most, each by itself (`rust/micro/benches/hot.rs`)."""

import json
import subprocess
import tempfile
from pathlib import Path

from .figures import Rounds, page, rows
from .machine import BENCH, SERVER_CPU, conditions, describe, pinned


def micro(args) -> Rounds:
    found = Rounds("micro", machine=describe())
    target = BENCH / "rust" / "target"
    cargo = ["cargo", "bench", "--locked", "--target-dir", target, "-p", "usher-micro", "--bench", "hot"]
    subprocess.run([*map(str, cargo), "--no-run"], cwd=BENCH / "rust", check=True)
    with tempfile.TemporaryDirectory() as home:
        found.begin(conditions(Path(home)))
    command = pinned(SERVER_CPU, *cargo, "--", "--noplot", "--measurement-time", args.seconds)
    subprocess.run(command, cwd=BENCH / "rust", check=True, stdout=subprocess.DEVNULL)
    for estimates in sorted((target / "criterion").glob("*/new/estimates.json")):
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
