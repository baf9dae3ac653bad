"""Journal: the entries of a server in memory, for any behaviour of clients and responders."""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from reqresp import (
    Abort,
    Answered,
    Changed,
    Close,
    Corrupt,
    Disconnected,
    EagerServer,
    Entry,
    Exchanges,
    Failed,
    Hang,
    Journal,
    Limits,
    Line,
    Refused,
    Request,
    Resp,
    Script,
    Send,
    Steps,
    Table,
    Unanswered,
    Wait,
)
from reqresp.journal.entries import ENTRY_OVERHEAD
from tests.support.conversation import Conversation
from tests.support.wire import Wire


class Journaled(Conversation):
    """A server with a journal that uses the reactor's clock."""

    def setUp(self) -> None:
        super().setUp()
        self.keep()

    def keep(self, **bounds: int) -> None:
        """Replace the journal by one with these limits."""
        self.journal = Journal(now=self.reactor.seconds, **bounds)

    def factory(self, respond: Any = None, **options: Any) -> Any:
        return super().factory(respond, observers=[self.journal], **options)

    def summaries(self) -> list[tuple[Any, ...]]:
        """Return the kind and the main fields of each entry."""
        return [summary(entry) for entry in self.journal.entries()]

    def asked(self) -> list[bytes]:
        """Return the requests of the journal."""
        return [entry[3] for entry in self.summaries() if entry[0] in ("answered", "unanswered")]


def summary(entry: Entry) -> tuple[Any, ...]:
    match entry:
        case Answered(exchange=exchange):
            request = exchange.request
            return "answered", request.connection, request.number, request.data
        case Unanswered(request=request):
            return "unanswered", request.connection, request.number, request.data
        case Refused() | Changed():
            return (type(entry).__name__.lower(),)
    return type(entry).__name__.lower(), entry.connection


