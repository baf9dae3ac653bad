"""What becomes of a connection that is full, half-closed, idle, hanging, or ending."""

import socket
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import succeed
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from reqresp import (
    Abort,
    Close,
    Corrupt,
    EagerServer,
    HalfClose,
    Hang,
    Latency,
    LimitData,
    Limits,
    Line,
    Netstring,
    ReqRespFactory,
    Send,
    Slicer,
    StopReading,
    Table,
    Wait,
)
from reqresp.transport import stream
from reqresp.transport.stream import LINGER, undelivered
from tests.support.conversation import Conversation
from tests.support.wire import Wire

KIB = 1024


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

    def test_everything_is_answered_once_the_client_reads(self) -> None:
        """What waited behind a full buffer is answered when it empties, in order."""
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
        """Constants before and behind it are answered in order, whatever the size of the read."""
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
        """A transport resumed after EOF would tell of it again at each turn."""
        wire = self.lines(lambda _request: (b"x" * 200 * KIB, Wait(1), b"x"))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        wire.read_on()
        wire.send_eof()
        self.assertFalse(wire.reading)
        self.assertTrue(wire.is_open)

    def test_an_unfinished_request_is_mentioned(self) -> None:
        """A line without its newline is no request; the log says why nothing came."""
        wire = self.lines(None)
        with capturedLogs() as events:
            wire.send(b"no newline")
            wire.send_eof()
        self.assertEqual(wire.received(), b"")
        self.assertFalse(wire.is_open)
        [event] = [event for event in events if event["log_level"] is LogLevel.info]
        self.assertEqual(event["size"], 10)

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
        wire = self.lines(lambda _request: (b"x" * 1000, HalfClose(), Wait(1), Abort()))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        wire.wait(1)
        self.assertTrue(wire.is_open)
        wire.read_on()
        self.assertEqual(len(wire.received()), 1002)
        self.assertTrue(wire.got_reset)

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
        """A second request's Close ends what a half-close began, with nothing left behind."""
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
        """A layer between, which would wait for the client to agree, is given as long as he is."""

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
        """Abort is no orderly end."""
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
        wire = self.lines(lambda _request: (b"x" * 1000, Wait(1), Abort()))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        wire.wait(1)
        self.assertTrue(wire.is_open)
        wire.read_on()
        self.assertEqual(len(wire.received()), 1002)
        self.assertTrue(wire.got_reset)

    def test_a_client_that_went_first_is_no_matter(self) -> None:
        """Nothing is left of a connection that was lost before its reset could leave."""
        wire = self.lines(lambda _request: (b"x" * 1000, Abort()))
        wire.stop_reading(room=10)
        wire.send(b"a\n")
        wire.reset()
        wire.read_on()
        self.assertFalse(wire.is_open)

    def test_a_plain_transport_is_aborted_at_once(self) -> None:
        """A transport that is no descriptor cannot tell when all has left."""
        transport = StringTransport()
        protocol = ReqRespFactory(lambda _request: Abort(), clock=self.reactor).buildProtocol(
            transport.getPeer()
        )
        assert protocol is not None
        protocol.makeConnection(transport)
        protocol.dataReceived(b"a")
        self.assertTrue(transport.disconnected)


