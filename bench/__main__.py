"""
``python -m bench``: the command line of the benchmark.

Run each server on one core and its load on another.  Print the figures as tables, and write them,
with a plot, into docs/.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from bench.machine import describe
from bench.parts import PARTS
from bench.plot import draw
from bench.processes import ROOT, choose_cores
from bench.report import report
from bench.run import Plan, Runner
from bench.values import Results, UnavailableError

_DOCS = ROOT / "docs"
# A higher load average before the start means that the machine does other work.
_BUSY = 0.5
_CACHE = Path.home() / ".cache" / "reqresp-bench"


def _arguments() -> argparse.Namespace:
    parts = "\n".join(f"  {name:14}{part.title}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"parts:\n{parts}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=PARTS,
        metavar="NAME",
        help="run only this part (repeatable); writes files only with --output",
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="starts of each server (default: %(default)s)"
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="factor for all amounts of work (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, help="folder to write to (default: docs/, if all parts run)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=_CACHE,
        help="folder for built servers and npm packages (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if arguments.runs < 1 or arguments.scale <= 0:
        parser.error("--runs and --scale must be positive")
    return arguments


def _command(arguments: argparse.Namespace) -> str:
    parts = "".join(f" --only {name}" for name in arguments.only or ())
    return f"python -m bench{parts} --runs {arguments.runs} --scale {arguments.scale:g}"


def _terminated(number: int, _: object) -> NoReturn:
    # An exception, so that all running servers are killed.
    sys.exit(128 + number)


def main() -> int:
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    output = arguments.output or (None if arguments.only else _DOCS)
    results = Results()
    busy, _, _ = os.getloadavg()
    if busy > _BUSY:
        print(f"bench: the load average is {busy:.1f}; other processes will affect the figures")
    try:
        cores = choose_cores()
        runner = Runner(cores, arguments.cache, lambda line: print(line, flush=True), results)
        parts = [PARTS[name] for name in arguments.only or PARTS]
        runner.carry_out(Plan(parts, arguments.runs, arguments.scale))
    except UnavailableError as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted, nothing written", file=sys.stderr)
        return 130
    text = report(results, arguments.runs)
    print(f"\n{text}")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "performance-table.rst").write_text(
            f"{text}\n{describe(arguments.cache, _command(arguments), busy)}"
        )
        (output / "performance.svg").write_text(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
