#!/usr/bin/env python3
"""Cheap checks of `.ci/run` that need no further tool.

    checks.py dependencies   licences, banned crates, sources and the number of packages, as deny.toml says
    checks.py tracked        no tracked file names a package registry's host or a path of somebody's machine
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = "registry+https://github.com/rust-lang/crates.io-index"
MOST_PACKAGES = 370  # for the first target, ours and the tests' included; raise it knowingly


def main() -> int:
    checks = {"dependencies": dependencies, "tracked": tracked}
    if len(sys.argv) != 2 or sys.argv[1] not in checks:
        print(__doc__, file=sys.stderr)
        return 2
    problems = checks[sys.argv[1]]()
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    return 1 if problems else 0


# -- dependencies ------------------------------------------------------------------------------------------------

def dependencies() -> list[str]:
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    allowed = set(rules["licenses"]["allow"])
    banned = {ban["crate"] for ban in rules["bans"]["deny"]}
    targets = rules["graph"]["targets"]
    here = packages(targets[0])
    everywhere = set().union(here, *map(packages, targets[1:]))
    problems = []
    for name, version, licence in sorted(everywhere):
        if name in banned:
            problems.append(f"{name} {version} is banned")
        if not permitted(licence, allowed):
            problems.append(f"{name} {version} has licence {licence!r}")
    for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]:
        source = package.get("source", PUBLIC)
        if source != PUBLIC:
            problems.append(f"{package['name']} {package['version']} comes from {source}")
    if len(here) > MOST_PACKAGES:
        problems.append(f"{len(here)} packages are compiled, at most {MOST_PACKAGES} are meant to be")
    print(f"{len(here)} packages for {targets[0]} (at most {MOST_PACKAGES}), {len(everywhere)} for all targets")
    return problems


def packages(target: str) -> set[tuple[str, str, str]]:
    """Name, version and licence of everything compiled for a target, tests and build scripts included."""
    command = ["cargo", "tree", "--locked", "--workspace", "--target", target, "--edges", "normal,build,dev",
               "--prefix", "none", "--format", "{p}\t{l}"]
    tree = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    found = set()
    for line in filter(None, tree.splitlines()):
        package, licence = line.removesuffix(" (*)").split("\t")
        name, version = package.split()[:2]
        found.add((name, version, licence.strip()))
    return found


def permitted(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression (also the old way, with `/` for OR) can be met with these licences."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def alternatives() -> bool:
        met = every()
        while words and words[0] == "OR":
            words.pop(0)
            other = every()
            met = met or other
        return met

    def every() -> bool:
        met = one()
        while words and words[0] == "AND":
            words.pop(0)
            other = one()
            met = met and other
        return met

    def one() -> bool:
        word = words.pop(0)
        if word == "(":
            met = alternatives()
            words.pop(0)
            return met
        if words and words[0] == "WITH":
            word += f" WITH {words[1]}"
            del words[:2]
        return word in allowed

    try:
        return alternatives() and not words
    except IndexError:
        return False


# -- tracked files -----------------------------------------------------------------------------------------------

# written in pieces, so that this file does not find itself
HOSTS = ["pypi" + r"\.org", "pythonhosted" + r"\.org", "(index|static)" + r"\.crates\.io", "npmjs" + r"\.(org|com)",
         "deb" + r"\.debian\.org", "security" + r"\.debian\.org"]
PATHS = [r"(?<![\w.}-])/" + f"({place})/" for place in ("work", "root", r"home/\w+", r"Users/\w+")]


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    forbidden = {"registry host": re.compile("|".join(HOSTS + configured_hosts())),
                 "path of a machine": re.compile("|".join(PATHS))}
    problems = []
    for path in files:
        try:
            lines = path.read_text().splitlines()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for number, line in enumerate(lines, 1):
            for what, pattern in forbidden.items():
                if pattern.search(line):
                    problems.append(f"{path.relative_to(ROOT)}:{number}: names a {what}")
    print(f"{len(files)} tracked files")
    return problems


def configured_hosts() -> list[str]:
    """Hosts that this machine's package clients are pointed at; never printed."""
    texts = []
    for command in (["pip", "config", "list"], ["npm", "config", "get", "registry"]):
        try:
            texts.append(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)
        except (OSError, subprocess.TimeoutExpired):
            pass
    home = Path.home()
    for path in (home / ".cargo/config.toml", home / ".cargo/config", home / ".config/pip/pip.conf", home / ".npmrc"):
        if path.is_file():
            texts.append(path.read_text(errors="replace"))
    hosts = {host for text in texts for host in re.findall(r"https?://(?:[^/\s@]*@)?([\w.-]+)", text)}
    public = {"localhost", "127.0.0.1", "github.com"}
    return [re.escape(host) for host in sorted(hosts - public) if "." in host]


if __name__ == "__main__":
    sys.exit(main())
