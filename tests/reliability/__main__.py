"""
``python -m tests.reliability``: the arguments, and the order of things.

Does to real servers, on loopback, what clients, disks and signals may do to them; tells each step,
prints a table of figures with the bound of each, and writes it into docs/.  The status is 1 if a
bound was missed.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tests.reliability.report import machine, notes, table
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.values import Figure, Say, Scenario

_DOCS = Path(__file__).parent.parent.parent / "docs"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    listed = "\n".join(f"  {name:16}{one.title}" for name, one in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability",
        description=__doc__,
        epilog=f"scenarios:\n{listed}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=SCENARIOS,
        metavar="NAME",
        help="run this scenario (repeatable); nothing is written, unless --output is given",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor on all that is done (%(default)s)"
    )
    parser.add_argument("--output", type=Path, help="where to write (docs/, if all is run)")
    given = parser.parse_args()
    if given.scale <= 0:
        parser.error("--scale must be positive")
    return given


def command(given: argparse.Namespace) -> str:
    """Write the command that was given."""
    only = "".join(f" --only {name}" for name in given.only or ())
    return f"python -m tests.reliability{only} --scale {given.scale:g}"


def stopwatch() -> Callable[[str], None]:
    """Make what prints lines, the elapsed time in front of each."""
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {line}\n")
        sys.stdout.flush()

    return say


def carry_out(one: Scenario, scale: float, say: Say) -> list[Figure]:
    """Run a scenario, and tell which bounds it missed, or what made an end of it."""
    say(f"{one.name}: {one.title}")
    try:
        figures = one.run(scale, lambda line: say(f"    {line}"))
    except Exception as error:  # the others can still be run
        figures = [
            Figure(f"{type(error).__name__}: {error}".partition("\n")[0], "-", "none", met=False)
        ]
    for figure in figures:
        if not figure.met:
            say(f"    MISSED: {figure.what}: {figure.measured}, where {figure.bound} is the bound")
    return figures


def _terminated(number: int, _: object) -> NoReturn:
    # An exception, so that every server under way is stopped on the way out.
    sys.exit(128 + number)


def main() -> int:
    """Run what was asked for; give the status."""
    given = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    output = given.output or (None if given.only else _DOCS)
    busy, _, _ = os.getloadavg()
    say, began = stopwatch(), time.monotonic()
    scenarios = [SCENARIOS[name] for name in given.only or SCENARIOS]
    try:
        found = {one.name: carry_out(one, given.scale, say) for one in scenarios}
    except KeyboardInterrupt:
        sys.stderr.write("interrupted, nothing written\n")
        return 130
    text = table(found)
    sys.stdout.write(f"\n{text}\n")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        told = [text, notes(scenarios, time.monotonic() - began), machine(command(given), busy)]
        (output / "reliability-table.rst").write_text("\n".join(told))
    missed = sum(not figure.met for figures in found.values() for figure in figures)
    say(f"{missed} bounds missed" if missed else "all bounds met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
