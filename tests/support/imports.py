"""Which modules a command imports."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.live import PATIENCE

#: A line of ``python -X importtime``: two durations, and an indented name.
_LINE = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)


def imported_by(directory: Path, *arguments: str) -> set[str]:
    """
    Return the names of the modules that ``python ARGUMENTS`` imports, run in *directory*.

    :raises AssertionError: its exit status is not 0.
    """
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return set(_LINE.findall(done.stderr))


def of_packages(names: set[str], *packages: str) -> set[str]:
    """Return those of *names* that are *packages*, or modules in them."""
    return {name for name in names if f"{name}.".startswith(tuple(f"{it}." for it in packages))}
