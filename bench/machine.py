"""
Machine: the hardware and the versions that the figures were measured with.

Knows where to find names and versions.  It must not show names that identify the machine's owner.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

# Commands whose output contains a version.
_PROGRAMS = {
    "redis-server": ("redis-server", "--version"),
    "redis-benchmark": ("redis-benchmark", "--version"),
    "wrk": ("wrk", "--version"),
    "ncat": ("ncat", "--version"),
    "cc": ("cc", "--version"),
    "Go": ("go", "version"),
    "Node": ("node", "--version"),
}
_PACKAGES = ("reqresp", "Twisted", "uvloop", "gevent")


def describe(cache: Path, command: str, busy: float) -> str:
    """
    Return a section of reStructuredText: *command*, the date, processor, kernel and versions.

    :param cache: the folder of npm packages.
    :param busy: the load average before the start.
    """
    facts = basics(command, busy, _PACKAGES)
    facts |= {name: _program(*command) for name, command in _PROGRAMS.items()}
    return section({**facts, "mountebank": _mountebank(cache)})


def basics(command: str, busy: float, packages: Sequence[str]) -> dict[str, str]:
    """Return what every measurement needs: the machine, and the versions of *packages*."""
    return {
        "command": f"``{command}``",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load average before": f"{busy:.2f}",
        "kernel": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{package: _package(package) for package in packages},
    }


def section(facts: Mapping[str, str]) -> str:
    """Return *facts* as a section of reStructuredText."""
    lines = [f":{name}: {fact}" for name, fact in facts.items()]
    title = "The machine"
    return "\n".join([title, "-" * len(title), "", *lines, ""])


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return found[1] if found else platform.machine()


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _program(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    # wrk prints its version and exits with an error.
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL
    )
    found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def _mountebank(cache: Path) -> str:
    path = cache / "mountebank" / "node_modules" / "mountebank" / "package.json"
    if not path.exists():
        return "not installed"
    found = re.search(r'"version":\s*"([^"]+)"', path.read_text())
    return found[1] if found else "unknown"