class AnsweringTests(Journaled):
    """Requests, and the entries for them."""

    def test_constants(self) -> None:
        """All requests of a read are kept in order, with their steps and their responder."""
        wire = self.lines(Table({b"a": b"A"}, otherwise=(b"?", b"!")))
        self.reactor.advance(5)
        wire.send(b"a\nb\n", b"a\n")
        self.assertEqual(
            self.summaries(),
            [
                ("connected", 1),
                *(("answered", 1, 1, b"a"), ("answered", 1, 2, b"b"), ("answered", 1, 3, b"a")),
            ],
        )
        exchanges = self.journal.exchanges()
        self.assertEqual([entry.exchange.by for entry in exchanges], ["table"] * 3)
        self.assertEqual(exchanges[1].exchange.steps, (Send(b"?"), Send(b"!")))
        self.assertEqual({(entry.at, entry.sent) for entry in exchanges}, {(5.0, 5.0)})
        self.assertEqual(exchanges[0].exchange.request.peer, wire.protocol.peer)

    def test_many_constants(self) -> None:
        """All requests of a read that is answered in slices are kept."""
        wire = self.lines(Table({}, otherwise=b"A"))
        wire.send(b"x\n" * 10_000)
        self.assertEqual(
            [entry.exchange.request.number for entry in self.journal.exchanges()],
            [*range(1, 10_001)],
        )

    def test_a_function(self) -> None:
        """An entry has the function's name, and the names of the faults that changed its reply."""

        def respond(request: Request) -> bytes:
            return request.data.upper()

        wire = self.lines(respond, faults=[Corrupt()], seed=1)
        wire.send(b"ab\ncd\n")
        exchanges = [entry.exchange for entry in self.journal.exchanges()]
        self.assertEqual([it.steps for it in exchanges], [(Send(b"AB"),), (Send(b"CD"),)])
        self.assertEqual([it.injected for it in exchanges], [("corrupt",)] * 2)
        self.assertTrue(exchanges[0].by.endswith("respond"))

    def test_a_late_reply(self) -> None:
        """An entry has the time of its request and the time of its reply."""
        late: Deferred[bytes] = Deferred()
        wire = self.lines(lambda request: late if request.data == b"late" else request.data)
        wire.send(b"soon\nlate\n")
        wire.wait(1)
        wire.send(b"last\n")
        self.assertEqual(
            self.summaries()[1:], [("answered", 1, 1, b"soon"), ("unanswered", 1, 2, b"late")]
        )
        wire.wait(1)
        late.callback(b"at last")
        wire.turn()
        self.assertEqual(
            [(*summary(it)[2:], it.at, it.sent) for it in self.journal.exchanges()],
            [(1, b"soon", 0, 0), (2, b"late", 0, 2), (3, b"last", 2, 2)],
        )

    def test_delayed_steps(self) -> None:
        """A reply is answered when its last step has been performed."""
        wire = self.lines(lambda request: (request.data, Wait(1), b"!"))
        wire.send(b"a\nb\n")
        wire.wait(1)
        wire.wait(1)
        self.assertEqual(
            [(*summary(it)[2:], it.at, it.sent) for it in self.journal.exchanges()],
            [(1, b"a", 0, 1), (2, b"b", 1, 2)],
        )
        self.assertEqual(self.journal._waiting, {})

    def test_a_client_that_does_not_read(self) -> None:
        """A reply that waits for a slow reader is not answered yet."""
        wire = self.lines(lambda _request: b"x" * 100_000)
        wire.stop_reading()
        wire.send(b"a\nb\nc\n")
        before = len(self.journal.exchanges())
        self.assertLess(before, 3)
        wire.read_on()
        self.assertEqual(self.asked(), [b"a", b"b", b"c"])
        self.assertEqual(len(self.journal.exchanges()), 3)

    def test_silence(self) -> None:
        """A reply without data is answered, without steps."""
        self.lines(lambda _request: None).send(b"a\n")
        [entry] = self.journal.exchanges()
        self.assertEqual(entry.exchange.steps, ())

    def test_a_request_that_is_never_answered(self) -> None:
        """A request without a reply is unanswered, before and after its connection is lost."""
        wire = self.lines(lambda _request: Hang())
        wire.send(b"a\n", b"b\n")
        self.assertEqual(self.summaries(), [("connected", 1), ("unanswered", 1, 1, b"a")])
        wire.reset()
        self.assertEqual(
            self.summaries(), [("connected", 1), ("unanswered", 1, 1, b"a"), ("disconnected", 1)]
        )
        self.assertEqual(self.journal.unanswered(), [])

    def test_a_client_that_goes(self) -> None:
        """A request whose client disconnects is unanswered; earlier ones are answered."""
        late: Deferred[bytes] = Deferred()
        wire = self.lines(lambda request: late if request.data == b"b" else b"?")
        other = self.join(wire.factory)
        wire.send(b"a\nb\n")
        other.send(b"c\n")
        wire.reset()
        other.send(b"d\n")
        self.assertEqual(
            self.summaries()[2:],
            [
                *(("answered", 1, 1, b"a"), ("answered", 2, 1, b"c"), ("unanswered", 1, 2, b"b")),
                *(("disconnected", 1), ("answered", 2, 2, b"d")),
            ],
        )
        [gone] = [it for it in self.journal.entries() if isinstance(it, Disconnected)]
        self.assertIn("Connection", gone.reason)
        self.assertEqual(gone.peer, wire.protocol.peer)

    def test_closing_replies(self) -> None:
        """A reply that closes is answered; later requests have no entry."""
        for end in (Close(), Abort()):
            self.keep()
            wire = self.lines(lambda _request, end=end: (b"bye", end))
            wire.send(b"a\nb\n")
            self.assertEqual(self.asked(), [b"a"])

    def test_malformed_requests(self) -> None:
        """Requests before a malformed one are answered, and the reason for the end is kept."""
        wire = self.lines(Table({}, otherwise=b"A"), limits=Limits(max_request=4))
        wire.send(b"a\ntoo long\n")
        self.assertEqual(
            [entry[0] for entry in self.summaries()], ["connected", "answered", "failed"]
        )
        [failed] = [it for it in self.journal.entries() if isinstance(it, Failed)]
        self.assertIn("of at most 4 bytes", failed.reason)

    def test_a_responder_that_raises(self) -> None:
        """The request of a failing responder is unanswered, and its error is kept."""

        def respond(request: Request) -> bytes:
            return {b"a": b"A"}[request.data]

        wire = self.lines(respond)
        with capturedLogs():
            wire.send(b"a\nb\n")
        wire.turn()
        self.assertEqual(
            [entry[0] for entry in self.summaries()],
            ["connected", "answered", "failed", "unanswered", "disconnected"],
        )
        [failed] = [it for it in self.journal.entries() if isinstance(it, Failed)]
        self.assertEqual(failed.reason, repr(b"b"))
        self.flushLoggedErrors(KeyError)

    def test_refusals(self) -> None:
        """A refused connection is kept with its reason."""
        wire = self.lines(None, limits=Limits(max_connections=1))
        self.join(wire.factory, "192.0.2.9")
        [refused] = [it for it in self.journal.entries() if isinstance(it, Refused)]
        self.assertEqual(getattr(refused.peer, "host", None), "192.0.2.9")
        self.assertIn("the limit", refused.reason)

    def test_misses(self) -> None:
        """A request that no rule matches is a miss, whatever its reply is."""
        for unmatched in ("", 'unmatched = "what?"\n'):
            self.keep()
            script = Script.parse(f'{unmatched}rule = [{{ equals = "a", reply = "A" }}]')
            with capturedLogs():
                self.connect(script).send(b"a\n", b"b\n")
            entries = self.journal.exchanges()
            self.assertEqual([entry.is_miss for entry in entries], [False, True])
            self.assertEqual(entries[0].exchange.by, "rule[0]")

    def test_commands_of_redis(self) -> None:
        """RESP commands keep the bytes that were received."""
        self.connect(Table({}, otherwise=b"+OK"), framing=Resp()).send(b"*1\r\n$1\r\na\r\n")
        [entry] = self.journal.exchanges()
        self.assertEqual(getattr(entry.exchange.request.data, "raw", b""), b"*1\r\n$1\r\na\r\n")

    def test_connections_that_are_gone_leave_nothing(self) -> None:
        """Nothing is kept for a connection that has ended."""
        wire = self.lines(lambda _request: Wait(1))
        wire.send(b"a\nb\n")
        wire.wait(1)
        wire.reset()
        self.assertEqual((self.journal._waiting, self.journal._next), ({}, {}))


