"""
The fast path: which requests of a read are answered together, with which bytes, and that no client
and no observer can tell it from the general path.
"""

from collections.abc import Sequence
from itertools import repeat
from random import Random
from typing import Any

from attrs import frozen
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Counters,
    EagerServer,
    Exchange,
    Exchanges,
    Limits,
    Observer,
    ReqRespFactory,
    Responder,
)
from reqresp.framing import (
    BaseFraming,
    Chunk,
    Decoder,
    Delimiter,
    Fixed,
    FrameError,
    Framing,
    HeaderBody,
    LengthField,
    LengthPrefix,
    Line,
    Mixed,
    Netstring,
    Resp,
    Unfinished,
)
from reqresp.server._fast_path import MAX_BATCH_BYTES, MAX_KNOWN_BYTES, MAX_KNOWN_READS, Batch
from reqresp.server._state import State
from reqresp.server.config import ServerConfig
from reqresp.server.responders import ConnectionContext, Reply, Table, fixed
from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Steps, StopReading, Wait
from tests.support.conversation import Conversation
from tests.support.streams import PROPERTY
from tests.support.wire import FakeReactor, Wire

KIB = 1024


def batch(
    replies: dict[bytes, Reply] | None = None,
    otherwise: Reply = None,
    framing: Framing | None = None,
) -> Batch:
    """Return the batch of a table, without a framing unless *framing* is given."""
    return Batch(Table(replies or {}, otherwise), (framing or Chunk()).encode)


class AnswerTests(SynchronousTestCase):
    """The bytes that a batch returns."""

    def test_replies_are_joined_in_order(self) -> None:
        """Each request gets its reply, also if it is repeated."""
        answers = batch({b"a": b"1", b"b": b"2"}, otherwise=b"?")
        self.assertEqual(answers.answer([b"b", b"a", b"x", b"b"]), b"21?2")

    def test_each_reply_is_framed(self) -> None:
        """Each `Send` is framed, not the batch as a whole."""
        answers = batch({b"a": (b"1", b"2")}, otherwise=b"?", framing=Line())
        self.assertEqual(answers.answer([b"a", b"x"]), b"1\r\n2\r\n?\r\n")

    def test_silence_adds_no_bytes(self) -> None:
        """A request without a reply adds nothing to the bytes of the others."""
        answers = batch({b"a": None, b"b": ()}, otherwise=b"?")
        self.assertEqual(
            [answers.answer([b"x", b"a", b"b", b"x"]), answers.answer([b"a"])], [b"??", b""]
        )

    def test_no_requests_need_no_bytes(self) -> None:
        """A read without a complete request is answered with no bytes."""
        self.assertEqual(batch(otherwise=b"?").answer([]), b"")

    def test_a_reply_that_does_more_than_send_prevents_the_batch(self) -> None:
        """If one reply does more than send, no request of the read is answered as a batch."""
        for step in (Wait(1), Close(), HalfClose(), Abort(), Hang()):
            answers = batch({b"special": (b"1", step)}, otherwise=b"?")
            self.assertIsNone(answers.answer([b"x", b"special", b"x"]), msg=repr(step))

    def test_other_requests_are_batched_without_it(self) -> None:
        """Reads without that request are answered as batches."""
        self.assertEqual(Batch(fixed(), Chunk().encode).answer([b"a", b"b"]), b"responseresponse")

    def test_otherwise_can_do_more_than_send(self) -> None:
        """If the default reply does more than send, only listed requests are batched."""
        answers = batch({b"a": b"1"}, otherwise=(Wait(1), b"?"))
        self.assertEqual(
            [answers.answer([b"a", b"a"]), answers.answer([b"a", b"x"])], [b"11", None]
        )

    def test_a_batch_has_at_most_64_kib(self) -> None:
        """A batch of exactly 64 KiB is accepted, and one byte more is not."""
        answers = batch(otherwise=bytes(KIB))
        self.assertEqual(
            [answers.answer([b"x"] * 64), answers.answer([b"x"] * 65)], [bytes(64 * KIB), None]
        )

    def test_framed_bytes_count(self) -> None:
        """The limit applies to the framed bytes, with delimiters."""
        answers = batch(otherwise=bytes(KIB - 2), framing=Line())
        self.assertIsNotNone(answers.answer([b"x"] * 64))
        self.assertIsNone(answers.answer([b"x"] * 65))

    def test_the_longest_reply_decides(self) -> None:
        """The limit is checked with the longest reply of the table, before a batch is made."""
        answers = batch({b"long": bytes(32 * KIB)}, otherwise=b"?")
        self.assertIsNotNone(answers.answer([b"x"] * 2))
        self.assertIsNone(answers.answer([b"x"] * 3))

    def test_a_single_request_has_no_limit(self) -> None:
        """The reply to a single request may have any size."""
        long = bytes(64 * KIB + 1)
        self.assertEqual(batch(otherwise=long).answer([b"x"]), long)
        self.assertIsNone(batch(otherwise=long).answer([b"x"] * 2))

    def test_a_single_request_with_more_than_send_is_no_batch(self) -> None:
        """A single reply that does more than send is no batch; silence is an empty one."""
        answers = batch({b"special": Close(), b"silent": None}, otherwise=b"?")
        self.assertEqual(
            [answers.answer([request]) for request in (b"special", b"silent", b"x")],
            [None, b"", b"?"],
        )

    def test_silence_is_limited_too(self) -> None:
        """A table that sends nothing answers reads of any size that occurs."""
        self.assertEqual(batch().answer([b"x"] * 4096), b"")


