"""
Option types: what one option is, and how its text is converted.

It must not know which options there are.
"""

import os
import re
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from attrs import frozen

from reqresp._files import STDOUT
from reqresp.services.endpoints import MAX_PORT, is_number

#: One process for each core of the largest machines.
MAX_WORKERS = 1024

# Conversions of an option's text; each raises a ValueError that says what is expected.


def whole_number(least: int) -> Callable[[str], int]:
    """Return a conversion to whole numbers >= *least*."""

    def convert(text: str) -> int:
        if not is_number(text) or int(text) < least:
            raise ValueError(f"expected a whole number >= {least}, found {text!r}")
        return int(text)

    return convert


def seconds(least: float) -> Callable[[str], float]:
    """Return a conversion to finite seconds >= *least*."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not least <= value < inf:
            raise ValueError(f"expected seconds >= {least:g}, found {text!r}")
        return value

    return convert


def factor(text: str) -> float:
    """Return a finite number >= 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < inf:
        raise ValueError(f"expected a number >= 0, found {text!r}")
    return value


def port(text: str) -> str:
    """Return *text* if it is a port number, or may be an endpoint description."""
    if ":" in text or (is_number(text) and int(text) <= MAX_PORT):
        return text
    raise ValueError(
        f"expected a port number up to {MAX_PORT} or an endpoint such as tcp:9999, found {text!r}"
    )


def workers(text: str) -> int:
    """Return a number of processes; ``auto`` is the number of processors that this one may use."""
    if text == "auto":
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if not is_number(text) or not 0 < int(text) <= MAX_WORKERS:
        raise ValueError(f"expected auto or a number from 1 to {MAX_WORKERS}, found {text!r}")
    return int(text)


def path(text: str) -> Path:
    """Return an absolute path: a daemon changes its working directory."""
    if not text:
        raise ValueError(f"expected the path of a file, found {text!r}")
    return Path(text).absolute()


def path_or_stdout(text: str) -> Path:
    """Return an absolute path; ``-`` is standard output."""
    return STDOUT if text == "-" else path(text)


def one_of(*names: str) -> Callable[[str], str]:
    """Return a conversion that accepts only *names*."""

    def convert(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected {' or '.join(names)}, found {text!r}")
        return text

    return convert


def patterns(texts: Sequence[str]) -> Sequence[str]:
    """Return *texts* if each is a pattern of what is not recorded."""
    from reqresp.recording.redaction import make_redactions  # late: few servers record

    make_redactions(texts)
    return texts


def host_names(texts: Sequence[str]) -> Sequence[str]:
    """Return *texts* if each is the name of a host, without a port."""
    for text in texts:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
            raise ValueError(f"expected a host name such as metrics.example.com, found {text!r}")
    return texts


def ignored_patterns(texts: Sequence[str]) -> Sequence[str]:
    """Return *texts* if each is a pattern of RE2 that can make marks."""
    from reqresp.recording.marks import make_ignored  # late: few servers need it

    for text in texts:
        make_ignored(text)
    return texts


def unconverted(value: Any) -> Any:
    """Return *value* as it is."""
    return value


@frozen(kw_only=True)
class Option:
    """
    One option, as it is parsed and as the help shows it.

    :param value: a word for its value in the help; None: it takes none.
    :param default: what the help shows as its default.
    :param initial: the text that it has if it is not given.
    :param convert: converts its text, or, if repeatable, the list of its texts.
    :param is_repeatable: whether it may be given more than once.
    :param requires: the options of which one is needed for it to have an effect.
    :param excludes: the options that it cannot be combined with: it answers instead.
    :param excludes_without: an option with which it excludes none; None: it always does.
    :param requires_plain: whether it works only with endpoints that are bare sockets.
    :param is_for_workers: whether workers are started with it, too.
    """

    name: str
    help: str
    letter: str | None = None
    value: str | None = None
    default: str | None = None
    initial: str | None = None
    convert: Callable[[Any], Any] = unconverted
    is_repeatable: bool = False
    requires: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    excludes_without: str | None = None
    requires_plain: bool = False
    is_for_workers: bool = True
