"""
Twisted's own tests on the eager transport and the lean reactor: ``tests.twisted_suite``.

Each module of Twisted's installed test suite runs twice, in two processes at once: with Twisted's
transport and reactors, and on reactors whose servers and clients have the eager transport, the lean
one in place of epoll.  Every test must have the same result in both.  ``--tcp-only`` selects the
modules about TCP connections and reactors.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from pkgutil import iter_modules
from socket import AF_INET, AF_INET6
from types import ModuleType
from typing import Any, cast

from twisted.internet import default
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python.reflect import namedAny
from twisted.trial.reporter import TestResult
from twisted.trial.runner import TestLoader, TrialRunner

from reqresp.transport.eager import EagerPort, EagerServer
from reqresp.transport.eager_client import EagerConnector
from reqresp.transport.lean_reactor import LeanReactor

ALL = (
    "twisted.internet.test",
    "twisted.protocols.haproxy.test",
    "twisted.protocols.test",
    "twisted.test",
    "twisted.mail.test",
    "twisted.names.test",
    "twisted.spread.test",
    "twisted.web.test",
    "twisted.words.test",
)
ABOUT_TCP = (
    "twisted.internet.test.test_base",
    "twisted.internet.test.test_core",
    "twisted.internet.test.test_endpoints",
    "twisted.internet.test.test_epollreactor",
    "twisted.internet.test.test_fdset",
    "twisted.internet.test.test_filedescriptor",
    "twisted.internet.test.test_posixbase",
    "twisted.internet.test.test_sigchld",
    "twisted.internet.test.test_socket",
    "twisted.internet.test.test_tcp",
    "twisted.internet.test.test_threads",
    "twisted.internet.test.test_time",
    "twisted.internet.test.test_tls",
    "twisted.internet.test.test_udp",
    "twisted.internet.test.test_unix",
    "twisted.protocols.haproxy.test.test_wrapper",
    "twisted.protocols.test.test_basic",
    "twisted.protocols.test.test_tls",
    "twisted.spread.test.test_pb",
    "twisted.test.test_abstract",
    "twisted.test.test_amp",
    "twisted.test.test_ftp",
    "twisted.test.test_internet",
    "twisted.test.test_loopback",
    "twisted.test.test_policies",
    "twisted.test.test_ssl",
    "twisted.test.test_tcp",
    "twisted.test.test_tcp_internals",
    "twisted.web.test.test_http",
    "twisted.web.test.test_webclient",
)
# The end of a test's name, and the reason why its result must differ.
CANNOT_APPLY = {
    ".test_tcpNoDelay": "expects TCP_NODELAY to be off by default",
}
TRANSPORTS = ("stock", "eager")
MODULE_SECONDS = 300
# The key for the result of the process itself, if it failed.
PROCESS = "(its process)"
ROOT = Path(__file__).resolve().parent.parent

Results = dict[str, str]


class EagerReactor(PosixReactorBase):
    """A mixin for a reactor that makes all its TCP transports eager."""

    # ruff: noqa: N802, N803, the names are Twisted's

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        listening = EagerPort(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None
    ) -> Any:
        connector = EagerConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        if addressFamily not in (AF_INET, AF_INET6):
            return super().adoptStreamPort(fileDescriptor, addressFamily, factory)
        reactor = cast(IReactorFDSet, self)
        port = EagerPort._fromListeningDescriptor(reactor, fileDescriptor, addressFamily, factory)
        port.startListening()
        return port

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        if addressFamily not in (AF_INET, AF_INET6):
            return super().adoptStreamConnection(fileDescriptor, addressFamily, factory)
        return EagerServer._fromConnectedSocket(fileDescriptor, addressFamily, factory, self)


def eager_class(stock: type[PosixReactorBase]) -> type[PosixReactorBase]:
    """Return a subclass of the reactor *stock* with eager transports; a lean one for epoll."""
    base = LeanReactor if stock is EPollReactor else stock
    # Tests read the name, and pass the module's name to their child processes.
    return type(stock.__name__, (EagerReactor, base), {"__module__": stock.__module__})


def eager_factory(stock: Any) -> Any:
    """Return a factory of eager reactors for *stock*, a reactor factory of ReactorBuilder."""
    if isinstance(stock, type):
        return eager_class(stock)

    def build(case: object) -> PosixReactorBase:
        reactor = stock(case)
        reactor.__class__ = eager_class(type(reactor))
        return cast(PosixReactorBase, reactor)

    return build


def use_eager_reactors() -> None:
    """Make all reactors of this process eager: the global one, and those that tests build."""
    from twisted.internet import reactor

    installed: Any = reactor
    installed.__class__ = eager_class(type(installed))
    module = ModuleType("eager_reactors")
    sys.modules[module.__name__] = module
    names = []
    for stock in ReactorBuilder._reactors:
        name = stock.rpartition(".")[2]
        try:
            setattr(module, name, eager_factory(namedAny(stock)))
        except ImportError:  # it needs a missing package: its tests are skipped
            names.append(stock)
        else:
            names.append(f"{module.__name__}.{name}")
    # Test classes are made from this list when their module is imported, later.
    ReactorBuilder._reactors = names


class ResultWriter(TestResult):
    """Writes the result of each test at once, so that an aborted run keeps its results."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w", buffering=1)

    def _write(self, test: Any, outcome: str) -> None:
        self._file.write(json.dumps([test.id(), outcome]) + "\n")

    def addSuccess(self, test: Any) -> None:
        self._write(test, "passed")

    def addError(self, test: Any, _error: Any) -> None:
        self._write(test, "failed")

    addFailure = addError

    def addSkip(self, test: Any, _reason: Any) -> None:
        self._write(test, "skipped")

    def addExpectedFailure(self, test: Any, _error: Any, _todo: Any = None) -> None:
        self._write(test, "failed as expected")

    def addUnexpectedSuccess(self, test: Any, _todo: Any = None) -> None:
        self._write(test, "passed unexpectedly")


