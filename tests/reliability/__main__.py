"""
``python -m tests.reliability``: the command line of the reliability tests.

Test real servers on loopback with hostile clients, full disks and signals.  Print each step, then a
table of figures with their bounds, and write it into docs/.  The status is 1 if a bound is missed.
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
    """Return the arguments of the command line."""
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
        help="run only this scenario (repeatable); writes files only with --output",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor for all amounts (default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, help="folder to write to (default: docs/, if all scenarios run)"
    )
    given = parser.parse_args()
    if given.scale <= 0:
        parser.error("--scale must be positive")
    return given


def command(given: argparse.Namespace) -> str:
    """Return the command as text."""
    only = "".join(f" --only {name}" for name in given.only or ())
    return f"python -m tests.reliability{only} --scale {given.scale:g}"


def stopwatch() -> Callable[[str], None]:
    """Return a function that prints lines with the elapsed time."""
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {line}\n")
        sys.stdout.flush()

    return say


def carry_out(one: Scenario, scale: float, say: Say) -> list[Figure]:
    """Run a scenario; print the bounds that it misses, or the error that ended it."""
    say(f"{one.name}: {one.title}")
    try:
        figures = one.run(scale, lambda line: say(f"    {line}"))
    except Exception as error:  # other scenarios can still run
        figures = [
            Figure(f"{type(error).__name__}: {error}".partition("\n")[0], "-", "none", met=False)
        ]
    for figure in figures:
        if not figure.met:
            say(f"    MISSED: {figure.what}: {figure.measured}; the bound is {figure.bound}")
    return figures


def _terminated(number: int, _: object) -> NoReturn:
    # An exception, so that all running servers are stopped.
    sys.exit(128 + number)


def main() -> int:
    """Run the scenarios; return the exit status."""
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
        sections = [text, notes(scenarios, time.monotonic() - began), machine(command(given), busy)]
        (output / "reliability-table.rst").write_text("\n".join(sections))
    missed = sum(not figure.met for figures in found.values() for figure in figures)
    say(f"{missed} bounds missed" if missed else "all bounds met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
