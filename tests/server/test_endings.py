"""What becomes of a connection that is full, half-closed, idle, hanging, or ending."""

from typing import Any, cast

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from reqresp import (
    Abort,
    Close,
    EagerServer,
    HalfClose,
    Hang,
    Limits,
    Line,
    Netstring,
    Observer,
    ReqRespFactory,
    StopReading,
    Table,
    Wait,
)
from reqresp.framing import Unfinished
from reqresp.server._state import State
from reqresp.steps import Step
from reqresp.transport.stream import LINGER
from tests.support.conversation import Conversation
from tests.support.wire import Wire

KIB = 1024


def check_delivery_before_reset(case: Conversation, *steps: Step) -> None:
    """Check that a slow client reads all of a reply before *steps*, which end in a reset."""
    wire = case.lines(lambda _request: (b"x" * 1000, *steps))
    wire.stop_reading(room=10)
    wire.send(b"a\n")
    wire.wait(1)
    case.assertTrue(wire.is_open)
    wire.read_on()
    case.assertEqual(len(wire.received()), 1002)
    case.assertTrue(wire.got_reset)


class FullTests(Conversation):
    """A client that does not read is not read from, and costs little."""

    def test_two_byte_requests_cannot_fill_the_buffer(self) -> None:
        """64 KiB of two-byte requests with a large reply are answered as the client reads."""
        wire = self.lines(lambda _request: b"x" * 1000)
        wire.stop_reading()
        wire.send(b"a\n" * (32 * KIB))
        self.assertLess(wire.buffered, 200 * KIB)
        self.assertFalse(wire.reading)

    def test_constants_cannot_either(self) -> None:
        """Nor can what a table answers in one go."""
        wire = self.lines(Table({}, otherwise=b"x" * 1000))
        wire.stop_reading()
        wire.send(b"a\n" * (32 * KIB))
        self.assertLess(wire.buffered, 200 * KIB)
        self.assertFalse(wire.reading)

    def test_one_constant_reply_that_fills_the_buffer_pauses_reading(self) -> None:
        """The server stops reading at once, not at the next request."""
        wire = self.lines(Table({}, otherwise=b"x" * 100 * KIB))
        wire.stop_reading()
        wire.send(b"a\n")
        self.assertFalse(wire.reading)
        wire.read_on()
        self.assertTrue(wire.reading)

    def test_everything_is_answered_once_the_client_reads(self) -> None:
        """What waited for a full buffer is answered when it empties, in order."""
        wire = self.lines(lambda request: request.data * 500)
        wire.stop_reading()
        wire.send(b"ab\ncd\n" * (10 * KIB))
        for _ in range(300):
            wire.read_on(room=100 * KIB)
        self.assertEqual(
            wire.received(), (b"ab" * 500 + b"\r\n" + b"cd" * 500 + b"\r\n") * 10 * KIB
        )
        self.assertTrue(wire.reading)

    def test_a_special_reply_deep_in_a_large_read_keeps_its_place(self) -> None:
        """Constants before and after it are answered in order, whatever the size of the read."""
        table = Table({b"wait": (Wait(1), b"W"), b"a": b"A"}, otherwise=b"?")
        wire = self.lines(table)
        wire.send(b"a\n" * 5000 + b"wait\n" + b"b\n" * 5000)
        self.assertEqual(wire.received(), b"A\r\n" * 5000)
        wire.wait(1)
        self.assertEqual(wire.received(), b"W\r\n" + b"?\r\n" * 5000)
        self.assertEqual(wire.protocol.taken, 10001)
        self.assertEqual(
            [exchange.request.number for exchange in self.heard.exchanges], list(range(1, 10002))
        )

    def test_a_malformed_frame_deep_in_a_large_read(self) -> None:
        """What came before the fault is answered."""
        wire = self.connect(Table({}, otherwise=b"ok"), framing=Netstring())
        wire.send(b"1:a," * 3000 + b"nonsense" + b"1:a," * 3000)
        self.assertEqual(wire.received(), b"2:ok," * 3000)
        self.assertTrue(wire.got_eof)

    def test_a_reply_of_many_steps_stops_when_full(self) -> None:
        """Fullness is noticed between the steps of one reply too."""
        wire = self.lines(lambda _request: (b"x" * 60 * KIB,) * 50)
        wire.stop_reading()
        wire.send(b"a\n")
        self.assertLess(wire.buffered, 300 * KIB)
        wire.read_on()
        self.assertEqual(len(wire.received()), 50 * (60 * KIB + 2))

    def test_a_wait_that_ends_while_full_goes_on_when_read(self) -> None:
        """Two things can hold a connection in turn; it goes on when neither does."""
        wire = self.lines(lambda _request: (b"x" * 200 * KIB, Wait(1), b"end"))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        wire.wait(2)
        wire.read_on()
        wire.wait(1)
        self.assertTrue(wire.received().endswith(b"end\r\n"))

    def test_requests_behind_a_waiting_reply_are_bounded(self) -> None:
        """Reading pauses when enough waits, and goes on when it is worked off."""
        wire = self.lines(lambda _request: (Wait(1), b"x"), limits=Limits(max_waiting=100))
        wire.send(b"a\n", b"b" * 50)
        self.assertTrue(wire.reading)
        wire.send(b"c" * 51)
        self.assertFalse(wire.reading)
        wire.wait(1)
        self.assertTrue(wire.reading)

    def test_the_server_can_stop_reading(self) -> None:
        """Nothing more is answered, however much came with it; more is left to the client."""
        wire = self.lines(lambda request: (request.data, StopReading()))
        wire.send(b"a\nb\n", b"c\n")
        self.assertEqual(wire.received(), b"a\r\n")
        self.assertFalse(wire.reading)
        self.assertTrue(wire.is_open)

    def test_a_reset_is_noticed_while_a_step_waits(self) -> None:
        """Reading goes on during a wait, so that a client's end is seen."""
        wire = self.lines(lambda _request: (Wait(60), b"x"))
        wire.send(b"a\n")
        wire.reset()
        self.assertFalse(wire.is_open)


