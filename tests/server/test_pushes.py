"""What is pushed to a connection: when it leaves, and when it is refused."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from reqresp import (
    Abort,
    Close,
    Counters,
    EagerServer,
    HalfClose,
    Hang,
    Latency,
    Line,
    Observer,
    Request,
    Responder,
    Send,
    Steps,
    StopReading,
    Table,
    Unasked,
    Wait,
)
from reqresp.server.pushes import MAX_PUSHED_BYTES, PushError
from tests.support.conversation import Conversation, Heard
from tests.support.wire import Wire


class HeardAll(Heard):
    """Records what is sent without a request, too."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_data: list[bytes] = []

    def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
        self.events.append(by.value)
        self.sent_data.append(data)


class PushCase(Conversation):
    """Has a server to whose connections something is pushed."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: HeardAll = HeardAll()

    def push(self, wire: Wire, data: bytes = b"!") -> None:
        wire.protocol.push(data)
        wire.turn()

    def assert_refused(self, wire: Wire, words: str = "it sends no more") -> None:
        with self.assertRaisesRegex(PushError, f"^connection 1: .*{words}"):
            wire.protocol.push(b"!")
        self.assertNotIn("push", self.heard.events)


class PushTests(PushCase):
    """When what is pushed leaves."""

    def test_an_idle_connection(self) -> None:
        """It leaves at once, as it is, and requests are answered afterwards as before."""
        wire = self.lines(Table({}, otherwise=b"A"))
        self.push(wire, b"\x00no frame")
        self.assertEqual(wire.received(), b"\x00no frame")
        wire.send(b"x\n")
        self.push(wire, b"more")
        wire.send(b"x\ny\n")
        self.assertEqual(wire.received(), b"A\r\nmoreA\r\nA\r\n")
        self.assertEqual(self.heard.events[:4], ["connected", "push", "received", "answered"])
        self.assertEqual(self.heard.sent_data, [b"\x00no frame", b"more"])

    def test_a_reply_under_way(self) -> None:
        """It leaves after the reply under way, its waits included, and before the next."""
        wire = self.lines(lambda request: (request.data, Wait(1), b"."))
        wire.send(b"a\nb\n")
        self.push(wire, b"1")
        self.push(wire, b"2")
        self.assertEqual(wire.received(), b"a\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b".\r\n12b\r\n")
        self.assertEqual(
            self.heard.events, ["connected", "received", "answered", "push", "push", "received"]
        )
        wire.wait(1)
        self.assertEqual(wire.received(), b".\r\n")

    def test_a_greeting_under_way(self) -> None:
        """It leaves after the greeting."""

        class Greeter(Responder):
            def greet(self, connection: Any) -> Steps:
                return (Send(b"hi"), Wait(1), Send(b"there"))

            def respond(self, data: bytes, connection: Any) -> Steps:
                return ()

        wire = self.lines(Greeter())
        self.push(wire)
        self.assertEqual(wire.received(), b"hi\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"there\r\n!")
        self.assertEqual(self.heard.sent_data, [b"hi\r\nthere\r\n", b"!"])

    def test_a_reply_that_is_awaited(self) -> None:
        """It leaves at once, and the reply is still awaited."""
        late: Deferred[bytes] = Deferred()
        wire = self.lines(lambda request: late if request.data == b"a" else request.data)
        wire.send(b"a\nb\n")
        self.push(wire)
        self.assertEqual(wire.received(), b"!")
        self.assertTrue(wire.protocol.is_busy)
        late.callback(b"late")
        wire.turn()
        self.assertEqual(wire.received(), b"late\r\nb\r\n")

    def test_a_connection_that_hangs(self) -> None:
        """It leaves at once, and the connection hangs on."""
        for steps in ((b"a", Hang()), (b"a", StopReading())):
            wire = self.lines(lambda _request, steps=steps: steps)
            wire.send(b"x\n")
            self.push(wire)
            wire.send(b"y\n")
            self.push(wire, b"?")
            self.assertEqual(wire.received(), b"a\r\n!?")

    def test_a_client_that_does_not_read(self) -> None:
        """It leaves when the client reads, after what was sent before."""
        wire = self.lines(Table({}, otherwise=b"A" * 1000))
        wire.stop_reading(10)
        wire.send(b"a\n" * 100)
        self.push(wire)
        wire.read_on()
        wire.turn()
        received = wire.received()
        self.assertEqual(len(received), 100 * 1002 + 1)
        self.assertEqual(received.replace(b"A" * 1000 + b"\r\n", b""), b"!")

    def test_a_connection_that_gave_way(self) -> None:
        """It leaves between replies, and all of them come."""
        wire = self.lines(lambda request: request.data)
        wire.put(b"x\n" * 5000)
        wire.read_once()
        self.push(wire)
        for _ in range(20):
            wire.turn()
        self.assertEqual(wire.received().replace(b"!", b""), b"x\r\n" * 5000)
        self.assertEqual(self.heard.sent_data, [b"!"])

    def test_pushed_by_a_responder(self) -> None:
        """What is pushed in a turn leaves in its place, and before the next request."""

        def respond(request: Request) -> bytes:
            if request.data == b"b":
                wire.protocol.push(b"!")
            return request.data

        wire = self.lines(respond)
        wire.send(b"a\nb\nc\n")
        self.assertEqual(wire.received(), b"a\r\nb\r\n!c\r\n")
        self.assertEqual(
            [it.request.number for it in self.heard.exchanges], [1, 2, 3], self.heard.events
        )

    def test_pushed_by_an_observer(self) -> None:
        """What an observer pushes leaves, whatever the connection waits for by then."""
        never: Deferred[bytes] = Deferred()

        class Pusher(Observer):
            def received(self, peer: IAddress, connection: int, requests: Any) -> None:
                wire.protocol.push(b"!")

        for respond in (Table({}, otherwise=b"A"), lambda _: b"A", lambda _: never):
            wire = self.lines(respond, observers=[Pusher()])
            wire.send(b"a\n")
            self.assertEqual(wire.received()[-1:], b"!")

    def test_pushed_when_a_client_connects(self) -> None:
        """What an observer pushes to a client that has just connected leaves first."""

        class Pusher(Observer):
            def connected(self, peer: IAddress, connection: int) -> None:
                factory.connections.push(connection, b"!")

        factory = self.factory(observers=[Pusher()], framing=Line())
        self.assertEqual(self.join(factory).received(), b"!")

    def test_faults(self) -> None:
        """Faults of replies do not apply to it, and it does not change their randomness."""
        wire = self.lines(lambda request: request.data, faults=[Latency(delay=1)], seed=1)
        self.push(wire)
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"!")
        wire.wait(1)
        self.assertEqual(wire.received(), b"a\r\n")

    def test_counters(self) -> None:
        """Its bytes are counted."""
        counters = Counters()
        wire = self.lines(Table({}, otherwise=b"A"), counters=counters)
        self.push(wire, b"12345")
        self.assertEqual((counters.sent, wire.protocol.sent), (5, 5))

    def test_an_idle_timeout(self) -> None:
        """A push starts the idle time again."""
        wire = self.lines(lambda request: request.data, limits={"idle_timeout": 4})
        for _ in range(3):
            wire.pass_seconds(3)
            self.push(wire)
        self.assertEqual(wire.received(), b"!!!")
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(6)
        self.assertTrue(wire.got_eof)


class EagerPushTests(PushTests):
    """The same on the eager transport."""

    transport = EagerServer


class RefusalTests(PushCase):
    """When a push is refused."""

    def test_after_the_end(self) -> None:
        """A connection that has ended, or its sending side has, takes nothing more."""
        for end in (Close(), Abort(), HalfClose()):
            wire = self.lines(lambda _request, end=end: (b"bye", end))
            wire.send(b"x\n")
            self.assert_refused(wire)
            self.assertEqual(wire.received(), b"bye\r\n")

    def test_after_a_loss(self) -> None:
        """A connection that is lost takes nothing."""
        wire = self.lines(None)
        wire.reset()
        self.assert_refused(wire)

    def test_in_the_turn_that_ends_it(self) -> None:
        """Neither does one whose end follows the turn under way."""
        refused: list[str] = []

        class Pusher(Observer):
            def answered(self, exchanges: Any) -> None:
                try:
                    wire.protocol.push(b"!")
                except PushError as error:
                    refused.append(str(error))

        wire = self.lines(lambda _request: Close(), observers=[Pusher()])
        wire.send(b"x\n")
        self.assertEqual(refused, ["connection 1: it sends no more"])

    def test_a_client_that_never_reads(self) -> None:
        """What a client does not receive is bounded, however it was pushed."""
        wire = self.lines(None)
        wire.stop_reading()
        with self.assertRaisesRegex(PushError, "^connection 1: 65536 bytes and the 1048576 that"):
            for _ in range(17):
                self.push(wire, b"x" * 65536)
        with self.assertRaises(PushError):
            self.push(wire)
        wire.read_on()
        wire.turn()
        self.assertEqual(len(wire.received()), MAX_PUSHED_BYTES)
        self.push(wire)
        self.assertEqual(wire.received(), b"!")

    def test_what_waits_for_a_reply(self) -> None:
        """What waits for a reply to end is bounded, too, and dropped if the connection ends."""
        wire = self.lines(lambda _request: (Wait(1), b"bye", Close()))
        wire.send(b"x\n")
        self.push(wire, b"x" * MAX_PUSHED_BYTES)
        self.assertRaises(PushError, wire.protocol.push, b"!")
        wire.wait(1)
        self.assertEqual(wire.received(), b"bye\r\n")
        self.assertEqual(self.heard.sent_data, [])

    def test_a_push_that_is_too_large(self) -> None:
        """More than is ever allowed is refused."""
        wire = self.lines(None)
        with self.assertRaisesRegex(PushError, "are more than 1048576"):
            wire.protocol.push(b"x" * (MAX_PUSHED_BYTES + 1))


class CloseTests(PushCase):
    """A connection that is closed from outside."""

    def test_an_idle_connection(self) -> None:
        """What was sent is delivered, then the client sees EOF."""
        wire = self.lines(Table({}, otherwise=b"A"))
        wire.send(b"x\n")
        wire.protocol.close()
        wire.turn()
        self.assertEqual((wire.received(), wire.got_eof), (b"A\r\n", True))
        wire.send_eof()
        self.assertFalse(wire.is_open)
        wire.protocol.close()  # does nothing
        self.assertEqual(self.heard.events[-1], "disconnected")

    def test_a_connection_that_waits(self) -> None:
        """What it waits for is given up, and later requests are not answered."""
        late: Deferred[bytes] = Deferred()
        cases: list[Any] = [lambda _: late, lambda _: (b"a", Wait(99), b"b"), lambda _: Hang()]
        for respond in cases:
            wire = self.lines(respond)
            wire.send(b"x\ny\n")
            wire.protocol.close()
            wire.turn()
            self.assertTrue(wire.got_eof)
            self.assertIn(wire.received(), (b"", b"a\r\n"))
            wire.send_eof()
            self.assertFalse(wire.is_open)
        self.assertTrue(late.called)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_inside_a_turn(self) -> None:
        """A responder or an observer that closes the connection ends it after the turn."""
        late: Deferred[bytes] = Deferred()

        def respond(request: Request) -> Any:
            wire.protocol.close()
            return late if request.data == b"late" else request.data

        class Closer(Observer):
            def received(self, peer: IAddress, connection: int, requests: Any) -> None:
                wire.protocol.close()

        for data in (b"x\ny\n", b"late\n"):
            wire = self.lines(respond)
            wire.send(data)
            self.assertEqual((wire.received(), wire.got_eof), (b"", True))
        for answer in (lambda _: late, lambda _: b"A"):
            wire = self.lines(answer, observers=[Closer()])
            wire.send(b"x\n")
            self.assertTrue(wire.got_eof)
        self.assertTrue(late.called)

    def test_a_client_that_does_not_read(self) -> None:
        """What was sent is delivered before the end."""
        wire = self.lines(lambda _request: b"x" * 100_000)
        wire.stop_reading()
        wire.send(b"x\n")
        wire.protocol.close()
        wire.read_on()
        wire.turn()
        self.assertEqual((len(wire.received()), wire.got_eof), (100_002, True))
