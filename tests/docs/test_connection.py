"""The states and events of docs/connection.rst are those of the code."""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from reqresp import Close, EagerServer, Hang, Limits, Wait
from reqresp.relay import Forwarding, tcp_upstream
from reqresp.server._state import State
from reqresp.server.host import SWEEPS_PER_TIMEOUT
from reqresp.steps import Forward
from reqresp.transport.stream import LINGER, Phase, Reading, Stream, Writing
from tests.support.conversation import Conversation
from tests.support.stream_case import Encrypting, Owning, StreamTestCase
from tests.support.wire import Wire

#: What is done, by name.
Ways = Mapping[str, Callable[[], object]]

PAGE = Path(__file__).parent.parent.parent / "docs" / "connection.rst"

#: For each state, a responder whose reply to ``a`` leads to it.
RESPONDERS: dict[str, Callable[[Any], Any]] = {
    "IDLE": lambda _request: b"x",
    "TIMER": lambda _request: (Wait(100), b"x"),
    "REPLY": lambda _request: Deferred(),
    "UPSTREAM": lambda _request: Forward(),
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
    wire.protocol.stream.transport.connectionLost(Failure(CONNECTION_DONE))


EVENTS: dict[str, Callable[[Wire], None]] = {
    "data": _data,
    "EOF": _eof,
    "a drain": _drain,
    "idle timeout": _idle,
    "request timeout": _request_timeout,
    "loss": _loss,
}


def documented(heading: str) -> dict[str, dict[str, str]]:
    """Return the table whose first column is *heading*: what each event leads to in each state."""
    border = r"=+(?:  =+)+\n"
    table = re.search(
        rf"^{border}({heading}  [^\n]*)\n{border}(.*?)^{border}", PAGE.read_text(), re.M | re.S
    )
    assert table is not None, heading
    events, *rows = (re.split("  +", row.strip()) for row in "\n".join(table.groups()).splitlines())
    return {state: dict(zip(events[1:], after, strict=True)) for state, *after in rows}


class StateTests(Conversation):
    """Each state is entered, and each event happens in it."""

    def enter(self, state: str) -> Wire:
        service = Forwarding(tcp_upstream(self.reactor, "127.0.0.1", 7000))
        self.reactor.listenTCP(7000, Factory.forProtocol(Protocol))  # it never replies
        wire = self.lines(
            RESPONDERS[state],
            limits=Limits(idle_timeout=1000),
            service=service if state == "UPSTREAM" else None,
        )
        wire.turn()
        if state == "FULL":
            wire.stop_reading()
        wire.protocol.dataReceived(b"a\n" * (20_000 if state == "YIELDED" else state != "IDLE"))
        if state == "UPSTREAM":
            wire.turn()  # the service receives the request
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
        found = {
            state: {event: self.after(state, event) for event in EVENTS} for state in RESPONDERS
        }
        self.assertEqual(found, documented("State"))


class EagerStateTests(StateTests):
    """The same on the eager transport."""

    transport = EagerServer


class StreamTests(StreamTestCase):
    """Each state of a stream is entered, and each event happens in it."""

    def fill(self) -> None:
        self.wire.stop_reading()
        self.stream.write(b"x" * 100_000)

    def abort_full(self) -> None:
        self.fill()
        self.stream.abort()

    def close_full(self) -> None:
        self.fill()
        self.stream.close()

    def half_close_full(self) -> None:
        self.fill()
        self.stream.half_close()

    def walk(self, kind: type[Enum], ways: Ways, events: Ways) -> dict[str, dict[str, str]]:
        """Return the states of *kind* that follow *events*, with the calls of the owner."""
        return {
            state: {event: self.after(kind, state, enter, events[event]) for event in events}
            for state, enter in ways.items()
        }

    def after(
        self, kind: type[Enum], state: str, enter: Callable[[], object], event: Callable[[], object]
    ) -> str:
        self.wire = self.connect()
        enter()
        self.wire.turn()
        self.assertIs(self.state(kind), kind[state])
        self.owner.events.clear()
        event()
        self.wire.turn()
        return ", ".join((self.state(kind).name, *self.owner.events))

    def state(self, kind: type[Enum]) -> Enum:
        """Return the state of this *kind* that the stream is in."""
        states = self.stream.reading, self.stream.writing, self.stream.phase
        return next(state for state in states if isinstance(state, kind))

    def test_reading(self) -> None:
        """A peer's end is seen only while the stream reads."""
        ways: Ways = {
            "OPEN": lambda: None,
            "PAUSED": lambda: self.stream.pause(),
            "IGNORED": lambda: self.stream.ignore(),
            "EOF": lambda: self.wire.send_eof(),
        }
        events: Ways = {
            "pause": lambda: self.stream.pause(),
            "resume": lambda: self.stream.resume(),
            "ignore": lambda: self.stream.ignore(),
            "EOF": lambda: self.wire.send_eof(),
            "close": lambda: self.stream.close(),
            "abort": lambda: self.stream.abort(),
        }
        self.assertEqual(self.walk(Reading, ways, events), documented("Reading"))

    def test_writing(self) -> None:
        """Our EOF leaves after what the peer has not read."""
        ways: Ways = {
            "OPEN": lambda: None,
            "FULL": self.fill,
            "ENDING": self.half_close_full,
            "ENDED": lambda: self.stream.half_close(),
        }
        events: Ways = {
            "full": self.fill,
            "empty": lambda: self.wire.read_on(),
            "handshake completed": lambda: self.stream.handshake_completed(),
            "half_close": lambda: self.stream.half_close(),
        }
        found = self.walk(Writing, ways, events)
        found["HANDSHAKE"] = self.walk_handshake()
        self.assertEqual(found, documented("Writing"))

    def walk_handshake(self) -> dict[str, str]:
        events: dict[str, Callable[[Stream], object]] = {
            "full": Stream.pauseProducing,
            "empty": Stream.resumeProducing,
            "handshake completed": Stream.handshake_completed,
            "half_close": Stream.half_close,
        }
        found = {}
        for name, event in events.items():
            owner = Owning(self.reactor)
            owner.makeConnection(Encrypting())
            event(owner.stream)
            found[name] = ", ".join((owner.stream.writing.name, *owner.events))
        return found

    def test_phases(self) -> None:
        """A stream that is lost stays so."""
        ways: Ways = {
            "OPEN": lambda: None,
            "CLOSING": self.close_full,
            "LINGERING": lambda: self.stream.close(),
            "ABORTING": self.abort_full,
            "LOST": lambda: self.wire.reset(),
        }
        events: Ways = {
            "close": lambda: self.stream.close(),
            "abort": lambda: self.stream.abort(),
            "empty": lambda: self.wire.read_on(),
            "EOF": lambda: self.wire.send_eof(),
            "a second": lambda: self.wire.wait(LINGER),
            "loss": lambda: self.wire.reset(),
        }
        self.assertEqual(self.walk(Phase, ways, events), documented("Phase"))


class EagerStreamTests(StreamTests):
    """The same on the eager transport."""

    transport = EagerServer