class HalfCloseTests(Conversation):
    """A client that sends no more still gets every reply."""

    def test_the_reply_comes(self) -> None:
        """`printf request | nc -N` gets its answer, and then EOF."""
        wire = self.connect()
        wire.put(b"request")
        wire.send_eof()
        self.assertEqual(wire.received(), b"response")
        self.assertFalse(wire.is_open)
        self.assertFalse(wire.got_reset)

    def test_a_delayed_reply_comes(self) -> None:
        """The connection stays open until the last reply was sent."""
        wire = self.lines(lambda request: (Wait(1), request.data))
        wire.put(b"a\nb\n")
        wire.send_eof()
        wire.wait(1)
        self.assertTrue(wire.is_open)
        wire.wait(1)
        self.assertEqual(wire.received(), b"a\r\nb\r\n")
        self.assertFalse(wire.is_open)

    def test_a_reply_behind_a_full_buffer_comes(self) -> None:
        """A slow reader that half-closed gets everything as well."""
        wire = self.lines(lambda _request: b"x" * 100 * KIB)
        wire.stop_reading()
        wire.put(b"a\n" * 10)
        for _ in range(20):
            wire.read_on(room=100 * KIB)
            wire.send_eof()
        self.assertEqual(len(wire.received()), 10 * (100 * KIB + 2))
        self.assertFalse(wire.is_open)

    def test_reading_is_not_resumed_after_eof(self) -> None:
        """A transport resumed after EOF would report it again at each turn."""
        wire = self.lines(lambda _request: (b"x" * 200 * KIB, Wait(1), b"x"))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        wire.read_on()
        wire.send_eof()
        self.assertFalse(wire.reading)
        self.assertTrue(wire.is_open)

    def test_hanging_ends_however_much_was_sent(self) -> None:
        """A client that goes on sending to a hanging connection is still heard to leave."""
        wire = self.lines(lambda _request: Hang(), limits=Limits(max_waiting=10))
        wire.send(b"a\n" * 100, b"b\n" * 100)
        self.assertTrue(wire.reading)
        wire.send_eof()
        self.assertFalse(wire.is_open)

    def test_hanging_ends(self) -> None:
        """A full close looks like a half-close: a hanging connection would never end."""
        wire = self.lines(lambda _request: Hang())
        wire.send(b"a\n", b"b\n")
        self.assertTrue(wire.is_open)
        wire.send_eof()
        self.assertFalse(wire.is_open)
        self.assertEqual(self.heard.requests, [[b"a"]])