def child(transport: str, record: Path, names: list[str]) -> None:
    """Run the tests in this process, which does nothing else."""
    default.install()
    if transport == "eager":
        use_eager_reactors()
    runner = TrialRunner(lambda *_: ResultWriter(record), stream=sys.stderr)
    runner.run(TestLoader().loadByNames(names))


def run_both(names: list[str]) -> tuple[Results, Results]:
    """
    Run the tests with Twisted's transport and, at the same time, with the eager one.

    :param names: dotted names of modules or tests.
    :return: the result of each test by its name, for both transports.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = [(start(kind, Path(folder), names), kind) for kind in TRANSPORTS]
        stock, eager = (finish(process, Path(folder, kind)) for process, kind in started)
    return stock, eager


def start(transport: str, folder: Path, names: list[str]) -> subprocess.Popen[bytes]:
    """Start a process for the tests, in a new directory under *folder*."""
    place = folder / transport
    place.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "tests.twisted_suite", "--child", transport, *names],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=(place / "errors").open("wb"),
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes], place: Path) -> Results:
    """Wait for the process, at most MODULE_SECONDS, and return its results."""
    try:
        ending = f"exit status {process.wait(MODULE_SECONDS)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        ending = f"stopped after {MODULE_SECONDS} s"
    record = place / "record"
    outcomes: dict[str, set[str]] = {}
    for line in record.read_text().splitlines() if record.exists() else ():
        test, outcome = json.loads(line)
        outcomes.setdefault(test, set()).add(outcome)
    results = {test: " and ".join(sorted(outcomes[test])) for test in outcomes}
    if process.returncode != 0:
        results[PROCESS] = ending
        last = (place / "errors").read_text(errors="replace").splitlines()[-1:]
        say(f"    {place.name}: {ending}: {' '.join(last)}")
    return results


def differing(stock: Mapping[str, str], eager: Mapping[str, str]) -> list[str]:
    """Return the names of the tests with different results."""
    return sorted(test for test in {*stock, *eager} if stock.get(test) != eager.get(test))


def cannot_apply(test: str) -> bool:
    return test.endswith(tuple(CANNOT_APPLY))


def compare(module: str) -> tuple[Results, Results]:
    """
    Run a module with both transports, then the differing tests once more alone.

    This excludes results that depend on the load of the machine.
    """
    stock, eager = run_both([module])
    again = [test for test in differing(stock, eager) if not cannot_apply(test)]
    if again:
        say(f"    {module}: {len(again)} differ; running them again")
        alone = [module] if PROCESS in again else again
        for results, fresh in zip((stock, eager), run_both(alone), strict=True):
            results.pop(PROCESS, None)
            results.update(fresh)
    return stock, eager


def modules_in(package: str) -> list[str]:
    """Return the names of the test modules of an installed *package*."""
    path = namedAny(package).__path__
    return [f"{package}.{m.name}" for m in iter_modules(path) if m.name.startswith("test_")]


def count(results: Mapping[str, str]) -> str:
    """Return a summary of results, such as ``12 passed, 3 skipped``."""
    outcomes = Counter(results.values())
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def judge(modules: Iterable[str]) -> bool:
    """
    Compare the modules one by one, and print the results.

    :return: whether all tests have the same result, except those that cannot apply.
    """
    totals: tuple[Results, Results] = ({}, {})
    for module in modules:
        started = time.monotonic()
        stock, eager = compare(module)
        for total, results in zip(totals, (stock, eager), strict=True):
            total.update({f"{module}: {test}": results[test] for test in results})
        verdict = "differs" if differing(stock, eager) else "the same"
        say(f"{module}: {count(stock)}: {verdict} ({time.monotonic() - started:.1f} s)")
    excused = [test for test in differing(*totals) if cannot_apply(test)]
    wrong = [test for test in differing(*totals) if not cannot_apply(test)]
    for test in excused + wrong:
        says = f"stock {totals[0].get(test)}, eager {totals[1].get(test)}"
        reasons = [CANNOT_APPLY[end] for end in CANNOT_APPLY if test.endswith(end)]
        say(f"  {test}: {says}" + "".join(f" (cannot apply: it {reason})" for reason in reasons))
    if not excused:
        say("No test differs, not even the expected one: the eager transport was not in use.")
    say(f"stock: {count(totals[0])}")
    say(f"eager: {count(totals[1])}")
    verdict = f"{len(wrong)} differ" if wrong else "the same"
    say(f"{len(totals[0])} tests, {len(excused)} cannot apply, the others: {verdict}")
    return bool(excused) and not wrong


def main() -> None:
    """Run the command; exit with 1 if a test has different results."""
    parser = argparse.ArgumentParser(prog="python -m tests.twisted_suite", description=__doc__)
    parser.add_argument("--tcp-only", action="store_true", help="run only the modules about TCP")
    parser.add_argument("--child", choices=TRANSPORTS, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="run only these test modules of Twisted")
    options = parser.parse_args()
    if options.child:
        child(options.child, Path("record"), options.names)
        return
    chosen = list(ABOUT_TCP) if options.tcp_only else [m for p in ALL for m in modules_in(p)]
    started = time.monotonic()
    good = judge(options.names or chosen)
    say(f"{time.monotonic() - started:.0f} s")
    sys.exit(not good)


if __name__ == "__main__":
    main()