class ConstructionTests(SynchronousTestCase):
    """Errors that are found when a server is set up."""

    def test_a_reply_that_cannot_be_framed(self) -> None:
        """A reply that cannot be framed is refused, as a value and as the default."""
        with self.assertRaisesRegex(FrameError, "expected a payload of 4 bytes, found 5"):
            batch({b"a": b"12345"}, otherwise=b"1234", framing=Fixed(4))
        with self.assertRaises(FrameError):
            batch({b"a": b"1234"}, otherwise=b"12345", framing=Fixed(4))

    def test_a_reply_that_cannot_be_framed_among_other_steps(self) -> None:
        """A reply that cannot be framed is refused, although no batch would send it."""
        with self.assertRaises(FrameError):
            batch({b"a": (Wait(1), b"1\n2", Close())}, framing=Line())


class StepsTests(SynchronousTestCase):
    """The steps that observers receive for a batch."""

    def test_each_request_has_its_steps(self) -> None:
        """Each request has the same steps as without a batch."""
        answers = batch({b"a": (b"1", b"2")}, otherwise=b"?")
        self.assertEqual(
            list(answers.steps([b"a", b"x"])), [(Send(b"1"), Send(b"2")), (Send(b"?"),)]
        )


class KnownReadTests(SynchronousTestCase):
    """Which reads are remembered with their answers."""

    def test_a_short_read_is_remembered(self) -> None:
        """A read of up to `MAX_KNOWN_BYTES` is remembered, and a longer one is not."""
        answers = batch({b"a": b"A"})
        answers.learn(b"a".ljust(MAX_KNOWN_BYTES), b"a", b"A")
        answers.learn(b"a".ljust(MAX_KNOWN_BYTES + 1), b"a", b"A")
        read = b"a".ljust(MAX_KNOWN_BYTES)
        self.assertEqual((answers.known, answers.learned), ({read: b"A"}, {read: (b"a",)}))

    def test_their_number_is_bounded(self) -> None:
        """No more than `MAX_KNOWN_READS` are remembered, and these stay."""
        answers = batch({b"a": b"A"})
        for number in range(MAX_KNOWN_READS + 1):
            answers.learn(b"%d" % number, b"a", b"A")
        self.assertEqual([*answers.known], [b"%d" % number for number in range(MAX_KNOWN_READS)])

    def test_every_read_can_be_a_request(self) -> None:
        """Then all are known, without being remembered, up to a size."""
        table = Table({b"a": b"A", b"special": Close()}, otherwise=b"?")
        answers = Batch(table, Chunk().encode, MAX_KNOWN_BYTES)
        answers.learn(b"a", b"a", b"A")
        found = [answers.known.get(read, answers.unknown) for read in (b"a", b"special", b"x")]
        self.assertEqual(found, [b"A", None, b"?"])
        self.assertEqual(answers.learned, {})
        self.assertIsNone(Batch(table, Chunk().encode, MAX_KNOWN_BYTES - 1).unknown)


class CountingDecoder:
    """Finds each piece that it is fed, with the number of the piece."""

    def __init__(self) -> None:
        self._pieces = 0

    def __len__(self) -> int:
        return 0

    def feed(self, data: bytes) -> list[bytes]:
        self._pieces += 1
        return [b"%d:%b" % (self._pieces, data)]


class Counting(BaseFraming):
    """The framing of a `CountingDecoder`, which never is as it was at first."""

    def decoder(self, limit: int) -> Decoder:
        return CountingDecoder()

    def encode(self, payload: bytes) -> bytes:
        return payload