class ServerHalfCloseTests(Conversation):
    """A responder can end the server's side alone."""

    def test_the_client_gets_eof_and_can_go_on_sending(self) -> None:
        """After a half-close requests are received, and not answered."""
        wire = self.lines(lambda request: (b"bye", HalfClose(), b"unheard"))
        wire.send(b"a\n", b"b\n")
        self.assertEqual(wire.received(), b"bye\r\n")
        self.assertTrue(wire.got_eof)
        self.assertTrue(wire.is_open)
        self.assertEqual(self.heard.requests, [[b"a"], [b"b"]])

    def test_the_clients_eof_then_closes(self) -> None:
        """Both sides having ended, so has the connection."""
        wire = self.lines(lambda _request: HalfClose())
        wire.send(b"a\n")
        wire.send_eof()
        self.assertFalse(wire.is_open)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_an_abort_after_it_resets(self) -> None:
        """A reset needs nothing to be sent."""
        for replies in ([HalfClose(), Abort()], [(b"x" * 200 * KIB, HalfClose(), Abort())]):
            steps = iter(replies)
            wire = self.lines(lambda _request, steps=steps: next(steps))
            wire.send(b"a\n", b"b\n")
            self.assertTrue(wire.got_reset)

    def test_an_abort_after_it_takes_nothing_back(self) -> None:
        """What was sent before a half-close is delivered before the reset as well."""
        check_delivery_before_reset(self, HalfClose(), Wait(1), Abort())

    def test_it_works_with_a_full_buffer(self) -> None:
        """What is buffered is delivered before the EOF."""
        wire = self.lines(lambda _request: (b"x" * 200 * KIB, HalfClose()))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        self.assertFalse(wire.got_eof)
        wire.read_on()
        self.assertEqual(len(wire.received()), 200 * KIB + 2)
        self.assertTrue(wire.got_eof)

    def test_a_close_after_it_closes(self) -> None:
        """A second request's Close ends what a half-close began, and nothing is left."""
        replies = iter([HalfClose(), HalfClose(), Close()])
        wire = self.lines(lambda _request: next(replies))
        wire.send(b"a\n", b"b\n", b"c\n")
        self.assertTrue(wire.is_open)
        wire.wait(LINGER)
        self.assertFalse(wire.is_open)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class CloseTests(Conversation):
    """Closing loses nothing that was sent."""

    def test_unread_input_does_not_cut_the_reply(self) -> None:
        """Our EOF goes first, what still arrives is dropped, and only then the socket is closed."""
        wire = self.connect(lambda _request: (b"reply", Close()))
        wire.send(b"a", b"more", b"and more")
        self.assertTrue(wire.got_eof)
        self.assertTrue(wire.is_open)
        self.assertEqual(wire.unread, 0)
        wire.send_eof()
        self.assertFalse(wire.is_open)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_it_does_not_wait_for_ever(self) -> None:
        """A client that does not end its side is left after a while."""
        wire = self.connect(lambda _request: (b"reply", Close()))
        wire.send(b"a")
        wire.wait(LINGER)
        self.assertFalse(wire.is_open)
        self.assertFalse(wire.got_reset)

    def test_the_while_starts_when_all_is_delivered(self) -> None:
        """A slow reader gets all of a last reply, however long it takes."""
        wire = self.connect(lambda _request: (b"x" * 200 * KIB, Close()))
        wire.stop_reading(room=10)
        wire.send(b"a")
        wire.wait(60 * LINGER)
        self.assertTrue(wire.is_open)
        wire.read_on()
        self.assertEqual(len(wire.received()), 200 * KIB)
        self.assertTrue(wire.got_eof)

    def test_input_that_was_not_read_is_drained(self) -> None:
        """Reading that had paused goes on, to see the client's end."""
        wire = self.lines(
            lambda _request: (b"x" * 200 * KIB, Close()), limits=Limits(max_waiting=10)
        )
        wire.stop_reading(room=10)
        wire.send(b"a\n" * 100)
        wire.read_on()
        wire.send_eof()
        self.assertFalse(wire.is_open)

    def test_what_wraps_a_transport_cannot_keep_it_open(self) -> None:
        """A layer that waits for the client's end delays the close by a second at most."""

        class Polite(ProtocolWrapper):
            """Ends, as TLS does, when the other side has said goodbye, which never happens."""

            def loseConnection(self) -> None:
                self.said_goodbye = True

        factory = self.factory(lambda _request: (b"x", Close()))
        outer: WrappingFactory[Any] = WrappingFactory(factory)
        outer.protocol = Polite
        wire = self.join(outer)
        wire.send(b"a")
        self.assertEqual(wire.received(), b"x")
        self.assertTrue(wire.is_open)
        wire.wait(LINGER)
        self.assertFalse(wire.is_open)

    def test_what_wraps_a_transport_is_read_to_its_end(self) -> None:
        """Reading that had paused goes on there too, to see the client say goodbye."""
        outer: WrappingFactory[Any] = WrappingFactory(
            self.factory(lambda _request: (b"x" * 200 * KIB, Close()), framing=Line())
        )

        class Patient(ProtocolWrapper):
            def loseConnection(self) -> None:
                self.said_goodbye = True

        outer.protocol = Patient
        wire = self.join(outer)
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        self.assertFalse(wire.reading)
        wire.read_on()
        self.assertTrue(wire.reading)

    def test_a_plain_transport_is_closed_plainly(self) -> None:
        """A transport that knows no half-close is closed at once."""
        transport = StringTransport()
        protocol = ReqRespFactory(clock=self.reactor).buildProtocol(transport.getPeer())
        assert protocol is not None
        protocol.makeConnection(transport)
        protocol.dataReceived(b"close")
        self.assertEqual(transport.value(), b"response")
        self.assertTrue(transport.disconnecting)


