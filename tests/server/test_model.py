"""
Connections compared with a model, in schedules that hypothesis makes up.

A schedule is any order of what clients, time, responders and a drain can do, on both transports,
with and without TLS.  `tests.support.model` says what has to come of it.  To run many schedules::

    python -m tests.server.test_model 50000
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.logger import globalLogBeginner, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Latency, Slicer
from tests.support.model import Connected
from tests.support.model_setup import GREETINGS, WIRES, Setup
from tests.support.model_world import LOGGED, World

#: Schedules that the test runs, and steps in each.
SCHEDULES, STEPS = 60, 30
#: Schedules of a long run that share a seed; after each such chunk it prints a line.
CHUNK = 500
#: Connections of a schedule, at most.
CONNECTIONS = 4

_SETUPS = st.builds(
    Setup,
    wires=st.sampled_from([*WIRES]),
    answers=st.sampled_from(["function", "function", "table", "pure", "fixed", "script"]),
    greeting=st.sampled_from(["", "", "", *GREETINGS]),
    ends=st.booleans(),
    max_waiting=st.sampled_from([65_536, 20, 300]),
    idle_timeout=st.sampled_from([None, None, None, None, 4.0]),
    faults=st.sampled_from(
        [(), (), (), (), (), (Latency(delay=0.5),), (Slicer(size=1000, delay=0.01),)]
    ),
)
_WHICH = st.integers(0, CONNECTIONS - 1)
#: Turns of the reactor that pass before a client does something.
_TURNS = st.sampled_from([0, 0, 0, 1, 2, 5])


class ConnectionModel(RuleBasedStateMachine):
    """A server, its clients, and all that can happen."""

    world: World
    drains = 0

    @initialize(
        setup=_SETUPS, is_observed=st.sampled_from([True] * 5 + [False]), raises=st.booleans()
    )
    def serve(self, setup: Setup, is_observed: bool, raises: bool) -> None:
        """Make the server."""
        self.world = World(setup, is_observed or setup.wires == "chunk", raises)
        globalLogPublisher.addObserver(cast(Any, self.world.log))

    def teardown(self) -> None:
        """Let all come to its end, and check that nothing is left."""
        if not hasattr(self, "world"):
            return
        try:
            self.world.finish()
        finally:
            globalLogPublisher.removeObserver(cast(Any, self.world.log))

    @rule(setup=_SETUPS)
    def reconfigure(self, setup: Setup) -> None:
        """Have those who connect from now on answered in another way."""
        self.world.reconfigure(setup)

    @precondition(lambda self: len(self.world.clients) < CONNECTIONS)
    @rule(
        is_eager=st.booleans(),
        is_tls=st.sampled_from([False, False, True]),
        is_reading=st.sampled_from([True, True, False]),
        rests=st.booleans(),
    )
    def connect(self, is_eager: bool, is_tls: bool, is_reading: bool, rests: bool) -> None:
        """A client connects."""
        self.world.connect(is_eager, is_tls, is_reading)
        self._rest(rests)

    @precondition(lambda self: self.world.clients)
    @rule(
        which=_WHICH,
        picks=st.lists(st.integers(0, 59), min_size=1, max_size=6),
        times=st.sampled_from([1, 1, 1, 1, 30, 200]),
        cuts=st.lists(st.integers(0, 60), max_size=3),
        turns=_TURNS,
        rests=st.booleans(),
    )
    def send(
        self, which: int, picks: list[int], times: int, cuts: list[int], turns: int, rests: bool
    ) -> None:
        """A client sends requests, cut anywhere."""
        it = self._client(which)
        kinds = it.expected.setup.kinds
        if times > 1:  # others would take long
            kinds = [kind for kind in kinds if kind in ("echo", "many", "none", "zero", "what")]
        names = [kinds[pick % len(kinds)] for pick in picks] * times
        self._later(turns, lambda: self.world.send(it, names, cuts), rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, is_start=st.booleans(), turns=_TURNS, rests=st.booleans())
    def send_no_request(self, which: int, is_start: bool, turns: int, rests: bool) -> None:
        """A client sends what is no request, or only the start of one."""
        it = self._client(which)
        send = self.world.send_start if is_start else self.world.send_garbage
        self._later(turns, lambda: send(it), rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, turns=_TURNS, rests=st.booleans())
    def half_close(self, which: int, turns: int, rests: bool) -> None:
        """A client sends no more, and reads on."""
        it = self._client(which)
        self._later(turns, lambda: self.world.half_close(it), rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, is_reset=st.booleans(), turns=_TURNS, rests=st.booleans())
    def leave(self, which: int, is_reset: bool, turns: int, rests: bool) -> None:
        """A client closes, or resets its connection."""
        it = self._client(which)
        self._later(turns, lambda: self.world.leave(it, is_reset), rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, turns=_TURNS)
    def pause(self, which: int, turns: int) -> None:
        """A client stops reading."""
        it = self._client(which)
        self._later(turns, lambda: self.world.pause(it), False)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, turns=_TURNS, rests=st.booleans())
    def resume(self, which: int, turns: int, rests: bool) -> None:
        """A client reads on."""
        it = self._client(which)
        self._later(turns, lambda: self.world.resume(it), rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, size=st.sampled_from([1, 10, 1000, 20_000, 65_536]), rests=st.booleans())
    def read(self, which: int, size: int, rests: bool) -> None:
        """A client that does not read takes a little."""
        self._client(which).client.read(size)
        self._rest(rests)

    @precondition(lambda self: self.world.late)
    @rule(
        which=st.integers(0, 3),
        succeeds=st.sampled_from([True, True, True, False]),
        rests=st.booleans(),
    )
    def fire(self, which: int, succeeds: bool, rests: bool) -> None:
        """A reply that was waited for comes, or fails."""
        self.world.fire(which, succeeds)
        self._rest(rests)

    @precondition(lambda self: self.drains < 2)
    @rule(seconds=st.sampled_from([0.5, 3, 100]), turns=_TURNS, rests=st.booleans())
    def drain(self, seconds: float, turns: int, rests: bool) -> None:
        """The server ends."""
        self.drains += 1
        self._later(turns, lambda: self.world.drain(seconds), rests)

    @rule(seconds=st.sampled_from([0.0, 0.0, 0.3, 1.0, 2.0, 10.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.world.advance(seconds)

    def _client(self, which: int) -> Connected:
        return self.world.clients[which % len(self.world.clients)]

    def _later(self, turns: int, act: Callable[[], object], rests: bool) -> None:
        self.world.later(turns, act)
        self._rest(rests)

    def _rest(self, rests: bool) -> None:
        if rests:
            self.world.settle()


def _settings(schedules: int, is_repeatable: bool) -> settings:
    return settings(
        max_examples=schedules,
        stateful_step_count=STEPS,
        derandomize=is_repeatable,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate, Phase.shrink],
    )


class ModelTests(SynchronousTestCase):
    """Connections do what the model says."""

    def test_schedules(self) -> None:
        """No byte is lost, repeated or out of order, and observers hear all in order."""
        run_state_machine_as_test(ConnectionModel, settings=_settings(SCHEDULES, True))
        self.flushLoggedErrors(*LOGGED)


def run(schedules: int, first: int) -> int:
    """
    Run that many *schedules* in chunks, whose seeds are numbers from *first* on.

    :returns: how many chunks failed.
    """
    failed = 0
    began = monotonic()
    for at in range(0, schedules, CHUNK):
        number = first + at // CHUNK
        size = min(CHUNK, schedules - at)
        machine = seed(number)(type("ConnectionModel", (ConnectionModel,), {}))
        try:
            run_state_machine_as_test(machine, settings=_settings(size, False))
        except Exception as error:
            failed += 1
            _report(f"seed {number}: {type(error).__name__}: {error}", *_notes(error))
        _report(f"{at + size} of {schedules} schedules, {failed} seeds failed")
    _report(f"{schedules} schedules in {monotonic() - began:.0f} s, {failed} seeds failed")
    return failed


def _report(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)  # noqa: T201, a long run tells its progress


def _notes(error: Exception) -> list[str]:
    """Return the steps that lead to *error*, as hypothesis found them."""
    return getattr(error, "__notes__", [])


def main() -> int:
    """Run as the command line says; return the exit status."""
    parser = ArgumentParser(description="Compare connections with a model, in random schedules.")
    parser.add_argument("schedules", type=int, help="how many schedules to run")
    parser.add_argument("--seed", type=int, default=1, help="the first chunk's seed (default: 1)")
    arguments = parser.parse_args()
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)  # else failures are printed
    return int(run(arguments.schedules, arguments.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
