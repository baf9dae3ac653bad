"""
Conversions: what the text of an option stands for.

Each takes text and gives a value, or raises a ValueError that tells a person what was expected.
"""

import os
import re
from collections.abc import Callable
from math import inf
from pathlib import Path

#: A process for each core of the largest machines.
MOST_WORKERS = 1024


def is_number(text: str) -> bool:
    """Tell whether *text* is a whole number, 0 or more."""
    return re.fullmatch("[0-9]+", text) is not None


def whole(least: int) -> Callable[[str], int]:
    """Make what converts whole numbers of *least* or more."""

    def convert(text: str) -> int:
        if not is_number(text) or int(text) < least:
            raise ValueError(f"expected a whole number, {least} or more, not {text!r}")
        return int(text)

    return convert


def seconds(text: str) -> float:
    """Convert seconds, 0 or more."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < inf:
        raise ValueError(f"expected seconds, 0 or more, not {text!r}")
    return seconds


def some_seconds(text: str) -> float:
    """Convert seconds, enough of them to look at a clock in between."""
    if seconds(text) < 0.001:
        raise ValueError(f"expected 0.001 seconds or more, not {text!r}")
    return float(text)


def port(text: str) -> str:
    """Let a port number pass, or the description of an endpoint."""
    if ":" in text or (is_number(text) and int(text) < 2**16):
        return text
    raise ValueError(f"expected a number up to 65535 or an endpoint description, not {text!r}")


def workers(text: str) -> int:
    """Convert a number of processes; ``auto``: as many as this one has processors."""
    if text == "auto":
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if not is_number(text) or not 0 < int(text) <= MOST_WORKERS:
        raise ValueError(f"expected 'auto' or a number from 1 to {MOST_WORKERS}, not {text!r}")
    return int(text)


def path(text: str) -> Path:
    """Convert a file's path to what it is now: a daemon may go elsewhere."""
    if not text:
        raise ValueError(f"expected a file, not {text!r}")
    return Path(text).absolute()