class EagerAnsweringTests(AnsweringTests):
    """The same tests on the eager transport."""

    transport = EagerServer


class BoundsTests(Journaled):
    """How many entries and bytes are kept."""

    def send(self, *pieces: bytes) -> Wire:
        wire = self.lines(Table({}, otherwise=b"A"))
        wire.send(*pieces)
        return wire

    def test_the_last_are_kept(self) -> None:
        """Earlier entries are dropped, and counted."""
        self.keep(most=3)
        self.send(*(b"%d\n" % number for number in range(10)))
        self.assertEqual(self.asked(), [b"7", b"8", b"9"])
        self.assertEqual(self.journal.dropped, 8)  # with the connection's entry

    def test_the_last_of_a_read_are_kept(self) -> None:
        """Of a read that exceeds the limit, the last requests are shown."""
        self.keep(most=3)
        wire = self.send(b"a\nb\nc\nd\ne\n")
        self.assertEqual((self.asked(), self.journal.dropped), ([b"c", b"d", b"e"], 3))
        wire.send(b"f\n")
        self.assertEqual((self.asked(), self.journal.dropped), ([b"d", b"e", b"f"], 4))
        wire.send(b"g\nh\n")
        self.assertEqual((self.asked(), self.journal.dropped), ([b"f", b"g", b"h"], 6))
        self.assertEqual(self.journal._count, 3)

    def test_as_many_as_are_allowed(self) -> None:
        """No entry is dropped until there is one too many."""
        self.keep(most=3)
        self.send(b"a\n", b"b\n")
        self.assertEqual((len(self.summaries()), self.journal.dropped), (3, 0))

    def test_bytes_are_bounded(self) -> None:
        """Large requests are dropped earlier, since their bytes count."""
        self.keep(most_bytes=3 * (ENTRY_OVERHEAD + 1000))
        wire = self.send(*(b"%d" % number + b"x" * 900 + b"\n" for number in range(9)))
        self.assertEqual([it[:1] for it in self.asked()], [b"6", b"7", b"8"])
        self.assertLessEqual(self.journal._size, 3 * (ENTRY_OVERHEAD + 1000))
        wire.send(b"a\n")
        self.assertEqual(self.journal.dropped + len(self.summaries()), 11)

    def test_replies_count(self) -> None:
        """Replies that are not constants count as bytes."""
        self.keep(most_bytes=3 * ENTRY_OVERHEAD + 100_000)
        wire = self.lines(lambda _request: b"x" * 60_000)
        wire.send(b"a\n", b"b\n", b"c\n")
        self.assertEqual(self.asked(), [b"c"])

    def test_requests_in_pieces_count(self) -> None:
        """A request counts with its own size, not with the size of its last read."""
        self.keep(most_bytes=3 * ENTRY_OVERHEAD + 50_000)
        self.send(*[b"x" * 30_000, b"\n"] * 3)
        self.assertEqual(len(self.asked()), 1)

    def test_unanswered_requests_count(self) -> None:
        """Unanswered requests count when their connection has ended."""
        self.keep(most_bytes=3 * ENTRY_OVERHEAD + 50_000)
        wire = self.lines(lambda _request: Hang())
        other = self.join(wire.factory)
        for each in (wire, other):
            each.send(b"x" * 30_000 + b"\n")
            each.reset()
        self.assertEqual(len(self.asked()), 1)

    def test_reasons_count(self) -> None:
        """Long error messages count."""

        def respond(request: Request) -> bytes:
            raise ValueError("x" * 30_000)

        self.keep(most_bytes=10 * ENTRY_OVERHEAD + 50_000)
        wire = self.lines(respond)
        other = self.join(wire.factory)
        with capturedLogs():
            for each in (wire, other):
                each.send(b"a\n")
        self.assertEqual(len([it for it in self.summaries() if it[0] == "failed"]), 1)
        self.flushLoggedErrors(ValueError)

    def test_a_read_that_is_too_large(self) -> None:
        """A read that exceeds the limit alone is not kept, and later ones are."""
        self.keep(most_bytes=2 * ENTRY_OVERHEAD)
        wire = self.send(b"a\nb\nc\n")
        self.assertEqual((self.summaries(), self.journal.dropped), ([], 4))
        wire.send(b"d\n")
        self.assertEqual((self.asked(), self.journal._size), ([b"d"], ENTRY_OVERHEAD + 2))

    def test_clear(self) -> None:
        """`clear` forgets what has ended, without counting it as dropped."""
        self.keep(most=2)
        wire = self.lines(lambda request: Wait(1) if request.data == b"late" else request.data)
        wire.send(b"a\nb\nc\nlate\n")
        self.journal.clear()
        self.assertEqual(self.summaries(), [("unanswered", 1, 4, b"late")])
        self.assertEqual(self.journal.dropped, 2)
        wire.wait(1)
        self.assertEqual(self.summaries(), [("answered", 1, 4, b"late")])
        self.assertEqual((self.journal.dropped, self.journal._count), (2, 1))

    def test_what_is_sent_and_changed_counts(self) -> None:
        """A long greeting, and a long note of a change, count."""
        self.keep(most_bytes=2 * ENTRY_OVERHEAD + 40_000)
        wire = self.connect(Script.parse(f'greeting = "{"x" * 30_000}"'))
        self.assertEqual(self.summaries(), [("connected", 1), ("sent", 1)])
        wire.factory.note("y" * 30_000)
        self.assertEqual(self.summaries(), [("changed",)])

    def test_bounds_that_keep_nothing(self) -> None:
        """Limits under 1 are refused."""
        for bounds in ({"most": 0}, {"most_bytes": 0}, {"most": -1}):
            with self.assertRaisesRegex(
                ValueError, f"{next(iter(bounds))}: expected 1 or more, found"
            ):
                self.keep(**bounds)

    def test_times_of_day(self) -> None:
        """Without `now`, entries have the system's time."""
        journal = Journal()
        journal.connected(IPv4Address("TCP", "192.0.2.1", 1234), 1)
        [entry] = journal.entries()
        self.assertGreater(entry.at, 1.7e9)

    def test_a_read_is_kept_as_it_came(self) -> None:
        """A read is kept as one object, and the time is read once for it."""
        looked: list[bytes] = []

        def steps(requests: Sequence[bytes]) -> Iterable[Steps]:
            looked.extend(requests)
            return [()] * len(requests)

        times = count()
        journal = Journal(now=lambda: float(next(times)))
        peer, requests = IPv4Address("TCP", "192.0.2.1", 1234), [b"a"] * 100
        journal.received(peer, 1, requests)
        journal.answered(Exchanges(peer, 1, 1, requests, steps, size=100))
        self.assertEqual((looked, next(times)), ([], 1))
        self.assertEqual(len(journal.exchanges()), 100)
        self.assertEqual(looked, requests)