class ConnectionTests(Conversation):
    """What a connection does with a read that it has answered before."""

    def test_the_end_of_a_request_is_not_a_known_request(self) -> None:
        """Bytes that were a request of their own end a request that has begun."""
        wire = self.lines(Table({b"a": b"A", b"ba": b"BA"}))
        wire.send(b"a\n", b"a\n", b"b", b"a\n", b"a\n")
        self.assertEqual(wire.received(), b"A\r\nA\r\nBA\r\nA\r\n")

    def test_another_connection_knows_it_from_its_second_read(self) -> None:
        """What is known is shared by connections, and what has begun is not."""
        factory = self.factory(Table({b"a": b"A", b"ba": b"BA"}), framing=Line())
        first, second = self.join(factory), self.join(factory)
        first.send(b"a\n", b"a\n")
        second.send(b"b", b"a\n", b"a\n")
        self.assertEqual((first.received(), second.received()), (b"A\r\nA\r\n", b"BA\r\nA\r\n"))

    def test_only_replies_of_their_own_are_remembered(self) -> None:
        """Requests that the default reply answers are not remembered, and neither are parts."""
        wire = self.lines(Table({b"a": b"A"}, otherwise=b"?"))
        wire.send(b"a\n", b"b\n", b"a", b"\r\n", b"a\na\n", b"a\r\n")
        self.assertEqual([*wire.factory.config.batch.known], [b"a\n", b"a\r\n"])

    def test_a_decoder_of_your_own_sees_every_read(self) -> None:
        """A decoder that does not say that it is new is fed each read."""
        table = Table({b"1:a": b"first", b"2:a": b"second", b"3:a": b"third"})
        wire = self.connect(table, framing=Counting())
        wire.send(b"a", b"a", b"a")
        self.assertEqual(wire.received(), b"firstsecondthird")


class General(Responder):
    """Answers as *table*, but does not say that its replies are constants."""

    name = Table.name

    def __init__(self, table: Table) -> None:
        self._table = table

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:
        return self._table.respond(data, connection)


