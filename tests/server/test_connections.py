"""What all connections of a server share: admission, idle time and the end."""

from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs

from reqresp import (
    Close,
    Counters,
    EagerServer,
    Hang,
    Limits,
    Line,
    Netstring,
    ReqRespFactory,
    Wait,
)
from reqresp.transport.stream import LINGER
from tests.support.conversation import Conversation
from tests.support.wire import Wire

KIB = 1024


class IdleTests(Conversation):
    """A client that does nothing is closed after the time-out, and within a quarter more."""

    def idle(self, respond: Any = None, **options: Any) -> Wire:
        return self.connect(respond, limits=Limits(idle_timeout=4), **options)

    def test_a_silent_client_is_closed(self) -> None:
        """In order: it sees EOF."""
        wire = self.idle()
        wire.pass_seconds(4)
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(1)
        self.assertTrue(wire.got_eof)

    def test_each_request_starts_the_time_again(self) -> None:
        """A client that sends something now and then stays."""
        wire = self.idle()
        for _ in range(5):
            wire.pass_seconds(4)
            wire.send(b"a")
        self.assertFalse(wire.got_eof)

    def test_a_reply_under_way_is_not_idleness(self) -> None:
        """A client that waits for a reply is not idle, nor is it just after the reply."""
        wire = self.idle(lambda _request: (Wait(20), b"late"))
        wire.send(b"a")
        wire.pass_seconds(23)
        self.assertEqual(wire.received(), b"late")
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(3)
        self.assertTrue(wire.got_eof)

    def test_a_client_that_never_reads_is_reset(self) -> None:
        """A connection whose replies cannot be delivered is reset."""
        wire = self.idle(lambda _request: b"x" * 200 * KIB)
        wire.stop_reading()
        wire.send(b"a")
        wire.pass_seconds(5)
        self.assertTrue(wire.got_reset)

    def test_a_slow_reader_is_not_idle(self) -> None:
        """A client that reads a part of a reply now and then receives all of it."""
        for steps in ((b"x" * 500 * KIB,), (b"x" * 500 * KIB, Close())):
            wire = self.idle(lambda _request, steps=steps: steps)
            wire.stop_reading()
            wire.send(b"a")
            for _ in range(50):
                wire.pass_seconds(2)
                wire.read_on(room=10 * KIB)
            self.assertEqual(len(wire.received()), 500 * KIB)
            self.assertFalse(wire.got_reset)

    def test_one_that_does_not_read_a_last_reply_is_reset_too(self) -> None:
        """Closing does not protect from the time-out."""
        wire = self.idle(lambda _request: (b"x" * 200 * KIB, Close()))
        wire.stop_reading()
        wire.send(b"a")
        wire.pass_seconds(5)
        self.assertTrue(wire.got_reset)

    def test_reloads_do_not_put_off_the_timeout(self) -> None:
        """However often limits are set, the same ones or others."""
        for others in (Limits(idle_timeout=4), Limits(idle_timeout=3.9)):
            wire = self.idle()
            for _ in range(30):
                for limits in (others, Limits(idle_timeout=4)):
                    wire.wait(0.1)
                    wire.factory.reconfigure(limits=limits)
            self.assertTrue(wire.got_eof)

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
        wire.pass_seconds(5)
        self.assertTrue(wire.got_eof)

    def test_nothing_is_left_without_clients(self) -> None:
        """The last client takes the sweeping with it."""
        wire = self.idle()
        wire.send_eof()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class AdmissionTests(Conversation):
    """Which clients a server admits."""

    def connect_some(self, factory: ReqRespFactory, number: int, **options: Any) -> list[Wire]:
        return [self.join(factory, **options) for _ in range(number)]

    def test_a_client_over_the_limit_is_reset(self) -> None:
        """It is accepted and reset, counted and reported; the others stay."""
        factory = self.factory(limits=Limits(max_connections=2))
        first, second, third = self.connect_some(factory, 3)
        self.assertEqual([first.is_open, second.is_open, third.got_reset], [True] * 3)
        self.assertEqual(factory.refused, 1)

    def test_a_client_of_a_unix_socket_has_no_address(self) -> None:
        """Such clients cannot be distinguished, so the limit for a peer does not apply to them."""
        factory = self.factory(limits=Limits(max_per_peer=1))
        for _ in range(3):
            protocol = factory.buildProtocol(UNIXAddress(None))
            assert protocol is not None
            protocol.makeConnection(StringTransport(peerAddress=UNIXAddress(None)))
        self.assertEqual((factory.open, factory.refused), (3, 0))

    def test_a_client_that_leaves_makes_room(self) -> None:
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
        """Many refused clients cause few log lines, and all are counted."""
        factory = self.factory(limits=Limits(max_connections=1))
        with capturedLogs() as events:
            self.connect_some(factory, 100)
            self.reactor.advance(1)
            self.connect_some(factory, 100)
        counts = [event["refused"] for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(counts, [1, 100])
        self.assertEqual(factory.refused, 199)


class RequestTimeoutTests(Conversation):
    """A request that has begun must be complete in time, however often bytes of it arrive."""

    def begin(self, respond: Any = None, **options: Any) -> Wire:
        options.setdefault("limits", Limits(request_timeout=4))
        return self.lines(respond, **options)

    def test_a_byte_a_second_does_not_prolong_it(self) -> None:
        """The connection is closed in order; log, metrics and observers say why."""
        counters = Counters()
        wire = self.begin(counters=counters)
        wire.send(b"complete\n")
        with capturedLogs() as events:
            wire.pass_seconds(4, b"x")
            self.assertFalse(wire.got_eof)
            wire.pass_seconds(2, b"x")
        self.assertTrue(wire.got_eof)
        self.assertEqual(wire.received(), b"response\r\n")
        [line] = [
            event["log_format"].format(**event)
            for event in events
            if event["log_level"] is LogLevel.warn
        ]
        self.assertEqual(line, "127.0.0.1:50000: its request took too long to arrive; closing")
        self.assertEqual(counters.malformed, {"request_timeout": 1})
        self.assertEqual([it.missing for it in self.heard.unfinished], ["no line end"])

    def test_each_request_has_its_own_time(self) -> None:
        """A client that always has a request under way, and completes each, is served."""
        wire = self.begin()
        wire.send(b"x")
        for _ in range(6):
            wire.pass_seconds(3)
            wire.send(b"\nx")
        self.assertFalse(wire.got_eof)

    def test_a_client_without_a_request_has_any_time(self) -> None:
        wire = self.begin()
        wire.pass_seconds(50)
        self.assertFalse(wire.got_eof)

    def test_time_in_which_the_client_waits_does_not_count(self) -> None:
        """While a reply is awaited, the next request may stay unfinished."""
        wire = self.begin(lambda _request: (Wait(20), b"late"))
        wire.send(b"a\nb")
        wire.pass_seconds(22)
        self.assertEqual(wire.received(), b"late\r\n")
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(5)
        self.assertTrue(wire.got_eof)


class MalformedTests(Conversation):
    """What is malformed is counted by its kind, and one line of each kind is logged a second."""

    def test_malformed_requests(self) -> None:
        """A flood of them is one log line a second, which says how many there were."""
        counters = Counters()
        factory = self.factory(framing=Netstring(), counters=counters)
        with capturedLogs() as events:
            for _ in range(100):
                self.join(factory).send(b"nonsense")
            self.reactor.advance(1)
            self.join(factory).send(b"nonsense")
        lines = [
            event["log_format"].format(**event)
            for event in events
            if event["log_level"] is LogLevel.warn
        ]
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[1], r"; closing \(99 more like the last one\)$")
        self.assertEqual(counters.malformed, {"request": 101})
        self.assertEqual(counters.frame_errors, 101)

    def flood(self, factory: ReqRespFactory, count: int = 100) -> None:
        """Let *count* clients send something malformed, and one stay that does not."""
        self.join(factory)
        for _ in range(count):
            self.join(factory).send(b"nonsense")

    def counts(self, events: Any) -> list[int]:
        """Return the numbers in the log of what was not logged."""
        return [event["count"] for event in events if "count" in event]

    def test_a_flood_that_ends(self) -> None:
        """How many followed the last line is logged, though no other client sends anything."""
        factory = self.factory(framing=Netstring())
        with capturedLogs() as events:
            self.flood(factory)
            self.reactor.pump([1, 1, 1])
        self.assertEqual(self.counts(events), [99])

    def test_refused_clients(self) -> None:
        """Likewise of refused clients."""
        factory = self.factory(limits=Limits(max_connections=1))
        with capturedLogs() as events:
            self.flood(factory)
            self.reactor.pump([1, 1, 1])
        self.assertEqual(self.counts(events), [99])

    def test_a_flood_until_the_end(self) -> None:
        """At the end of a drain, and when the last port is closed, it is logged at once."""
        factory = self.factory(framing=Netstring())
        with capturedLogs() as events:
            self.flood(factory)
            factory.doStart()
            factory.doStop()
            self.flood(factory, 10)
            factory.drain(0)
            self.reactor.advance(0)
        self.assertEqual(self.counts(events), [99, 10])
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class DrainTests(Conversation):
    """Draining finishes what was begun."""

    def test_draining_without_clients(self) -> None:
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
        """A reply that takes too long is cut with a reset, so that it is not taken for whole."""
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


class EagerIdleTests(IdleTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerDrainTests(DrainTests):
    """The same on the eager transport."""

    transport = EagerServer
