"""
``python -m bench.patterns``: the cost of scripts, by the kind and number of their rules.

Measure, in one process and without sockets, the CPU time to find the rule for a request, and to
load 10,000 rules.  Each script runs in its own process.  Print two tables.
"""

import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import Any

from attrs import Factory, define, frozen
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress

from bench.measure import resident_bytes
from bench.report import number, simple_table
from bench.scripts import KINDS, Kind
from reqresp import Script

SIZES = (1, 100, 1_000, 10_000)
# The number of requests timed together: reading the clock takes as long as some of them.
_BLOCK = 10
_BLOCKS = 100
# The time limit for a script: the slowest kinds do not reach 100 blocks.
_SECONDS = 2.0
_TEXT = 12
_LETTERS = "abcdefghijklmnopqrstuvwxyz "


@define
class Asking:
    """The context of a request, as far as a script needs it."""

    peer: IAddress = Factory(lambda: IPv4Address("TCP", "127.0.0.1", 50_000))
    number: int = 1
    taken: int = 1
    notes: Any = None
    config: Any = None


@frozen
class Figures:
    """
    The cost of one script.

    :param seconds: CPU time to load it.
    :param first: CPU time for a request that was not sent before, in seconds.
    :param again: CPU time for the same request again, in seconds.
    :param loaded: growth of the process after loading, in bytes.
    :param asked: growth of the process after all requests, in bytes.
    """

    seconds: float
    first: float
    again: float
    loaded: int
    asked: int


def measure(kind: Kind, rules: int, blocks: int = _BLOCKS) -> Figures:
    """Load a script of *rules* rules of one *kind*, and send requests to it, in this process."""
    text = kind.script(rules)
    Script.parse(kind.script(1))  # imports and one-time allocations do not count
    before = resident_bytes(os.getpid())
    begun = time.process_time()
    script = Script.parse(text)
    seconds = time.process_time() - begun
    loaded = resident_bytes(os.getpid()) - before
    first, again = [], []
    enough = time.process_time() + _SECONDS
    for block in requests(kind, rules, blocks):
        first.append(_cost(script, block))
        again.append(_cost(script, block))
        if time.process_time() > enough:
            break
    asked = resident_bytes(os.getpid()) - before
    return Figures(seconds, median(first), median(again), loaded, asked)


def requests(kind: Kind, rules: int, blocks: int) -> Iterator[Sequence[bytes]]:
    """Return requests for random rules, all different if the kind allows it."""
    chance = random.Random(1)  # noqa: S311  # the same in every run, no secret
    for _ in range(blocks):
        yield [
            kind.ask(chance.randrange(rules), "".join(chance.choices(_LETTERS, k=_TEXT)))
            for _ in range(_BLOCK)
        ]


def _cost(script: Script, block: Sequence[bytes]) -> float:
    respond, asking = script.rules.respond, Asking()
    begun = time.thread_time_ns()
    for request in block:
        respond(request, asking)
    return (time.thread_time_ns() - begun) / 1e9 / len(block)


def tables(measured: dict[tuple[str, int], Figures]) -> str:
    """Return the figures of each kind and number of rules as reStructuredText."""
    sizes = sorted({rules for _, rules in measured})
    kinds = [name for name in KINDS if (name, sizes[-1]) in measured]
    costs = [
        (
            f"``{KINDS[name].title}``",
            when,
            *(number(getattr(measured[name, rules], when) * 1e6) for rules in sizes),
        )
        for name in kinds
        for when in ("first", "again")
    ]
    most = [measured[name, sizes[-1]] for name in kinds]
    sums = [
        (
            f"``{KINDS[name].title}``",
            number(figures.seconds),
            number(figures.loaded / 1e6),
            number(figures.asked / 1e6),
        )
        for name, figures in zip(kinds, most, strict=True)
    ]
    header = ("us for a request", "asked", *(f"{rules:,}" for rules in sizes))
    return "\n".join(
        (
            simple_table(header, costs),
            simple_table((f"{sizes[-1]:,} rules", "s to load", "MB loaded", "MB, asked"), sums),
        )
    )


def main() -> int:
    wanted = [(name, rules) for name in KINDS for rules in SIZES]
    measured = {}
    # Not forked: a process that reuses freed memory would not grow.
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as processes:
        futures = {
            (name, rules): processes.submit(measure, KINDS[name], rules) for name, rules in wanted
        }
        for done, (key, future) in enumerate(futures.items(), 1):
            measured[key] = future.result()
            print(f"[{done:2}/{len(wanted)}] {key[1]:,} x {KINDS[key[0]].title}", file=sys.stderr)
    print(tables(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
