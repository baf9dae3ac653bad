"""Framings by state: each byte has the framing of the state that the request before it led to."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from reqresp import (
    ConnectionContext,
    Delimiter,
    Fixed,
    Framing,
    LengthPrefix,
    Line,
    Netstring,
    ReqRespFactory,
    Resp,
    Responder,
    Send,
    StateProperties,
    Steps,
    Wait,
)
from reqresp._errors import FieldError
from reqresp.framing import Decoder, Mixed, complete_framing
from reqresp.server.state_properties import NO_PROPERTIES
from tests.support.conversation import Conversation
from tests.support.streams import PROPERTY, cut

#: Bytes of a request.  Many of them in one state are too large for one of another.
LIMIT = 40
FRAMINGS: dict[str, Framing] = {
    "line": Line(),
    "data": Mixed(Delimiter(b"\r\n.\r\n"), Line()),
    "length": LengthPrefix(2),
    "net": Mixed(Netstring(), Fixed(9)),
    "fixed": Fixed(9),
    "command": Resp(),
}
BY_STATE = {name: StateProperties(framing) for name, framing in FRAMINGS.items() if name != "line"}


@frozen
class Message:
    """A request that leads to the state *goto*, and how long its reply takes, in some way."""

    goto: str
    filling: bytes
    seconds: float
    way: str

    @property
    def data(self) -> bytes:
        return self.goto[:4].encode().ljust(4) + self.filling


MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from([*FRAMINGS]),
        st.sampled_from([b"-----", b"\r\n\r\n\0", b"$3\r\n*", b"12:ab", b"\xff\xff\xff\xff\xff"]),
        st.sampled_from([0, 0, 0, 1.5]),
        st.sampled_from(["now", "wait", "later"]),
    ),
    max_size=12,
)


class Changing(Responder):
    """Answers with what was sent; a request begins with the state that follows."""

    def __init__(self, clock: Any, delays: Sequence[tuple[float, str]]) -> None:
        self.clock = clock
        self.delays = delays
        self.seen: list[tuple[str, bytes]] = []

    state_properties = BY_STATE.values()

    def properties(self, connection: ConnectionContext) -> StateProperties:
        return BY_STATE.get(connection.notes or "line", NO_PROPERTIES)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        self.seen.append((connection.notes or "line", data))
        seconds, way = self.delays[len(self.seen) - 1]
        if way == "later" and seconds:
            return deferLater(self.clock, seconds, self._answer, data, connection)
        steps = self._answer(data, connection)
        return (Wait(seconds), *steps) if way == "wait" else steps

    def _answer(self, data: bytes, connection: ConnectionContext) -> Steps:
        start = data[:4].rstrip().decode()
        connection.notes = next(name for name in FRAMINGS if name.startswith(start))
        return (Send(b"+re " + data[:4] + b"."),)


def told(messages: Sequence[Message]) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """Return what a client sends, what the responder sees, and what the client receives."""
    state, stream, seen, replies = "line", b"", [], b""
    for message in messages:
        framing = complete_framing(FRAMINGS[state])
        stream += framing.encode_request(message.data)
        seen.append((state, message.data))
        replies += framing.encode(b"+re " + message.data[:4] + b".")
        state = message.goto
    return stream, seen, replies


def sendable(messages: Sequence[Message]) -> list[Message]:
    """Return *messages* with a filling that each state can have."""
    state, found = "line", []
    for message in messages:
        if state in ("line", "command"):
            message = Message(message.goto, b"-----", message.seconds, message.way)
        found.append(message)
        state = message.goto
    return found


class TestAnyCut(Conversation):
    """Whatever the cut, the delays and the old framing, a byte belongs to one request."""

    @PROPERTY
    @given(MESSAGES, st.data())
    def test_a_model_that_knows_the_whole_stream(
        self, drawn: list[Message], data: st.DataObject
    ) -> None:
        """The responder sees each request in its state, and each reply has the framing of it."""
        self.setUp()
        messages = sendable(drawn)
        stream, seen, replies = told(messages)
        responder = Changing(self.reactor, [(it.seconds, it.way) for it in messages])
        wire = self.connect(responder, framing=Line(), limits={"max_request": LIMIT})
        received = b""
        for piece in cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=8))):
            wire.send(piece)
            wire.wait(data.draw(st.sampled_from([0, 0, 1.0])))
            received += wire.received()
        for _ in messages:
            wire.wait(2)
        received += wire.received()
        self.assertEqual((responder.seen, received), (seen, replies))
        self.assertTrue(wire.is_open)
        self.assertIsNone(wire.protocol.unfinished)


class TestChange(Conversation):
    """What a change of the framing takes with it, and what it leaves."""

    def changing(self, count: int = 9, **options: Any) -> Any:
        options.setdefault("framing", Line())
        self.responder = Changing(self.reactor, [(0, "now")] * count)
        return self.connect(self.responder, **options)

    def test_bytes_that_the_old_framing_calls_malformed(self) -> None:
        """They belong to the new one, and no error is reported."""
        wire = self.changing()
        wire.send(b"net \r\n9:fixed abc,line\r\n\r\n\0")
        seen = [("line", b"net "), ("net", b"fixed abc"), ("fixed", b"line\r\n\r\n\0")]
        self.assertEqual(self.responder.seen, seen)

    def test_bytes_that_the_old_framing_calls_too_large(self) -> None:
        """More than a line may have: they are several requests of the new framing."""
        wire = self.changing(limits={"max_request": 20})
        wire.send(b"net \r\n" + b"9:net abcde," * 6)
        self.assertEqual(len(self.responder.seen), 7)
        self.assertTrue(wire.is_open)

    def test_an_error_in_the_new_framing_closes(self) -> None:
        """It is one of the framing in force, after the replies to what came before."""
        wire = self.changing()
        wire.send(b"net \r\nnonsense\r\n")
        self.assertEqual(wire.received(), b"+re net .\r\n")
        self.assertTrue(wire.got_eof)
        self.assertIn("netstring", str(self.heard.failures[0].value))

    def test_an_error_in_the_old_framing_that_stays_closes(self) -> None:
        """Without a change, a malformed request is one as without states."""
        wire = self.changing()
        wire.send(b"net \r\n9:net abcde,nonsense")
        self.assertTrue(wire.got_eof)
        self.assertEqual(len(self.responder.seen), 2)

    def test_a_request_that_has_not_ended_is_reported_in_its_framing(self) -> None:
        """At the end of the connection, its bytes are as they came."""
        wire = self.changing()
        wire.send(b"data\r\nhalf\r\n")
        self.assertEqual(wire.protocol.unfinished.data, b"half\r\n")
        wire.send_eof()
        wire.turn()
        self.assertEqual([it.data for it in self.heard.unfinished], [b"half\r\n"])

    def test_many_requests_without_a_change(self) -> None:
        """They are answered in order, as without states, also more than a quantum of them."""
        wire = self.changing(5000)
        wire.send(b"line\r\n" * 5000)
        for _ in range(100):
            wire.turn()
        self.assertEqual(len(self.responder.seen), 5000)
        self.assertEqual(wire.received(), b"+re line.\r\n" * 5000)

    def test_nothing_is_kept_between_requests(self) -> None:
        """Bytes that belong to no request, such as empty command lines, are not kept."""
        wire = self.changing(framing=Resp())
        wire.send(b"\r\n" * 1000)
        self.assertEqual(bytes(wire.protocol.backlog._kept), b"")

    def test_a_server_without_properties_does_not_ask(self) -> None:
        """Its connections have the backlog that all connections had."""
        wire = self.lines(lambda _request: b"ok")
        self.assertEqual(type(wire.protocol.backlog).__name__, "Backlog")


class Counted:
    """Frames lines, and counts the bytes that all of its decoders are fed."""

    def __init__(self) -> None:
        self.decoded = 0

    def decoder(self, limit: int) -> Decoder:
        return CountedDecoder(self, limit)

    def encode(self, payload: bytes) -> bytes:
        return payload + b"\n"


class CountedDecoder:
    """Finds the requests of `Line`, for *framing*."""

    def __init__(self, framing: Counted, limit: int) -> None:
        self._framing = framing
        self._decoder = Line().decoder(limit)

    def __len__(self) -> int:
        return len(self._decoder)

    def feed(self, data: bytes) -> list[bytes]:
        self._framing.decoded += len(data)
        return self._decoder.feed(data)


class Alternating(Responder):
    """Changes the framing with each request."""

    def __init__(self, framings: Sequence[Framing]) -> None:
        self.state_properties = [StateProperties(it) for it in framings]

    def properties(self, connection: ConnectionContext) -> StateProperties:
        return [*self.state_properties][connection.notes or 0]

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:
        connection.notes = 1 - (connection.notes or 0)
        return (Send(data),)


class TestCost(Conversation):
    """What is decoded again after a change."""

    def test_each_request_changes_the_framing(self) -> None:
        """Each byte is decoded a few times, however many requests arrive at once."""
        for count in (100, 1000):
            framings = Counted(), Counted()
            wire = self.connect(Alternating(framings), framing=Line())
            data = b"a\n" * count
            wire.send(data)
            for _ in range(count):
                wire.turn()
            self.assertEqual(wire.received(), data)
            self.assertLess(sum(it.decoded for it in framings), 10 * len(data))

    def test_a_large_request_after_a_change(self) -> None:
        """It is decoded once, in several slices."""
        framing = Counted()
        wire = self.connect(Alternating((Line(), framing)), framing=Line())
        data = b"b" * 9000 + b"\n"
        wire.send(b"a\n" + data)
        self.assertEqual(wire.received(), b"a\r\n" + data)
        self.assertEqual(framing.decoded, len(data))


class TestConfig(Conversation):
    """What a server refuses when it is made."""

    def test_a_framing_that_the_limit_rules_out(self) -> None:
        """It is refused before a client connects."""
        responder = Changing(self.reactor, [])
        with self.assertRaisesRegex(FieldError, r"^framing: expected a limit of at least 9 bytes"):
            self.factory(responder, framing=Line(), limits={"max_request": 8})

    def test_requests_that_are_forwarded(self) -> None:
        """The replies of a service are found by one framing: it is refused."""
        with self.assertRaisesRegex(FieldError, r"^state: expected no framing of a state where"):
            ReqRespFactory(
                Changing(self.reactor, []),
                framing=Line(),
                clock=self.reactor,
                service=object(),  # type: ignore[arg-type]  # it is not used
            )

    def test_an_idle_timeout_that_is_too_short(self) -> None:
        """The error names it."""
        with self.assertRaisesRegex(FieldError, r"^idle_timeout: expected finite seconds >= 0.001"):
            StateProperties(idle_timeout=0)
