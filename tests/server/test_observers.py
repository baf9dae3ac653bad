"""Observers: which events they receive, and what they cannot disturb."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.logger import capturedLogs

from reqresp import (
    Close,
    Corrupt,
    Exchange,
    Fault,
    HalfClose,
    Hang,
    Latency,
    LimitData,
    Line,
    Observer,
    Request,
    Responder,
    Send,
    Slicer,
    Steps,
    Table,
    Unasked,
    Wait,
)
from reqresp.server.config import ServerConfig
from tests.support.conversation import Conversation

TABLE = Table({}, otherwise=b"ok")


class AtOnce(Observer):
    """Records reads that were answered at once, and the names of the other events."""

    def __init__(self) -> None:
        self.reads: list[tuple[Any, ...]] = []
        self.exchanges: list[Exchange] = []
        self.others: list[str] = []

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
        self.reads.append((connection, first, requests, data, is_whole))
        self.exchanges += config.exchanges(peer, connection, first, requests)

    def received(self, peer: IAddress, connection: int, requests: Any) -> None:
        self.others.append("received")

    def answered(self, exchanges: Any) -> None:
        self.others.append("answered")


class ObserverTests(Conversation):
    """Observers are notified once for each read, and each request is reported once."""

    def test_a_read_is_one_event(self) -> None:
        """Each event is reported once for a read, for any number of requests in it."""
        wire = self.lines(lambda _request: b"ok")
        wire.send(b"a\nb\nc\n")
        self.assertEqual(self.heard.events, ["connected", "received", "answered"])
        self.assertEqual(self.heard.requests, [[b"a", b"b", b"c"]])
        self.assertEqual(self.heard.batches, [3])

    def test_an_exchange_has_the_steps_that_answered_it(self) -> None:
        """An exchange has the responder's steps, before framing."""
        wire = self.lines(lambda _request: (b"ok", Close()))
        wire.send(b"a\n")
        [exchange] = self.heard.exchanges
        self.assertEqual(exchange.request.data, b"a")
        self.assertEqual(exchange.steps, (Send(b"ok"), Close()))

    def test_constant_replies_are_reported_alike(self) -> None:
        """Replies on the fast path are reported as all others are."""
        wire = self.lines(Table({b"a": b"A"}, otherwise=b"?"))
        wire.send(b"a\nb\n")
        steps = [exchange.steps for exchange in self.heard.exchanges]
        self.assertEqual(steps, [(Send(b"A"),), (Send(b"?"),)])

    def test_a_request_is_reported_when_asked_and_its_reply_when_performed(self) -> None:
        """A request is received at once; it is answered after the wait in its reply."""
        wire = self.lines(lambda _request: (Wait(1), b"ok"))
        wire.send(b"a\nb\n")
        self.assertEqual((self.heard.requests, self.heard.batches), ([[b"a"]], []))
        wire.wait(1)
        self.assertEqual((self.heard.requests, self.heard.batches), ([[b"a"], [b"b"]], [1]))

    def test_an_observer_that_raises_affects_no_other(self) -> None:
        """The error is logged; the client and the other observers are not affected."""

        class Broken(Observer):
            def received(self, peer: IAddress, connection: int, requests: Any) -> None:
                raise (RuntimeError if requests == [b"a"] else SystemExit)("broken observer")

        wire = self.lines(lambda _request: b"ok", observers=[Broken(), self.heard])
        wire.send(b"a\n", b"b\n")
        self.assertEqual(wire.received(), b"ok\r\n" * 2)
        self.assertEqual(self.heard.requests, [[b"a"], [b"b"]])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError, SystemExit)), 2)

    def test_failing_later_is_reported_in_the_same_order(self) -> None:
        """A coroutine that raises at once is reported as a function that raises."""

        async def respond(_request: Request) -> bytes:
            raise RuntimeError("no answer")

        wire = self.lines(respond)
        wire.send(b"a\n")
        self.assertEqual(self.heard.events, ["connected", "received", "failed", "disconnected"])
        self.flushLoggedErrors(RuntimeError)

    def test_an_observer_can_fire_a_reply(self) -> None:
        """A reply that an observer fires while it is notified keeps its order and its number."""
        late: list[Deferred[bytes]] = []

        class Answering(Observer):
            def received(self, peer: IAddress, connection: int, requests: Any) -> None:
                for deferred in late[:]:
                    late.remove(deferred)
                    deferred.callback(b"now")

        def respond(request: Request) -> Any:
            if request.data == b"late":
                late.append(Deferred())
                return late[0]
            return request.data

        wire = self.lines(respond, observers=[Answering(), self.heard])
        wire.send(b"a\nlate\nb\n")
        self.assertEqual(wire.received(), b"a\r\nnow\r\nb\r\n")
        numbers = [(told.request.number, told.request.data) for told in self.heard.exchanges]
        self.assertEqual(numbers, [(1, b"a"), (2, b"late"), (3, b"b")])

    def test_a_large_read_is_one_event(self) -> None:
        """Constant replies to a read of several slices are reported and sent together."""
        wire = self.lines(Table({}, otherwise=b"ok"), now=lambda: 0.0)
        wire.send(b"abcdefghi\n" * 1000)
        self.assertEqual(self.heard.batches, [1000])
        self.assertEqual(wire.largest_send, 4000)

    def test_a_read_answered_at_once_can_be_one_event(self) -> None:
        """An observer that overrides the one event receives it instead of the other two."""
        at_once = AtOnce()
        factory = self.factory(TABLE, framing=Line(), observers=[at_once, self.heard], first=7)
        wire = self.join(factory)
        wire.send(b"a\nb\n", b"c\n")
        self.assertEqual(
            at_once.reads,
            [(7, 1, [b"a", b"b"], b"a\nb\n", True), (7, 3, [b"c"], b"c\n", True)],
        )
        self.assertEqual(at_once.others, [])
        self.assertEqual(self.heard.requests, [[b"a", b"b"], [b"c"]])
        self.assertEqual(at_once.exchanges, self.heard.exchanges)

    def test_what_is_not_answered_at_once_has_two_events(self) -> None:
        """A reply that does more than send is received and answered, for every observer."""
        at_once = AtOnce()
        table = Table({b"close": (b"bye", Close())}, otherwise=b"ok")
        wire = self.lines(table, observers=[at_once])
        wire.send(b"a\nclose\n")
        self.assertEqual((at_once.reads, at_once.others), ([], ["received", "answered"]))

    def test_a_request_in_two_reads(self) -> None:
        """A read that begins or ends within a request is not whole."""
        at_once = AtOnce()
        wire = self.lines(TABLE, observers=[at_once])
        wire.send(b"a\nb", b"c\n", b"d\n")
        self.assertEqual(
            [(read[2], read[-1]) for read in at_once.reads],
            [([b"a"], False), ([b"bc"], False), ([b"d"], True)],
        )

    def test_a_large_read_answered_in_parts(self) -> None:
        """Each part is one event, with its bytes; none is whole."""
        at_once = AtOnce()
        wire = self.lines(TABLE, observers=[at_once], now=lambda: 0.0)
        data = b"ab\n" * 3000
        wire.put(data)
        wire.turn()
        self.assertEqual([read[1] for read in at_once.reads], [1, 1025, 2049])
        self.assertEqual(b"".join(read[3] for read in at_once.reads), data)
        self.assertEqual({read[4] for read in at_once.reads}, {False})
        self.assertEqual((len(at_once.exchanges), at_once.others), (3000, []))

    def test_a_decoder_that_may_keep_something(self) -> None:
        """A read is whole only if the decoder is known to keep nothing from one to the next."""

        class Counting(Line):
            def decoder(self, limit: int) -> Any:
                class Decoder:
                    count = 0

                    def feed(self, data: bytes) -> list[bytes]:
                        self.count += 1
                        return [b"%d" % self.count]

                    def __len__(self) -> int:
                        return 0

                return Decoder()

        at_once = AtOnce()
        wire = self.connect(TABLE, framing=Counting(), observers=[at_once])
        wire.send(b"a")
        self.assertEqual(at_once.reads, [(1, 1, [b"1"], b"a", False)])

    def test_an_observer_of_reads_that_raises_affects_no_other(self) -> None:
        """The error is logged, and the other observers receive their events."""

        class Broken(AtOnce):
            def answered_at_once(self, *_read: Any) -> None:
                raise RuntimeError("broken observer")

        wire = self.lines(TABLE, observers=[Broken(), self.heard])
        wire.send(b"a\n")
        self.assertEqual(self.heard.batches, [1])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_observer_can_act_before_a_line_is_logged(self) -> None:
        """An observer is notified before each line that the server logs about a connection."""

        class Lines(Observer):
            def __init__(self) -> None:
                self.seen: list[int] = []

            def before_log_line(self) -> None:
                self.seen.append(len(events))

        def fail(_request: Request) -> bytes:
            raise RuntimeError("no answer")

        lines = Lines()
        with capturedLogs() as events:
            factory = self.factory(
                fail,
                framing=Line(),
                observers=[lines],
                limits={"idle_timeout": 1, "max_connections": 1, "max_request": 9},
            )
            first = self.join(factory)
            self.join(factory)  # refused
            first.send(b"a\n")  # fails
            large = self.join(factory)
            large.send(b"x" * 99)
            large.reset()
            unfinished = self.join(factory)
            unfinished.send(b"a")
            unfinished.send_eof()
            unfinished.reset()
            idle = self.join(factory)
            for _ in range(9):
                idle.wait(1)
        self.flushLoggedErrors(RuntimeError)
        formats = [event["log_format"] for event in events]
        for text in ("refused", "aborting", "{reason}; closing", "unfinished", "idle"):
            [at] = [at for at, it in enumerate(formats) if text in it]
            self.assertIn(at, lines.seen, text)

    def test_disconnected_is_reported_last(self) -> None:
        """The events of a failing request are received, failed and disconnected, in this order."""
        wire = self.lines(lambda _request: 1 // 0)
        wire.send(b"a\n")
        self.assertEqual(self.heard.events, ["connected", "received", "failed", "disconnected"])
        self.flushLoggedErrors(ZeroDivisionError)


class Greeter(Responder):
    """Greets with *steps*, and answers with what was asked."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps

    def greet(self, connection: Any) -> Steps:
        return self.steps

    def respond(self, data: bytes, connection: Any) -> Steps:
        return (Send(data),)


class Told(Observer):
    """Records what is sent without a request, and other events by their names."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connected(self, peer: IAddress, connection: int) -> None:
        self.events.append("connected")

    def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
        self.events.append((connection, data, by.value))

    def changed(self, what: str) -> None:
        self.events.append(what)

    def answered(self, exchanges: Any) -> None:
        self.events.append("answered")


class UnaskedTests(Conversation):
    """What is sent without a request."""

    def greet(self, *steps: Any, faults: Sequence[Fault] = (), **options: Any) -> list[Any]:
        """Return the events after a client was greeted with *steps*."""
        told = Told()
        self.wire = self.connect(
            Greeter(*steps), framing=Line(), observers=[told], faults=faults, **options
        )
        return told.events

    def test_a_greeting(self) -> None:
        """A greeting is one event, with its frames, after its client has connected."""
        events = self.greet(Send(b"a"), Send(b"b\n", raw=True))
        self.assertEqual(events, ["connected", (1, b"a\r\nb\n", "greeting")])
        self.wire.send(b"x\n")
        self.assertEqual(events[2:], ["answered"])

    def test_silence(self) -> None:
        """No greeting is no event, and neither is one that sends nothing."""
        for steps in ((), (Wait(0),), (Close(),)):
            self.assertEqual(self.greet(*steps), ["connected"])

    def test_a_greeting_that_takes_time(self) -> None:
        """A greeting is reported when it is complete, before the requests that waited for it."""
        events = self.greet(Send(b"a"), Wait(1), Send(b"b"))
        self.wire.send(b"x\n")
        self.assertEqual(events, ["connected"])
        self.wire.wait(1)
        self.assertEqual(events, ["connected", (1, b"a\r\nb\r\n", "greeting"), "answered"])

    def test_a_greeting_that_ends(self) -> None:
        """What is sent before a greeting ends the connection, or its sending, is reported."""
        for end in (Close(), Hang(), HalfClose()):
            events = self.greet(Send(b"a"), end, Send(b"b"))
            self.assertEqual(events, ["connected", (1, b"a\r\n", "greeting")])
            self.assertEqual(self.wire.received(), b"a\r\n")

    def test_faults(self) -> None:
        """The event has the bytes that leave, cut short or changed."""
        for fault in (Corrupt(), Slicer(size=1), LimitData(bytes=2), Latency(delay=0.1)):
            events = self.greet(Send(b"abc"), faults=[fault], seed=1)
            for _ in range(10):
                self.wire.wait(0.1)
            [sent] = events[1:]
            self.assertEqual(sent, (1, self.wire.received(), "greeting"))

    def test_a_greeting_that_cannot_be_framed(self) -> None:
        """A greeting that the framing refuses is reported as a failure, and not as sent."""
        events = self.greet(Send(b"a\nb"))
        self.assertEqual(events, ["connected"])
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_a_change(self) -> None:
        """A change is one event, which belongs to no connection."""
        events = self.greet()
        self.wire.factory.note("fault slow removed")
        self.assertEqual(events, ["connected", "fault slow removed"])
