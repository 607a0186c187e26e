"""What every run needs and leaves nothing of: the binary under test, the programs of the bench, a directory on the
disk to be measured."""

import shutil
import tempfile
from pathlib import Path

from .machine import build_programs, build_usher


class Scratch:
    """A context in which `home` exists and `usher` is the binary under test."""

    def __init__(self, args):
        self.binary, self.parent, self.profile = args.binary, args.scratch, "dev" if args.dev else "release"
        self.skip_build = args.no_build

    def __enter__(self) -> "Scratch":
        if not self.skip_build:
            build_programs()
        self.usher = Path(self.binary).resolve() if self.binary else build_usher(self.profile)
        if self.parent:
            Path(self.parent).mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp(prefix="usher-bench-", dir=self.parent))
        self.home.chmod(0o755)                    # PostgreSQL runs as another user
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.home, ignore_errors=True)