class IdleTests(Conversation):
    """A client that does nothing is closed after the time-out, and within a quarter more."""

    def idle(self, respond: Any = None, **options: Any) -> Wire:
        return self.connect(respond, limits=Limits(idle_timeout=4), **options)

    def pass_time(self, wire: Wire, seconds: int) -> None:
        for _ in range(seconds):
            wire.wait(1)

    def test_a_silent_client_is_closed(self) -> None:
        """In order: it sees EOF."""
        wire = self.idle()
        self.pass_time(wire, 4)
        self.assertFalse(wire.got_eof)
        self.pass_time(wire, 1)
        self.assertTrue(wire.got_eof)

    def test_each_request_starts_the_time_again(self) -> None:
        """A client that sends something now and then stays."""
        wire = self.idle()
        for _ in range(5):
            self.pass_time(wire, 4)
            wire.send(b"a")
        self.assertFalse(wire.got_eof)

    def test_a_reply_under_way_is_not_idleness(self) -> None:
        """Who waits for us is not idle, nor is he just when the reply has come."""
        wire = self.idle(lambda _request: (Wait(20), b"late"))
        wire.send(b"a")
        self.pass_time(wire, 23)
        self.assertEqual(wire.received(), b"late")
        self.assertFalse(wire.got_eof)
        self.pass_time(wire, 3)
        self.assertTrue(wire.got_eof)

    def test_a_client_that_never_reads_is_reset(self) -> None:
        """There is no orderly end for what cannot be delivered."""
        wire = self.idle(lambda _request: b"x" * 200 * KIB)
        wire.stop_reading()
        wire.send(b"a")
        self.pass_time(wire, 5)
        self.assertTrue(wire.got_reset)

    def test_a_slow_reader_is_not_idle(self) -> None:
        """Whoever takes something of a reply now and then gets all of it, the last one included."""
        for steps in ((b"x" * 500 * KIB,), (b"x" * 500 * KIB, Close())):
            wire = self.idle(lambda _request, steps=steps: steps)
            wire.stop_reading()
            wire.send(b"a")
            for _ in range(50):
                self.pass_time(wire, 2)
                wire.read_on(room=10 * KIB)
            self.assertEqual(len(wire.received()), 500 * KIB)
            self.assertFalse(wire.got_reset)

    def test_one_that_does_not_read_a_last_reply_is_reset_too(self) -> None:
        """Closing does not protect from the time-out."""
        wire = self.idle(lambda _request: (b"x" * 200 * KIB, Close()))
        wire.stop_reading()
        wire.send(b"a")
        self.pass_time(wire, 5)
        self.assertTrue(wire.got_reset)

    def test_a_closing_connection_is_not_idle(self) -> None:
        """However short the timeout, a client has its time to end its side in order."""
        limits = Limits(idle_timeout=LINGER / 4)
        wire = self.connect(lambda _request: (b"x", Close()), limits=limits)
        wire.send(b"a")
        self.pass_sweeps(wire, LINGER * 3 / 4)
        self.assertTrue(wire.got_eof)
        self.assertTrue(wire.is_open)
        wire.send_eof()
        self.assertFalse(wire.is_open)
        self.assertFalse(wire.got_reset)

    def pass_sweeps(self, wire: Wire, seconds: float) -> None:
        """Let *seconds* pass, a sixteenth of a second at a time."""
        for _ in range(round(seconds * 16)):
            wire.wait(1 / 16)

    def test_a_hanging_client_is_closed(self) -> None:
        """Hang lasts as long as the limits allow."""
        wire = self.idle(lambda _request: Hang())
        wire.send(b"a")
        self.pass_time(wire, 5)
        self.assertTrue(wire.got_eof)

    def test_nothing_is_left_when_nobody_is_connected(self) -> None:
        """The last client takes the sweeping with it."""
        wire = self.idle()
        wire.send_eof()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class FactoryTests(Conversation):
    """What all connections of a server share."""

    def connect_some(self, factory: ReqRespFactory, number: int, **options: Any) -> list[Wire]:
        return [self.join(factory, **options) for _ in range(number)]

    def test_a_client_over_the_limit_is_reset(self) -> None:
        """It is accepted and aborted, counted and told; the others stay."""
        factory = self.factory(limits=Limits(max_connections=2))
        first, second, third = self.connect_some(factory, 3)
        self.assertEqual([first.is_open, second.is_open, third.got_reset], [True] * 3)
        self.assertEqual(factory.refused, 1)

    def test_a_client_of_a_unix_socket_has_no_address(self) -> None:
        """Nothing tells such clients apart, so the limit for a peer is not theirs."""
        factory = self.factory(limits=Limits(max_per_peer=1))
        for _ in range(3):
            protocol = factory.buildProtocol(UNIXAddress(None))
            assert protocol is not None
            protocol.makeConnection(StringTransport(peerAddress=UNIXAddress(None)))
        self.assertEqual((factory.open, factory.refused), (3, 0))

    def test_room_is_made_by_whoever_leaves(self) -> None:
        """The limit is on connections open at once."""
        factory = self.factory(limits=Limits(max_connections=1))
        [first] = self.connect_some(factory, 1)
        first.send_eof()
        [second] = self.connect_some(factory, 1)
        self.assertTrue(second.is_open)

    def test_one_address_cannot_take_all(self) -> None:
        """The limit for a peer is its own."""
        factory = self.factory(limits=Limits(max_per_peer=1))
        first, second = self.connect_some(factory, 2)
        [other] = self.connect_some(factory, 1, host="127.0.0.2")
        self.assertEqual([first.is_open, second.got_reset, other.is_open], [True] * 3)
        first.send_eof()
        [again] = self.connect_some(factory, 1)
        self.assertTrue(again.is_open)

    def test_refusals_are_logged_once_a_second(self) -> None:
        """A storm of clients is no storm of log lines, and none goes uncounted."""
        factory = self.factory(limits=Limits(max_connections=1))
        with capturedLogs() as events:
            self.connect_some(factory, 100)
            self.reactor.advance(1)
            self.connect_some(factory, 100)
        counts = [event["refused"] for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(counts, [1, 100])
        self.assertEqual(factory.refused, 199)

    def test_what_cannot_be_served_is_said_at_once(self) -> None:
        """A reply that the framing refuses, or a framing beyond the limits, is an error early."""
        with self.assertRaises(ValueError):
            ReqRespFactory(Table({}, otherwise=b"a\nb"), framing=Line())
        with self.assertRaises(ValueError):
            ReqRespFactory(framing=Netstring(), limits=Limits(max_request=0))

    def test_the_clock_is_the_reactor_unless_given(self) -> None:
        """And is asked for as late as can be: to import a reactor is to install it."""
        from twisted.internet import reactor

        self.assertIs(ReqRespFactory().clock, reactor)


class DrainTests(Conversation):
    """Draining finishes what was begun."""

    def test_nobody_connected_is_drained(self) -> None:
        """There is nothing to wait for."""
        self.successResultOf(self.factory().drain(5))

    def test_idle_clients_are_closed(self) -> None:
        """In order, and the Deferred fires when they are gone."""
        factory = self.factory()
        wire = self.join(factory)
        drained = factory.drain(5)
        wire.turn()
        self.assertTrue(wire.got_eof)
        self.assertNoResult(drained)
        wire.send_eof()
        self.successResultOf(drained)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_reply_under_way_is_finished(self) -> None:
        """And so are those to requests that were received before."""
        factory = self.factory(lambda request: (Wait(2), request.data), framing=Line())
        wire = self.join(factory)
        wire.send(b"a\nb\n")
        drained = factory.drain(5)
        wire.wait(2)
        wire.wait(2)
        self.assertEqual(wire.received(), b"a\r\nb\r\n")
        self.assertTrue(wire.got_eof)
        wire.send_eof()
        self.successResultOf(drained)

    def test_what_has_arrived_is_read_first(self) -> None:
        """A request in the kernel's hands when draining begins is answered."""
        factory = self.factory()
        wire = self.join(factory)
        wire.put(b"request")
        factory.drain(5)
        wire.read_once()
        wire.turn()
        self.assertEqual(wire.received(), b"response")
        self.assertTrue(wire.got_eof)

    def test_what_comes_later_is_not(self) -> None:
        """No new request is taken up."""
        factory = self.factory(lambda request: (Wait(2), request.data), framing=Line())
        wire = self.join(factory)
        wire.send(b"a\n")
        factory.drain(5)
        wire.turn()
        wire.send(b"b\n")
        wire.wait(2)
        self.assertEqual(wire.received(), b"a\r\n")
        self.assertEqual(self.heard.requests, [[b"a"]])

    def test_the_rest_is_reset(self) -> None:
        """A reply that takes too long is cut with a reset, so that nobody takes it for whole."""
        factory = self.factory(lambda _request: (b"begun", Wait(60), b"end"), framing=Line())
        wire = self.join(factory)
        wire.send(b"a\n")
        drained = factory.drain(5)
        wire.wait(5)
        self.assertTrue(wire.got_reset)
        self.successResultOf(drained)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_it_can_be_hastened(self) -> None:
        """A second, shorter drain ends the first."""
        factory = self.factory(lambda _request: Wait(60))
        wire = self.join(factory)
        wire.send(b"a")
        first = factory.drain(50)
        wire.turn()
        second = factory.drain(0)
        wire.turn()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertTrue(wire.got_reset)

    def test_newcomers_are_refused(self) -> None:
        """A client that slips in while draining is reset."""
        factory = self.factory(lambda _request: Wait(60))
        wire = self.join(factory)
        wire.send(b"a")
        factory.drain(5)
        wire.turn()
        self.assertTrue(self.join(factory).got_reset)

    def test_a_drained_factory_serves_again(self) -> None:
        """A service that is stopped can be started."""
        factory = self.factory()
        factory.drain(5)
        wire = self.join(factory)
        wire.send(b"a")
        self.assertEqual(wire.received(), b"response")

    def test_hanging_clients_are_closed(self) -> None:
        """There is nothing to finish about a reply that never comes."""
        factory = self.factory(lambda _request: Hang())
        wire = self.join(factory)
        wire.send(b"a")
        factory.drain(5)
        wire.turn()
        self.assertTrue(wire.got_eof)


class DeliveryTests(Conversation):
    """A reset waits for what the kernel still has to deliver."""

    def test_what_the_kernel_holds_is_given_time(self) -> None:
        """The reset comes when the client's kernel has acknowledged everything, or time is up."""
        left = [5, 5, 0]
        self.patch(stream, "undelivered", lambda _transport: left.pop(0))
        wire = self.lines(lambda _request: (b"x", Abort()))
        wire.send(b"a\n")
        self.assertTrue(wire.is_open)
        wire.wait(LINGER / 100)
        self.assertTrue(wire.is_open)
        wire.wait(LINGER / 100)
        self.assertTrue(wire.got_reset)

    def test_after_a_half_close_as_well(self) -> None:
        """A reset after a half-close waits until the client's kernel has everything."""
        left = [5, 5, 0]
        self.patch(stream, "undelivered", lambda _transport: left.pop(0))
        wire = self.lines(lambda _request: (b"x", HalfClose(), Wait(1), Abort()))
        wire.send(b"a\n")
        self.assertTrue(wire.got_eof)
        wire.wait(1)
        for _ in range(2):
            self.assertFalse(wire.got_reset)
            wire.wait(LINGER / 100)
        self.assertTrue(wire.got_reset)

    def test_an_eof_meanwhile_makes_no_orderly_end_of_it(self) -> None:
        """A client that half-closes while it is waited for is reset all the same."""
        left = [5, 0]
        self.patch(stream, "undelivered", lambda _transport: left.pop(0))
        wire = self.lines(lambda _request: (b"x", Abort()))
        wire.send(b"a\n")
        wire.send_eof()
        self.assertTrue(wire.is_open)
        wire.wait(LINGER / 100)
        self.assertTrue(wire.got_reset)

    def test_not_for_ever(self) -> None:
        """A client that takes nothing is reset all the same."""
        self.patch(stream, "undelivered", lambda _transport: 5)
        wire = self.lines(lambda _request: (b"x", Abort()))
        wire.send(b"a\n")
        for _ in range(100):
            self.assertTrue(wire.is_open)
            wire.wait(LINGER / 100)
        self.assertTrue(wire.got_reset)

    def test_the_kernel_is_asked(self) -> None:
        """On a real socket, bytes that the peer has not taken count until it does."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        nobody = cast(Any, None)
        transport = tcp.Server(ours, Protocol(), ("", 0), nobody, 0, cast(Any, self.reactor))
        self.addCleanup(transport.connectionLost, Failure(CONNECTION_DONE))
        self.assertEqual(undelivered(transport), 0)
        transport.write(b"abc")
        self.assertEqual(undelivered(transport), 3)
        transport.doWrite()
        self.assertGreaterEqual(undelivered(transport), 3)
        theirs.recv(10)
        self.assertEqual(undelivered(transport), 0)


class FaultTests(Conversation):
    """What goes wrong with a reply goes wrong on the wire, framed, and leaves the rest alone."""

    def test_a_frame_in_pieces_is_still_one_frame(self) -> None:
        """Faults strike what the framing made of a reply."""
        wire = self.lines(lambda _request: b"abc", faults=[Slicer(size=2, delay=1)])
        wire.send(b"x\n")
        pieces = [wire.received()]
        for _ in range(3):
            wire.wait(1)
            pieces.append(wire.received())
        self.assertEqual([piece for piece in pieces if piece], [b"ab", b"c\r", b"\n"])

    def test_constants_are_struck_too(self) -> None:
        """A table's replies are no faster than their faults."""
        wire = self.lines(Table({}, otherwise=b"ok"), faults=[Latency(delay=1)])
        wire.send(b"a\nb\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        wire.wait(1)
        self.assertEqual(wire.received(), b"ok\r\n" * 2)

    def test_a_raw_reply_stays_raw(self) -> None:
        """What the responder framed itself is not framed again."""
        wire = self.lines(
            lambda _request: Send(b"raw", raw=True), faults=[Corrupt(bytes=1)], seed=1
        )
        wire.send(b"x\n")
        reply = wire.received()
        self.assertEqual(len(reply), 3)
        self.assertEqual(sum(a != b for a, b in zip(reply, b"raw", strict=True)), 1)

    def test_bytes_are_counted_for_each_connection(self) -> None:
        """A limit on data is used up by one client alone."""
        factory = self.factory(
            lambda _request: b"abcd", framing=Line(), faults=[LimitData(bytes=8)]
        )
        first, second = self.join(factory), self.join(factory)
        first.send(b"x\n", b"x\n")
        second.send(b"x\n")
        self.assertEqual(first.received(), b"abcd\r\nab")
        self.assertTrue(first.got_eof)
        self.assertEqual(second.received(), b"abcd\r\n")
        self.assertFalse(second.got_eof)

    def test_the_same_seed_is_the_same_run(self) -> None:
        """However the connections are interleaved, each is struck as before."""

        def run(order: list[int]) -> list[bytes]:
            factory = self.factory(
                lambda request: request.data,
                framing=Line(),
                faults=[Corrupt(bytes=2, probability=0.5)],
                seed=42,
            )
            wires = [self.join(factory) for _ in range(2)]
            for number in order:
                wires[number].send(b"some request\n")
            return [wire.received() for wire in wires]

        orderly = run([0] * 8 + [1] * 8)
        self.assertEqual(orderly, run([0, 1] * 8))
        self.assertNotEqual(orderly[0], orderly[1])

    def test_a_seed_that_was_not_given_is_logged(self) -> None:
        """So that a run can be repeated all the same."""
        with capturedLogs() as events:
            factory = self.factory(faults=[Corrupt(bytes=1)])
        self.assertEqual([event["seed"] for event in events], [factory.config.seed])

    def test_constants_that_cannot_be_framed_are_found_at_once(self) -> None:
        """As without faults."""
        with self.assertRaises(ValueError):
            self.factory(Table({}, otherwise=b"a\nb"), framing=Line(), faults=[Slicer(size=1)])

    def test_what_is_not_sent_is_not_struck(self) -> None:
        """After a half-close nobody has to wait for what nobody gets."""
        replies = iter([HalfClose(), b"x" * 1000])
        wire = self.lines(lambda _request: next(replies), faults=[Latency(delay=60)], seed=1)
        wire.send(b"a\n")
        wire.wait(60)
        wire.send(b"b\n")
        wire.send_eof()
        self.assertFalse(wire.is_open)

    def test_observers_hear_what_the_responder_said(self) -> None:
        """An exchange has the reply as it was meant."""
        wire = self.lines(lambda _request: b"ok", faults=[Slicer(size=10)])
        wire.send(b"x\n")
        wire.wait(1)
        self.assertEqual(self.heard.exchanges[0].steps, (Send(b"ok"),))

    def test_a_payload_that_cannot_be_framed_resets(self) -> None:
        """It is the responder's error, with faults as without, and later as at once."""
        for respond in (lambda _request: b"a\nb", lambda _request: succeed(b"a\nb")):
            wire = self.lines(respond, faults=[Slicer(size=1)])
            wire.send(b"x\n")
            self.assertTrue(wire.got_reset)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


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


class EagerCloseTests(CloseTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerAbortTests(AbortTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerIdleTests(IdleTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerDrainTests(DrainTests):
    """The same on the eager transport."""

    transport = EagerServer