#: The actions of the responder, by the first word of a request; others are echoed.
REPLIES: dict[bytes, Any] = {
    b"wait": (b"w", Wait(1)),
    b"close": Close(),
    b"hang": Hang(),
    b"large": b"x" * 70_000,
}


class InterleavingTests(Journaled):
    """Any order of requests, replies, cuts and disconnects."""

    def begin(self) -> None:
        self.setUp()
        self.wires: list[Wire] = []
        #: The requests of each connection, and the Deferreds that a responder returned.
        self.sent: dict[int, list[bytes]] = {}
        self.late: list[Deferred[Any]] = []

    def respond(self, request: Request) -> Any:
        kind = request.data.split()[0]
        if kind == b"late":
            self.late.append(Deferred())
            return self.late[-1]
        if kind == b"raise":
            raise ValueError
        return REPLIES.get(kind, request.data)

    def send(self, wire: Wire, kinds: list[bytes]) -> None:
        sent = self.sent.setdefault(wire.protocol.number, [])
        first = len(sent)
        sent += [b"%s %d" % (kind, number) for number, kind in enumerate(kinds, first)]
        wire.send(b"".join(request + b"\n" for request in sent[first:]))

    def fire(self, wire: Wire) -> None:
        if self.late:
            reply = self.late.pop(0)
            if not reply.called:
                reply.callback(b"late")
        wire.turn()

    def act(self, wire: Wire, action: str) -> None:
        actions: dict[str, Callable[[Wire], object]] = {
            "time": lambda wire: wire.wait(1),
            "fire": self.fire,
            "reset": Wire.reset,
            "eof": Wire.send_eof,
            "full": Wire.stop_reading,
            "read": Wire.read_on,
            "look": lambda _wire: self.journal.entries(),
        }
        actions[action](wire)

    def check(self, wire: Wire) -> None:
        """Assert that the journal has all requests of one connection."""
        number = wire.protocol.number
        mine = [it for it in self.summaries() if it[1:2] == (number,)]
        requests = [it for it in mine if it[0].endswith("answered")]
        self.assertEqual(len(requests), wire.protocol.taken)
        self.assertEqual([it[3] for it in requests], self.sent.get(number, [])[: len(requests)])
        self.assertEqual([it[2] for it in requests], [*range(1, len(requests) + 1)])
        # Unanswered requests are last.
        kinds = [it[0] for it in requests]
        self.assertEqual(kinds, sorted(kinds))
        ends = [it[0] for it in mine]
        self.assertEqual(ends[0], "connected")
        self.assertEqual(ends.count("disconnected"), not wire.is_open)

    @settings(max_examples=200)
    @given(st.data())
    def test_each_request_once_and_in_order(self, data: st.DataObject) -> None:
        """Each request is in the journal once, in order, with its number."""
        self.begin()
        transport = data.draw(st.sampled_from([tcp.Server, EagerServer]))
        table = Table({b"close 3": Close(), b"wait 2": Wait(1)}, otherwise=b"x" * 9000)
        factory = self.factory(data.draw(st.sampled_from([self.respond, table])), framing=Line())
        kinds = [b"now", b"now", b"wait", b"late", b"large", b"close", b"hang", b"raise"]
        actions = ["time", "fire", "reset", "eof", "full", "read", "look"]
        with capturedLogs():
            for _ in range(data.draw(st.integers(1, 30))):
                if not self.wires or data.draw(st.integers(0, 9)) == 0:
                    self.wires.append(Wire(factory, self.reactor, transport=transport))
                wire = data.draw(st.sampled_from(self.wires))
                if data.draw(st.booleans()):
                    self.send(wire, data.draw(st.lists(st.sampled_from(kinds), max_size=6)))
                else:
                    self.act(wire, data.draw(st.sampled_from(actions)))
        self.flushLoggedErrors()
        self.assertEqual(self.journal.dropped, 0)
        for wire in self.wires:
            self.check(wire)
