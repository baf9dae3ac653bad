"""
``python -m tests.reliability``: the command line of the reliability tests.

Test real servers on loopback with hostile clients, full disks and signals.  Print each step, then a
table of figures with their bounds, and write it into docs/.  The status is 1 if a bound is missed.

With --mutants, break a temporary copy of the project in many small ways, and demand that a scenario
or a test catches each.  The status is 1 if one is not caught.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NoReturn

from tests.reliability.mutants import CAUGHT, judge, mutants_table, read_mutants
from tests.reliability.report import machine, made, notes, table
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
        metavar="NAME",
        help="run only this scenario, or only the mutants whose scenario or test has this name "
        "(repeatable); writes files only with --output",
    )
    parser.add_argument(
        "--mutants", action="store_true", help="run the mutants in tests/reliability/mutants.toml"
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
    known = {one.check for one in read_mutants()} if given.mutants else SCENARIOS
    for name in given.only or ():
        if name not in known:
            parser.error(f"--only: {name!r} is unknown; expected one of: {', '.join(known)}")
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
        say(f"    {error}")
        figures = [
            Figure(f"{type(error).__name__}: {error}".partition("\n")[0], "-", "none", met=False)
        ]
    for figure in figures:
        if not figure.met:
            say(f"    MISSED: {figure.what}: {figure.measured}; the bound is {figure.bound}")
    return figures


def run_mutants(only: Collection[str] | None, say: Say, output: Path | None) -> int:
    """Run the mutants, or *only* those with these checks; return how many are not caught."""
    mutants = [one for one in read_mutants() if only is None or one.check in only]
    began = time.monotonic()
    verdicts = judge(mutants, say)
    text = mutants_table(mutants, verdicts)
    sys.stdout.write(f"\n{text}\n")
    if output is not None:
        sentence = made("python -m tests.reliability --mutants", time.monotonic() - began)
        _write(output / "reliability-mutants.rst", [text, sentence])
    return sum(verdict != CAUGHT for verdict in verdicts.values())


def run_scenarios(given: argparse.Namespace, say: Say, output: Path | None) -> int:
    """Run the scenarios; return how many bounds are missed."""
    busy, _, _ = os.getloadavg()
    began = time.monotonic()
    scenarios = [SCENARIOS[name] for name in given.only or SCENARIOS]
    found = {one.name: carry_out(one, given.scale, say) for one in scenarios}
    text = table(found)
    sys.stdout.write(f"\n{text}\n")
    if output is not None:
        sections = [text, notes(scenarios, time.monotonic() - began), machine(command(given), busy)]
        _write(output / "reliability-table.rst", sections)
    return sum(not figure.met for figures in found.values() for figure in figures)


def _write(path: Path, sections: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sections))


def _terminated(number: int, _: object) -> NoReturn:
    # An exception, so that all running servers are stopped.
    sys.exit(128 + number)


def main() -> int:
    """Run the scenarios, or the mutants; return the exit status."""
    given = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    output = given.output or (None if given.only else _DOCS)
    say = stopwatch()
    try:
        if given.mutants:
            failed, how = run_mutants(given.only, say, output), "mutants not caught"
        else:
            failed, how = run_scenarios(given, say, output), "bounds missed"
    except KeyboardInterrupt:
        sys.stderr.write("interrupted, nothing written\n")
        return 130
    none = "all mutants caught" if given.mutants else "all bounds met"
    say(f"{failed} {how}" if failed else none)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
