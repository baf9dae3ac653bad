"""The states and events of docs/connection.rst are those of the code."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from reqresp import Close, EagerServer, Hang, Limits, Wait
from reqresp.server._state import State
from reqresp.server.host import SWEEPS_PER_TIMEOUT
from tests.support.conversation import Conversation
from tests.support.wire import Wire

PAGE = Path(__file__).parent.parent.parent / "docs" / "connection.rst"

#: For each state, a responder whose reply to ``a`` leads to it.
RESPONDERS: dict[str, Callable[[Any], Any]] = {
    "IDLE": lambda _request: b"x",
    "TIMER": lambda _request: (Wait(100), b"x"),
    "REPLY": lambda _request: Deferred(),
    "YIELDED": lambda _request: b"x",
    "FULL": lambda _request: b"x" * 1_000_000,
    "HANGING": lambda _request: Hang(),
    "ENDED": lambda _request: (b"x", Close()),
}


def _data(wire: Wire) -> None:
    wire.protocol.dataReceived(b"b\n")


def _eof(wire: Wire) -> None:
    wire.protocol.readConnectionLost()


def _drain(wire: Wire) -> None:
    wire.factory.drain(10)


def _idle(wire: Wire) -> None:
    for _ in range(2 * SWEEPS_PER_TIMEOUT):
        wire.protocol.sweep()


def _request_timeout(wire: Wire) -> None:
    wire.protocol.dataReceived(b"begun")
    for _ in range(2 * SWEEPS_PER_TIMEOUT):
        wire.protocol.sweep_request()


def _loss(wire: Wire) -> None:
    wire.transport.connectionLost(Failure(CONNECTION_DONE))


EVENTS: dict[str, Callable[[Wire], None]] = {
    "data": _data,
    "EOF": _eof,
    "a drain": _drain,
    "idle timeout": _idle,
    "request timeout": _request_timeout,
    "loss": _loss,
}


def documented() -> dict[str, list[str]]:
    """Return what the page says of each state: the states that follow the events, in order."""
    _, _, page = PAGE.read_text().partition("What happens in a state")
    rows = re.findall(rf"^({'|'.join(RESPONDERS)})  +(.*)$", page, re.MULTILINE)
    return {state: re.split("  +", rest.strip()) for state, rest in rows}


class StateTests(Conversation):
    """Each state is entered, and each event happens in it."""

    def enter(self, state: str) -> Wire:
        wire = self.lines(RESPONDERS[state], limits=Limits(idle_timeout=1000))
        if state == "FULL":
            wire.stop_reading()
        wire.protocol.dataReceived(b"a\n" * (20_000 if state == "YIELDED" else state != "IDLE"))
        self.assertIs(wire.protocol.state, State[state])
        return wire

    def after(self, state: str, event: str) -> str:
        """Return the state after *event*, and after what follows from it at once."""
        wire = self.enter(state)
        EVENTS[event](wire)
        if wire.protocol.state is not State.YIELDED:  # it would have its turn
            wire.turn()
        return str(wire.protocol.state.name)

    def test_the_page_says_what_happens(self) -> None:
        """Every state that can be seen from outside has a row, every event a column."""
        found = {state: [self.after(state, event) for event in EVENTS] for state in RESPONDERS}
        self.assertEqual(documented(), found)


class EagerStateTests(StateTests):
    """The same on the eager transport."""

    transport = EagerServer
