"""
Connections behave as a model says, in random schedules that hypothesis generates.

A schedule is a sequence of events: what clients, responders, a drain and the clock do, on both
transports, with and without TLS.  `tests.support.model` computes the result.  For a long run::

    python -m tests.server.test_model 50000
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from random import Random
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
from tests.support.model_setup import FRAMING_CASES, GREETINGS, NAMES, SMALL, Setup
from tests.support.model_world import LOGGED, World

#: Schedules that the test runs, and steps in each.
SCHEDULES, STEPS = 60, 30
#: Schedules of a long run that share a seed; each chunk prints a line of progress.
CHUNK = 500
#: Connections of a schedule, at most.
CONNECTIONS = 5

_SETUPS = st.builds(
    Setup,
    framing=st.sampled_from([*FRAMING_CASES]),
    answers=st.sampled_from([*["function"] * 5, *["table"] * 3, *["script"] * 2, "pure", "fixed"]),
    greeting=st.sampled_from(["", "", "", *GREETINGS]),
    ends=st.sampled_from([True, True, False]),
    max_waiting=st.sampled_from([65_536, 20, 300]),
    idle_timeout=st.sampled_from([None, None, None, None, 4.0]),
    faults=st.sampled_from(
        [(), (), (), (), (), (Latency(delay=0.5),), (Slicer(size=1000, delay=0.01),)]
    ),
)
_WHICH = st.integers(0, CONNECTIONS - 1)
#: The kinds of requests that a client sends; lists that hypothesis draws have little variety.
_NAMES = st.builds(
    lambda count, number: Random(number).choices(NAMES, k=count),  # noqa: S311, no secret
    st.integers(1, 8),
    st.integers(0, 9999),
)
_CUTS = st.lists(st.integers(0, 99), max_size=3)
#: Turns of the reactor that pass before an event happens.
_TURNS = st.sampled_from([0, 0, 0, 1, 2, 5])


class ConnectionModel(RuleBasedStateMachine):
    """The events of a schedule."""

    world: World
    drains = 0

    @initialize(
        setup=_SETUPS,
        is_observed=st.sampled_from([True] * 5 + [False]),
        observer=st.sampled_from(["", "", "", "raises", "fires"]),
        tick=st.sampled_from([0.0, 0.0004, 0.003]),
    )
    def serve(self, setup: Setup, is_observed: bool, observer: str, tick: float) -> None:
        """Start the server."""
        self.world = World(setup, is_observed or setup.framing == "chunk", observer, tick)
        globalLogPublisher.addObserver(cast(Any, self.world.log))

    def teardown(self) -> None:
        """Bring every connection to its end, and check that nothing is left."""
        if not hasattr(self, "world"):
            return
        try:
            self.world.finish()
        finally:
            globalLogPublisher.removeObserver(cast(Any, self.world.log))

    @precondition(lambda self: len(self.world.clients) < CONNECTIONS)
    @rule(
        setup=st.none() | _SETUPS,
        is_eager=st.booleans(),
        is_tls=st.sampled_from([False, False, True]),
        is_reading=st.sampled_from([True, True, False]),
        rests=st.booleans(),
    )
    def connect(
        self, setup: Setup | None, is_eager: bool, is_tls: bool, is_reading: bool, rests: bool
    ) -> None:
        """A client connects, perhaps after the server was reconfigured."""
        if setup is not None:
            self.world.reconfigure(setup)
        self.world.connect(is_eager, is_tls, is_reading)
        self._rest(rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, names=_NAMES, cuts=_CUTS, turns=_TURNS, rests=st.booleans())
    def send(self, which: int, names: list[str], cuts: list[int], turns: int, rests: bool) -> None:
        """A client sends requests, cut at any place."""
        it = self._sender(which)
        self._later(turns, lambda: self.world.send(it, names, cuts), rests)

    @precondition(lambda self: self.world.clients)
    @rule(
        which=_WHICH,
        names=_NAMES,
        seconds=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
        turns=_TURNS,
        how=st.sampled_from(["", "half_close", "half_close", "close", "start"]),
        rests=st.booleans(),
    )
    def send_last(
        self, which: int, names: list[str], seconds: float, turns: int, how: str, rests: bool
    ) -> None:
        """A client sends requests in one piece, and perhaps half-closes or leaves soon after."""
        it = self._sender(which)
        self.world.send(it, names, [])
        if seconds:
            self.world.advance(seconds)
        self._later(turns, lambda: self.world.end(it, how), rests)

    @precondition(lambda self: self.world.clients)
    @rule(
        which=_WHICH,
        names=st.lists(st.sampled_from(SMALL), min_size=1, max_size=3),
        times=st.sampled_from([5, 5, 5, 300]),
        rests=st.booleans(),
    )
    def send_many(self, which: int, names: list[str], times: int, rests: bool) -> None:
        """A client sends many requests at once."""
        self.world.send(self._sender(which), names * times, [])
        self._rest(rests)

    @precondition(lambda self: self.world.clients)
    @rule(
        which=_WHICH,
        how=st.sampled_from(["", "half_close", "half_close", "close", "reset", "garbage", "start"]),
        turns=_TURNS,
        rests=st.booleans(),
    )
    def end(self, which: int, how: str, turns: int, rests: bool) -> None:
        """A client half-closes, leaves, or sends something that is not a request."""
        it = self._client(which)
        self._later(turns, lambda: self.world.end(it, how), rests)

    @precondition(lambda self: self.world.clients)
    @rule(
        which=_WHICH,
        size=st.sampled_from([None, None, 0, 0, 1, 1000, 20_000, 65_536]),
        turns=_TURNS,
        rests=st.booleans(),
    )
    def read(self, which: int, size: int | None, turns: int, rests: bool) -> None:
        """A client resumes reading, or reads a little and then pauses."""
        it = self._client(which)
        self._later(turns, lambda: self.world.read(it, size), rests)

    @precondition(lambda self: self.world.late)
    @rule(
        which=st.integers(0, 3),
        succeeds=st.sampled_from([True, True, True, False]),
        turns=_TURNS,
        rests=st.booleans(),
    )
    def fire(self, which: int, succeeds: bool, turns: int, rests: bool) -> None:
        """A responder's Deferred fires, or fails."""
        self._later(turns, lambda: self.world.fire(which, succeeds), rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, times=st.sampled_from([1, 1, 3]), turns=_TURNS, rests=st.booleans())
    def push(self, which: int, times: int, turns: int, rests: bool) -> None:
        """Something is pushed to a connection, whatever it waits for."""
        it = self._client(which)
        for _ in range(times):
            self._later(turns, lambda: self.world.push(it), rests)

    @precondition(lambda self: self.world.clients)
    @rule(which=_WHICH, odds=st.integers(0, 5), turns=_TURNS, rests=st.booleans())
    def steer(self, which: int, odds: int, turns: int, rests: bool) -> None:
        """A connection is closed or reset from outside, in some cases."""
        it = self._client(which)
        how = {4: "close", 5: "reset"}.get(odds)
        if how is not None:
            self._later(turns, lambda: self.world.steer(it, how), rests)

    @precondition(lambda self: self.world.clients)
    @rule(
        what=st.sampled_from(["add", "add", "change", "remove", "remove"]),
        turns=_TURNS,
        rests=st.booleans(),
    )
    def change_faults(self, what: str, turns: int, rests: bool) -> None:
        """Faults come, change and go that never apply: replies take another path."""
        self._later(turns, lambda: self.world.change_faults(what), rests)

    @precondition(lambda self: self.drains < 2 and self.world.clients)
    @rule(
        odds=st.integers(0, 3),
        seconds=st.sampled_from([0.5, 3, 100]),
        turns=_TURNS,
        rests=st.booleans(),
    )
    def drain(self, odds: int, seconds: float, turns: int, rests: bool) -> None:
        """The server drains, in one of four cases."""
        if odds == 3:
            self.drains += 1
            self._later(turns, lambda: self.world.drain(seconds), rests)

    @rule(seconds=st.sampled_from([0.0, 0.3, 0.6, 1.0, 2.0, 10.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.world.advance(seconds)

    def _client(self, which: int) -> Connected:
        return self.world.clients[which % len(self.world.clients)]

    def _sender(self, which: int) -> Connected:
        """Return a client that can still send, or any if none can."""
        senders = [it for it in self.world.clients if not it.sends_no_more]
        return senders[which % len(senders)] if senders else self._client(which)

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
    """Connections behave as the model says."""

    def test_schedules(self) -> None:
        """No byte is lost, repeated or reordered, and observers receive events in order."""
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
    print(*lines, sep="\n", flush=True)  # noqa: T201, progress of a long run


def _notes(error: Exception) -> list[str]:
    """Return the schedule that leads to *error*, which hypothesis adds to it."""
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