class AbortTests(Conversation):
    """A reset is a reset, and takes nothing back."""

    def test_the_client_sees_a_reset(self) -> None:
        """Abort resets the connection."""
        wire = self.lines(lambda _request: Abort())
        wire.send(b"a\n")
        self.assertTrue(wire.got_reset)
        self.assertFalse(wire.got_eof)

    def test_what_was_sent_before_arrives(self) -> None:
        """A reply's first half, and then the reset."""
        wire = self.lines(lambda _request: (b"half", Abort(), b"unheard"))
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"half\r\n")
        self.assertTrue(wire.got_reset)

    def test_it_waits_until_a_slow_client_has_read(self) -> None:
        """Bytes that the transport still buffers leave before the reset."""
        check_delivery_before_reset(self, Wait(1), Abort())

    def test_a_client_that_went_first_is_no_matter(self) -> None:
        """Nothing is left of a connection that was lost before its reset could leave."""
        wire = self.lines(lambda _request: (b"x" * 1000, Abort()))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        wire.reset()
        wire.read_on()
        self.assertFalse(wire.is_open)

    def test_a_plain_transport_is_aborted_at_once(self) -> None:
        """A transport without a descriptor cannot report when all has left."""
        transport = StringTransport()
        protocol = ReqRespFactory(lambda _request: Abort(), clock=self.reactor).buildProtocol(
            transport.getPeer()
        )
        assert protocol is not None
        protocol.makeConnection(transport)
        protocol.dataReceived(b"a")
        self.assertTrue(transport.disconnected)


