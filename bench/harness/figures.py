"""Figures of many rounds: medians with the least and the most, ratios, and how they are written."""

import json
import statistics
from pathlib import Path

from .machine import noise


class Rounds:
    """What a run saw: per round, per row and per column one result of the load client (or any dictionary)."""

    def __init__(self, kind: str, **facts):
        self.facts, self.rounds = {"kind": kind, **facts}, []

    def begin(self, conditions: dict):
        self.rounds.append({"conditions": conditions, "found": {}})

    def add(self, row, column: str, result: dict):
        self.rounds[-1]["found"].setdefault(str(row), {})[column] = result

    def conditions(self) -> list[dict]:
        return [one["conditions"] for one in self.rounds]

    def results(self, row, column: str) -> list[dict]:
        found = [one["found"].get(str(row), {}).get(column) for one in self.rounds]
        return [one for one in found if one is not None]

    def all(self):
        """(row, column, result) of everything"""
        for one in self.rounds:
            for row, columns in one["found"].items():
                for column, result in columns.items():
                    yield row, column, result

    def rates(self, row, column: str) -> list[float]:
        return [one["good_per_second"] for one in self.results(row, column)]

    def costs(self, row, column: str) -> list[float]:
        """microseconds of the server's processor for each good answer"""
        return [one["server_cpu"] / one["good_per_second"] * 1e6 for one in self.results(row, column)
                if one.get("server_cpu") and one["good_per_second"]]

    def middle(self, row, column: str, of) -> float | None:
        values = [value for one in self.results(row, column) if (value := of(one)) is not None]
        return statistics.median(values) if values else None

    def ratio(self, row, column: str, other: str) -> float | None:
        """of the medians of two columns"""
        return quotient(self.rates(row, column), self.rates(row, other))

    def cost_ratio(self, row, column: str, other: str) -> float | None:
        """of the medians of what a request costs in two columns"""
        return quotient(self.costs(row, column), self.costs(row, other))

    def save(self, path: str | Path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps({**self.facts, "rounds": self.rounds}, indent=1))

    @classmethod
    def read(cls, path: str | Path) -> "Rounds":
        saved = json.loads(Path(path).read_text())
        found = cls(saved.pop("kind"))
        found.rounds = saved.pop("rounds")
        found.facts |= saved
        return found


def quotient(ours: list[float], theirs: list[float]) -> float | None:
    return statistics.median(ours) / statistics.median(theirs) if ours and theirs and any(theirs) else None


def short(value: float | None) -> str:
    """three digits that count: 72.9k, 1,121, 38.2, 0.61"""
    if value is None:
        return "–"
    if value >= 10_000:
        return f"{value / 1000:.1f}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: list[float]) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return short(values[0])
    return f"{short(statistics.median(values))} ({short(min(values))}–{short(max(values))})"


def against(ratio: float | None, target: float | None, most: bool = False) -> str:
    """a ratio beside what it must at least (or at most) be"""
    if ratio is None:
        return "–"
    if target is None:
        return short(ratio)
    met = ratio <= target if most else ratio >= target
    return f"{short(ratio)} {'✓' if met else '✗'} {'≤' if most else '≥'} {target:g}"


def milliseconds(rounds: Rounds, row, column: str) -> str:
    """medians of p50 and p99 of good answers"""
    at = lambda name: rounds.middle(row, column, lambda one: one["latency"][name])
    half, most = at("p50_us"), at("p99_us")
    return "–" if half is None else f"{half / 1000:.2f} / {most / 1000:.1f}"


def rows(lines: list[list[str]]) -> str:
    """a Markdown table; the first line is its head"""
    head, *rest = lines
    text = ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rest]]
    return "\n".join(text) + "\n"


def page(rounds: Rounds, *parts: str, doubted=None) -> str:
    """what a command prints: where and how it was measured, its tables, and what speaks against them"""
    disk = ", ".join(short(one["fdatasync"]) for one in rounds.conditions())
    seconds = f" of {rounds.facts['seconds']:g} s a cell" if "seconds" in rounds.facts else ""
    count = f"{len(rounds.rounds)} rounds{seconds}"
    head = f"{rounds.facts['machine']}; {count}; fdatasync/s at the start of each: {disk}\n"
    against_it = doubts(rounds) if doubted is None else doubted
    return "\n".join([head, *parts, *against_it, *(f"NOISY: {why}" for why in noise(rounds.conditions()))])


def doubts(rounds: Rounds) -> list[str]:
    """what makes single figures void, or only bounds"""
    bad, bound = {}, set()
    for row, column, result in rounds.all():
        statuses = {status: n for status, n in result.get("statuses", {}).items() if not status.startswith("2")}
        if statuses or result.get("broken"):
            text = f"{statuses} {result['broken']} broken; {result['refusals']}"
            bad.setdefault((row, column), []).append(text[:300])
        if result.get("client_cpu", 0) > 0.9:
            bound.add(f"{column} {row}")
    found = [f"VOID {column} {row}: {'; '.join(texts)}" for (row, column), texts in bad.items()]
    return found + ([f"bound by the client, so a lower bound: {', '.join(sorted(bound))}"] if bound else [])