class Recorder(Observer):
    """Records the events of a server, whether requests are reported one by one or for a read."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.exchanges: list[Exchange] = []
        self.others: list[tuple[str, int, str]] = []

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        self.requests += requests

    def answered(self, exchanges: Exchanges) -> None:
        self.exchanges += exchanges

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self._note("failed", repr(failure.value))

    def incomplete(self, peer: IAddress, connection: int, request: Unfinished) -> None:
        self._note("incomplete", repr(request))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._note("disconnected", repr(reason.type))

    def _note(self, event: str, what: str) -> None:
        self.others.append((event, len(self.requests), what))


class ReadRecorder(Recorder):
    """Records reads that were answered at once, and checks what is said of their bytes."""

    def answered_at_once(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        data: bytes,
        is_whole: bool,
    ) -> None:
        self.requests += requests
        self.exchanges += config.exchanges(peer, connection, first, requests)
        if is_whole:
            decoder = config.decoder()
            assert (decoder.feed(data), len(decoder)) == (list(requests), 0)


#: A framing of each kind.  Each can encode a reply that starts with a plus.
FRAMINGS: tuple[BaseFraming, ...] = (
    *(
        Chunk(3),
        Chunk(),
        Mixed(Chunk(), Line()),
        Line(),
        Line(b"\n"),
        Delimiter(b"|-"),
        Netstring(),
        LengthPrefix(4),
    ),
    *(LengthField(4, 0, 1), Mixed(Fixed(2), Line()), Resp(), Counting()),
    HeaderBody(Delimiter(b"\n\n"), rb"^b(\d)"),
)
#: The end of a frame can be the frame of another request.
NAMES = (b"aa", b"ba", b"b1", b"zz")
#: Bytes that end requests, begin them or are an error, depending on the framing.
TOKENS = (b"a", b"b", b"1", b"\n", b"\r\n", b"aa\n", b"aa\r\n", b"*1\r\n$2\r\n", b"x" * 30)
LIMIT = 20
#: Replies that only send.
CONSTANTS: tuple[Reply, ...] = (
    *(b"+1", b"+2", (b"+1", b"+2"), Send(b"raw", raw=True), None),
    *(b"+" + bytes(size) for size in (MAX_BATCH_BYTES // 3, MAX_BATCH_BYTES)),
)
OTHERS: tuple[Reply, ...] = (
    *((b"+1", Wait(1), b"+2"), (b"+1", Close()), (b"+1", Abort()), (b"+1", HalfClose())),
    *(Hang(), (StopReading(), b"+1")),
)


@frozen
class Scene:
    """
    A server, and what one client does: *reads* arrive one by one, each with what follows it.

    :param is_seen: whether the server has an observer, and counts.
    """

    framing: BaseFraming
    table: Table
    transport: type[tcp.Server]
    observer: type[Recorder]
    is_seen: bool
    limit: int
    reads: list[tuple[bytes, str]]


def random_reads(framing: BaseFraming, chance: Random) -> list[tuple[bytes, str]]:
    """Return reads of *framing*, most of them one request, some a part of one or several."""
    frames = [framing.encode_request(name) for name in NAMES[: chance.randint(1, 4)]]

    def read() -> bytes:
        frame = chance.choice(frames)
        match chance.choices(["one", "many", "start", "rest", "token"], [8, 3, 2, 1, 1])[0]:
            case "many":
                return b"".join(chance.choices(frames, k=chance.randint(2, 5)))
            case "start":
                return chance.choice([b"", frame]) + frame[: chance.randint(1, 3)]
            case "rest":
                return frame[chance.randint(1, 3) :]
            case "token":
                return chance.choice(TOKENS)
        return frame

    acts = ["", "eof", "reset", "second", "full", "read on"]
    weights = [40, 1, 1, 2, 2, 2]
    return [(read(), chance.choices(acts, weights)[0]) for _ in range(chance.randint(1, 20))]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    constants, others = st.sampled_from(CONSTANTS), st.sampled_from(OTHERS)
    replies = draw(st.dictionaries(st.sampled_from(NAMES), constants, max_size=3))
    if draw(st.booleans()):
        replies[draw(st.sampled_from(NAMES))] = draw(others)
    framing = draw(st.sampled_from(FRAMINGS))
    return Scene(
        framing,
        Table(replies, draw(st.one_of(constants, constants, constants, others))),
        draw(st.sampled_from([EagerServer, tcp.Server])),
        draw(st.sampled_from([Recorder, ReadRecorder])),
        draw(st.booleans()),
        draw(st.sampled_from([LIMIT, LIMIT, MAX_KNOWN_BYTES])),
        # By a number: lists that hypothesis draws have little variety.
        random_reads(framing, Random(draw(st.integers(0, 9999)))),  # noqa: S311, no secret
    )


class Server:
    """A server with one client, in memory, that counts and records everything."""

    def __init__(self, scene: Scene, responder: Responder) -> None:
        self.reactor = FakeReactor()
        self.observer, self.counters = scene.observer(), Counters(self.reactor.seconds)
        factory = ReqRespFactory(
            responder,
            framing=scene.framing,
            limits=Limits(max_request=scene.limit),
            observers=[self.observer] if scene.is_seen else [],
            counters=self.counters if scene.is_seen else None,
            clock=self.reactor,
            now=repeat(0.0).__next__,  # no quantum ends because of the time
        )
        self.wire = Wire(factory, self.reactor, transport=scene.transport)
        self.acts: dict[str, Any] = {
            "": self.wire.turn,
            "eof": self.wire.send_eof,
            "reset": self.wire.reset,
            "second": lambda: self.wire.wait(1),
            "full": lambda: self.wire.stop_reading(100),
            "read on": self.wire.read_on,
        }

    def play(self, read: bytes, act: str) -> None:
        self.wire.send(read)
        self.acts[act]()
        self.wire.turn()

    @property
    def is_full(self) -> bool:
        """Whether a reply has filled the transport, as the client does not read."""
        state: State = self.wire.protocol.state
        return state is State.FULL

    def seen(self) -> dict[str, Any]:
        """Return what can be seen from outside, except which replies are complete."""
        wire, counters, connection = self.wire, self.counters, self.wire.protocol
        names = ("received", "sent", "requests", "malformed")
        return {
            "received": wire.received(),
            "client": (wire.got_eof, wire.got_reset, wire.is_open, wire.reading, wire.buffered),
            "connection": (connection.state, connection.taken, connection.unfinished),
            "busy": connection.is_busy,
            "counters": {name: getattr(counters, name) for name in names},
            "requests": self.observer.requests,
            "others": self.observer.others,
        }

    def complete(self) -> tuple[list[Exchange], int, int]:
        """Return the replies that were reported and counted as complete."""
        counters = self.counters
        return self.observer.exchanges, counters.replies, counters.unanswered


class EquivalenceTests(SynchronousTestCase):
    """The fast path and the general path have the same effects."""

    @settings(PROPERTY, max_examples=500, phases=[Phase.generate])
    @given(scenes())
    def test_nobody_can_tell_the_paths_apart(self, scene: Scene) -> None:
        """
        Bytes, counters, events and states are the same after every read.

        A reply that fills the transport is complete at once on the fast path, and once there is
        room on the general path.
        """
        fast, general = Server(scene, scene.table), Server(scene, General(scene.table))
        self.assertIsNotNone(fast.wire.factory.config.batch)
        self.assertIsNone(general.wire.factory.config.batch)
        end = [(b"", "read on"), (b"", "second"), (b"", "eof"), (b"", "second"), (b"", "second")]
        was_full = False
        for read, act in [*scene.reads, *end]:
            fast.play(read, act)
            general.play(read, act)
            self.assertEqual(fast.seen(), general.seen())
            is_lost = fast.wire.protocol.state is State.LOST
            was_full = general.is_full or (was_full and is_lost)
            if not was_full:
                self.assertEqual(fast.complete(), general.complete())