class IncompleteTests(Conversation):
    """A request that a client begins and does not finish is an event of its own."""

    def begin(self, data: bytes = b"a\nSTAT", **options: Any) -> Wire:
        wire = self.lines(lambda request: request.data, **options)
        wire.send(data)
        return wire

    def assert_incomplete(self, wire: Wire) -> None:
        self.assertFalse(wire.is_open)
        self.assertEqual(self.heard.unfinished, [Unfinished(b"STAT", "no line end")])
        self.assertEqual(
            self.heard.events, ["connected", "received", "answered", "incomplete", "disconnected"]
        )

    def test_a_client_that_half_closes(self) -> None:
        """What was complete is answered before."""
        wire = self.begin()
        wire.send_eof()
        self.assertEqual(wire.received(), b"a\r\n")
        self.assert_incomplete(wire)

    def test_a_client_that_resets(self) -> None:
        wire = self.begin()
        wire.reset()
        wire.turn()
        self.assert_incomplete(wire)

    def test_a_loss_within_a_responder(self) -> None:
        """The events of the turn come first."""
        wires: list[Wire] = []

        def respond(request: Any) -> bytes:
            wires[0].transport.connectionLost(Failure(CONNECTION_DONE))
            return cast(bytes, request.data)

        wires.append(self.lines(respond))
        wires[0].send(b"a\nSTAT")
        self.assertEqual(self.heard.events, ["connected", "received", "incomplete", "disconnected"])

    def test_the_idle_timeout(self) -> None:
        wire = self.begin(limits=Limits(idle_timeout=4))
        for _ in range(6):
            wire.wait(1)
        wire.send_eof()
        self.assert_incomplete(wire)

    def test_a_drain(self) -> None:
        wire = self.begin()
        wire.factory.drain(10)
        wire.wait(LINGER)
        wire.turn()
        self.assert_incomplete(wire)

    def test_an_open_connection_can_be_asked(self) -> None:
        """It says what it has of a request, while that may still be finished."""
        wire = self.begin()
        self.assertEqual(wire.protocol.unfinished, Unfinished(b"STAT", "no line end"))
        wire.send(b"\n")
        self.assertIsNone(wire.protocol.unfinished)
        wire.send_eof()
        self.assertEqual(self.heard.unfinished, [])

    def test_what_follows_the_last_request_is_none(self) -> None:
        """After a reply that ends, hangs or stops reading, nothing counts, however it is cut."""
        for step in (Close(), Abort(), Hang(), StopReading()):
            for rest in (b"", b"T\n"):
                self.setUp()
                wire = self.lines(lambda _request, step=step: step)
                wire.send(b"last\nSTA", rest)
                self.assertIsNone(wire.protocol.unfinished)
                wire.factory.drain(10)
                wire.wait(LINGER)
                wire.turn()
                self.assertFalse(wire.is_open)
                self.assertEqual(self.heard.unfinished, [])

    def test_a_loss_after_a_close_was_performed(self) -> None:
        """What follows the last request is none then, either."""

        class Loses(Observer):
            def answered(self, exchanges: Any) -> None:
                wires[0].transport.connectionLost(Failure(CONNECTION_DONE))

        wires = [self.lines(lambda _request: Close(), observers=[Loses(), self.heard])]
        wires[0].send(b"last\nrest")
        self.assertEqual(self.heard.events, ["connected", "received", "answered", "disconnected"])

    def test_a_loss_during_a_wait(self) -> None:
        """What waits after a reply is considered, too, unless it is very much."""
        for before, expected in (
            (b"b\n", [Unfinished(b"STAT", "no line end")]),
            (b"b\n" * KIB * 2, []),
        ):
            self.setUp()
            wire = self.lines(lambda _request: Wait(9))
            wire.send(b"a\n", before + b"STAT")
            wire.reset()
            wire.turn()
            self.assertEqual(self.heard.unfinished, expected)
            self.assertEqual(self.heard.requests, [[b"a"]])

    def test_malformed_bytes_are_no_unfinished_request(self) -> None:
        """A client that disconnects before the error is reported has begun no request."""
        wire = self.connect(lambda _request: Wait(9), framing=Netstring())
        wire.send(b"1:a,nonsense")
        wire.reset()
        wire.turn()
        self.assertEqual(self.heard.unfinished, [])

    def test_a_decoder_that_raises(self) -> None:
        """The connection ends all the same, in each way, and the error is logged."""

        class Raising:
            """Keeps all bytes and says of none what they are."""

            def feed(self, data: bytes) -> list[bytes]:
                return []

            def __len__(self) -> int:
                return 1

            def unfinished(self) -> Unfinished:
                raise ZeroDivisionError

        class Framing(Line):
            def decoder(self, limit: int) -> Any:
                return Raising()

        for end in (Wire.send_eof, Wire.reset):
            self.setUp()
            wire = self.connect(framing=Framing())
            wire.send(b"x")
            end(wire)
            wire.turn()
            self.assertFalse(wire.is_open)
            self.assertEqual(self.heard.events, ["connected", "disconnected"])
            self.assertEqual(wire.factory.open, 0)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_observer_that_ends_the_connection(self) -> None:
        """It is reported once, and before the loss, if an observer finishes or loses it."""
        for is_finished in (True, False):
            for end in (Wire.send_eof, Wire.reset):
                self.setUp()
                wires: list[Wire] = []

                class Ends(Observer):
                    def incomplete(
                        self,
                        peer: Any,
                        connection: int,
                        request: Unfinished,
                        is_finished: bool = is_finished,
                        wires: list[Wire] = wires,
                    ) -> None:
                        if is_finished:
                            wires[0].protocol.finish()
                        elif wires[0].is_open:
                            wires[0].transport.connectionLost(Failure(CONNECTION_DONE))

                wires.append(self.begin(observers=[Ends(), self.heard]))
                end(wires[0])
                wires[0].turn()
                self.assert_incomplete(wires[0])
                self.assertIs(wires[0].protocol.state, State.LOST)

    def test_the_log_says_what_is_missing(self) -> None:
        """At most 100 bytes of it are shown."""
        with capturedLogs() as events:
            self.begin(b"x" * 101).send_eof()
        [event] = [event for event in events if event["log_level"] is LogLevel.info]
        self.assertEqual(
            event["log_format"].format(**event),
            f"127.0.0.1:50000: unfinished request {b'x' * 100!r}...: no line end",
        )


class EagerFullTests(FullTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerHalfCloseTests(HalfCloseTests):
    """The same on the eager transport."""

    transport = EagerServer

    def test_half_a_reply_at_eof_is_finished(self) -> None:
        """What the kernel did not take at once is sent before the connection ends."""
        wire = self.connect(lambda _request: b"x" * 1000)
        wire.stop_reading(room=10)
        wire.send(b"a")
        wire.send_eof()
        self.assertTrue(wire.is_open)
        wire.read_on()
        self.assertEqual(len(wire.received()), 1000)
        self.assertFalse(wire.is_open)
        self.assertFalse(wire.got_reset)


class EagerServerHalfCloseTests(ServerHalfCloseTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerIncompleteTests(IncompleteTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerCloseTests(CloseTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerAbortTests(AbortTests):
    """The same on the eager transport."""

    transport = EagerServer
