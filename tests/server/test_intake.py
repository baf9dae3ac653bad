"""Faults of what clients send to a server that answers: what it receives, and when."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IAddress
from twisted.logger import LogLevel, capturedLogs, formatEvent

from reqresp import (
    Chunk,
    Counters,
    DirectedFault,
    EagerServer,
    Limits,
    Line,
    Observer,
    Request,
    Script,
    Send,
    StartTLS,
    StopReading,
    Table,
    Wait,
)
from reqresp._errors import FieldError
from reqresp.faults import Bandwidth, Direction, Fault, Latency, LimitData, Slicer
from reqresp.faults.stages import STAGE_BYTES
from reqresp.framing import UntilEnd
from tests.support.conversation import Conversation
from tests.support.forwarded import ForwardedCase
from tests.support.unencrypted import Unencrypted
from tests.support.wire import Wire

#: Bytes that the server reads at once.
READ = 64 * 1024


def upstream(fault: Fault, name: str = "it") -> DirectedFault:
    """Return *fault* for what clients send."""
    return DirectedFault(fault=fault, stream="upstream", name=name)


def echo(request: Request) -> bytes:
    """Return the request."""
    return request.data


class Watcher(Observer):
    """Keeps requests, and faults that have affected a connection."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def received(self, peer: IAddress, connection: int, requests: Any) -> None:
        self.events += requests

    def faulted(self, peer: IAddress, connection: int, direction: Direction, fault: str) -> None:
        self.events.append((connection, direction.value, fault))

    def disconnected(self, peer: IAddress, connection: int, reason: Any) -> None:
        self.events.append("disconnected")


class IntakeCase(Conversation):
    """A server of lines, to which each test adds faults."""

    def serve(self, respond: Any = echo, **options: Any) -> Wire:
        options.setdefault("framing", Line())
        if isinstance(respond, dict):
            respond = Table(respond)
        wire = self.connect(respond, **options)
        self.server = wire.factory
        return wire

    def fault(self, kind: str, **parameters: Any) -> Any:
        return self.server.fault(kind, stream="upstream", **parameters)


class SlowReadingTests(IntakeCase):
    """``bandwidth`` on what clients send."""

    def test_a_request_is_complete_when_its_last_byte_has_passed(self) -> None:
        """Ten bytes at two a second take five seconds."""
        wire = self.serve()
        self.fault("bandwidth", rate=2)
        wire.send(b"12345678\r\n")
        wire.wait(4.9)
        self.assertEqual(wire.received(), b"")
        wire.wait(0.1)
        self.assertEqual(wire.received(), b"12345678\r\n")

    def test_the_client_is_stopped(self) -> None:
        """The server holds a bounded number of bytes, and reads again as they pass."""
        wire = self.serve()
        self.fault("bandwidth", rate=READ)
        data = (b"x" * 98 + b"\r\n") * 4000
        for start in range(0, len(data), READ):
            wire.send(data[start : start + READ])
        self.assertFalse(wire.reading)
        self.assertGreater(wire.unread, 0)
        self.assertLessEqual(self.held(wire), STAGE_BYTES + READ)
        wire.wait(60)
        self.assertTrue(wire.reading)
        self.assertEqual(wire.unread, 0)

    def test_connections_share_a_bandwidth(self) -> None:
        """Two clients take twice as long."""
        first = self.serve()
        second = self.join(self.server)
        self.fault("bandwidth", rate=8, shared=True)
        for wire in (first, second):
            wire.send(b"1234567\r\n\n")
        first.wait(1.25)
        self.assertEqual(first.received() + second.received(), b"")
        first.wait(1.25)
        self.assertEqual([it.received() for it in (first, second)], [b"1234567\r\n\r\n"] * 2)

    def test_a_reply_that_waits_stops_the_client_too(self) -> None:
        """What a connection does not accept waits on its way to it."""
        wire = self.serve({b"w": (Wait(10), Send(b"W"))}, limits=Limits(max_waiting=100))
        self.fault("latency", delay=1)
        wire.send(b"w\r\n")
        wire.wait(1)
        for _ in range(3):
            wire.send(b"w\r\n" * 40)
            wire.wait(1)
        self.assertEqual(len(wire.protocol.backlog.waiting), 120)
        self.assertEqual(self.held(wire), 240)
        wire.wait(10 * 121)
        self.assertEqual(wire.received(), b"W\r\n" * 121)

    @staticmethod
    def held(wire: Wire) -> int:
        """Return how many bytes are on their way to the connection."""
        held: int = wire.protocol.intake.link.held
        return held


class CutTests(IntakeCase):
    """An upload that ends in the middle."""

    def test_limit_data(self) -> None:
        """What was received before is answered; the rest is an unfinished request."""
        wire = self.serve()
        self.fault("limit_data", bytes=7)
        wire.send(b"abc\r\n", b"defgh\r\n")
        self.assertEqual(wire.received(), b"abc\r\n")
        self.assertTrue(wire.got_eof)
        self.assertFalse(wire.got_reset)
        self.assertEqual([it.data for it in self.heard.unfinished], [b"de"])

    def test_reset_peer_after_bytes(self) -> None:
        """The reply to what was received before arrives, then the reset."""
        wire = self.serve()
        self.fault("reset_peer", bytes=7, delay=2)
        wire.send(b"abc\r\n", b"defgh\r\n")
        wire.wait(1.9)
        self.assertFalse(wire.got_reset)
        wire.wait(0.2)
        self.assertEqual(wire.received(), b"abc\r\n")
        self.assertTrue(wire.got_reset)

    def test_it_begins_after_bytes(self) -> None:
        """``after_bytes`` counts what the client has sent."""
        wire = self.serve()
        self.fault("reset_peer", after_bytes=10)
        wire.send(b"abc\r\n")
        self.assertEqual(wire.received(), b"abc\r\n")
        wire.send(b"defgh\r\n")
        wire.wait(1)
        self.assertTrue(wire.got_reset)

    def test_a_fault_of_the_script_from_the_beginning(self) -> None:
        """No byte is received, and the greeting is sent."""
        wire = self.serve(faults=[upstream(LimitData(bytes=0))])
        wire.wait(0)
        self.assertTrue(wire.got_eof)
        self.assertEqual(self.heard.requests, [])

    def test_timeout(self) -> None:
        """Nothing is received, and the connection is closed after a while."""
        wire = self.serve()
        self.fault("timeout", seconds=3)
        wire.send(b"abc\r\n")
        wire.wait(2.9)
        self.assertFalse(wire.got_eof)
        wire.wait(0.1)
        self.assertTrue(wire.got_eof)
        self.assertEqual(self.heard.requests, [])

    def test_blackhole(self) -> None:
        """Bytes are lost, and EOF is not."""
        wire = self.serve()
        self.fault("blackhole")
        wire.send(b"abc\r\n")
        wire.send_eof()
        wire.wait(0)
        self.assertEqual(wire.received(), b"")
        self.assertTrue(wire.got_eof)

    def test_corrupt(self) -> None:
        """A byte is another one."""
        wire = self.serve()
        self.fault("corrupt", bytes=1)
        wire.send(b"abc")
        fault = self.server.faults[0]
        fault.remove()
        wire.send(b"\r\n")
        received = wire.received()
        self.assertNotEqual(received, b"abc\r\n")
        self.assertEqual(len(received), 5)


class EndTests(IntakeCase):
    """EOF, losses and endings while bytes are on their way."""

    def test_a_half_close_does_not_overtake_bytes(self) -> None:
        """The reply comes before the server ends its side."""
        wire = self.serve()
        self.fault("latency", delay=2)
        wire.send(b"abc\r\n")
        wire.send_eof()
        wire.wait(1.9)
        self.assertFalse(wire.got_eof)
        wire.wait(0.1)
        self.assertEqual(wire.received(), b"abc\r\n")
        self.assertTrue(wire.got_eof)

    def test_slow_close_delays_it_alone(self) -> None:
        """Requests are answered at once."""
        wire = self.serve()
        self.fault("slow_close", delay=2)
        wire.send(b"abc\r\n")
        wire.send_eof()
        self.assertEqual(wire.received(), b"abc\r\n")
        wire.wait(1.9)
        self.assertFalse(wire.got_eof)
        wire.wait(0.1)
        self.assertTrue(wire.got_eof)

    def test_a_request_that_eof_completes(self) -> None:
        """It is whole once EOF has passed, even if the server drains before."""
        wire = self.serve(framing=UntilEnd())
        self.fault("slicer", size=2, delay=1)
        wire.send(b"abcdef")
        wire.send_eof()
        wire.wait(1.5)
        self.assertEqual(wire.received(), b"")
        wire.wait(10)
        self.assertEqual(wire.received(), b"abcdef")

    def test_a_drain_does_not_wait_for_what_is_on_its_way(self) -> None:
        """It was not received: a server that reads slowly has not read it."""
        wire = self.serve()
        self.fault("latency", delay=5)
        wire.send(b"abc\r\n")
        done = self.server.drain(10)
        wire.wait(0)
        self.assertTrue(wire.got_eof)
        wire.send_eof()
        wire.wait(0)
        self.successResultOf(done)
        self.assertEqual(self.heard.requests, [])

    def test_a_drain_after_eof(self) -> None:
        """A part of a request that EOF would complete is not a request."""
        wire = self.serve(framing=UntilEnd())
        self.fault("slicer", size=2, delay=1)
        wire.send(b"abcdef")
        wire.send_eof()
        wire.wait(1.5)
        done = self.server.drain(10)
        wire.wait(0)
        self.successResultOf(done)
        self.assertEqual(self.heard.requests, [])
        self.assertTrue(wire.got_eof)

    def test_a_reset_drops_what_is_on_its_way(self) -> None:
        """No timer is left."""
        wire = self.serve()
        self.fault("latency", delay=5)
        wire.send(b"abc\r\n")
        wire.reset()
        wire.wait(0)
        self.assertEqual(self.server.open, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.heard.requests, [])

    def test_bytes_that_pass_slowly_are_no_idle_time(self) -> None:
        """The idle timeout begins after the last one."""
        wire = self.serve(limits=Limits(idle_timeout=10))
        self.fault("bandwidth", rate=1)
        wire.send(b"1" * 30)
        wire.wait(30)
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(20)
        self.assertTrue(wire.got_eof)

    def test_bytes_that_pass_slowly_use_the_time_of_a_request(self) -> None:
        """It begins with the first byte that passes, so a slow fault can end the connection."""
        wire = self.serve(limits=Limits(request_timeout=8))
        self.fault("bandwidth", rate=1)
        wire.send(b"1234\r\n")
        wire.pass_seconds(6)
        self.assertEqual(wire.received(), b"1234\r\n")
        wire.send(b"12345678901234\r\n")
        wire.pass_seconds(8)
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(4)
        self.assertTrue(wire.got_eof)
        self.assertEqual(wire.received(), b"")

    def test_bytes_that_have_not_passed_use_no_time(self) -> None:
        """Nothing of a request has begun while a latency, or a timeout, holds all of it."""
        wire = self.serve(limits=Limits(request_timeout=8))
        self.fault("latency", delay=30)
        wire.send(b"1234\r\n", b"begun")
        wire.pass_seconds(30)
        self.assertEqual(wire.received(), b"1234\r\n")
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(11)
        self.assertTrue(wire.got_eof)
        wire = self.serve(limits=Limits(request_timeout=8))
        self.fault("timeout", seconds=0)
        wire.send(b"begun")
        wire.pass_seconds(30)
        self.assertFalse(wire.got_eof)

    def test_a_connection_that_receives_nothing_is_idle(self) -> None:
        """A timeout fault without an end does not keep it."""
        wire = self.serve(limits=Limits(idle_timeout=10))
        self.fault("timeout", seconds=0)
        wire.send(b"abc\r\n")
        wire.pass_seconds(20)
        self.assertTrue(wire.got_eof)

    def test_a_server_that_stops_reading(self) -> None:
        """What is on its way then is dropped, as what comes later."""
        wire = self.serve({b"s": (StopReading(), Send(b"S"))})
        self.fault("latency", delay=1)
        wire.send(b"s\r\ns\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"S\r\n")
        self.assertFalse(wire.reading)
        wire.send(b"s\r\n")
        wire.wait(5)
        self.assertEqual(wire.received(), b"")

    def test_a_decoder_that_fails(self) -> None:
        """It ends its connection, also when its bytes come late."""

        class Broken(Line):
            def decoder(self, max_request: int) -> Any:
                decoder = super().decoder(max_request)
                return _Failing() if max_request != 7 else decoder

        wire = self.serve(framing=Broken())
        self.fault("latency", delay=1)
        wire.send(b"abc\r\n")
        wire.wait(1)
        wire.wait(2)
        self.assertFalse(wire.is_open)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class _Failing:
    """A decoder that raises what no decoder should."""

    is_new = True

    def feed(self, data: bytes) -> list[bytes]:
        raise ZeroDivisionError(data)

    def __len__(self) -> int:
        return 0


class LiveTests(IntakeCase):
    """Faults that come, change and go while clients are connected."""

    def test_a_connection_without_faults_has_nothing_in_between(self) -> None:
        """Its transport calls it, before a fault comes and after it has gone."""
        wire = self.serve({b"a": b"A"})
        self.assertIs(wire.transport.protocol, wire.protocol)
        with self.fault("latency", delay=1):
            self.assertIsNot(wire.transport.protocol, wire.protocol)
            wire.send(b"a\r\n")
        wire.turn()
        self.assertEqual(wire.received(), b"A\r\n")
        self.assertIs(wire.transport.protocol, wire.protocol)
        self.assertIsNotNone(self.server.config.batch)

    def test_what_was_removed_lets_go_in_order(self) -> None:
        """What it holds comes before what is sent later."""
        wire = self.serve()
        fault = self.fault("timeout", seconds=0)
        wire.send(b"ab")
        fault.remove()
        wire.send(b"c\r\n")
        self.assertEqual(wire.received(), b"abc\r\n")

    def test_a_change_holds_for_what_is_on_its_way(self) -> None:
        """It would have come after an hour."""
        wire = self.serve()
        fault = self.fault("latency", delay=3600)
        wire.send(b"abc\r\n")
        fault.change(delay=1)
        wire.wait(1)
        self.assertEqual(wire.received(), b"abc\r\n")

    def test_a_responder_that_changes_faults(self) -> None:
        """They apply to the bytes after its request."""
        faults = [None]

        def respond(request: Request) -> bytes:
            if request.data == b"go":
                faults[0].remove()  # type: ignore[attr-defined]
            return request.data

        wire = self.serve(respond)
        faults[0] = self.fault("slicer", size=4, delay=100)
        wire.send(b"go\r\nabcdefgh\r\n")
        self.assertEqual(wire.received(), b"go\r\nabcdefgh\r\n")

    def test_a_probability_is_drawn_for_each_connection(self) -> None:
        """With 0, there is nothing in between."""
        wire = self.serve()
        self.fault("blackhole", probability=0)
        self.assertIs(wire.transport.protocol, wire.protocol)
        wire.send(b"abc\r\n")
        self.assertEqual(wire.received(), b"abc\r\n")

    def test_reconfigured_faults(self) -> None:
        """Those of a config replace those of the one before, and added ones stay."""
        wire = self.serve(faults=[upstream(Latency(delay=9), "slow")])
        self.fault("slicer", size=1)
        self.server.reconfigure(echo, framing=Line(), faults=[upstream(Latency(delay=2), "new")])
        self.assertEqual([it.name for it in self.server.faults], ["new", "slicer"])
        wire.send(b"abc\r\n")
        wire.wait(2.1)
        self.assertEqual(wire.received(), b"abc\r\n")
        self.server.reconfigure(echo, framing=Line())
        self.server.faults[0].remove()
        self.assertIs(wire.transport.protocol, wire.protocol)

    def test_replies_and_requests_have_faults_of_their_own(self) -> None:
        """Each with another name."""
        wire = self.serve(faults=[Latency(delay=1), upstream(Latency(delay=2), "latency")])
        self.assertEqual([it.name for it in self.server.faults], ["latency", "latency-2"])
        wire.send(b"abc\r\n")
        wire.wait(2.9)
        self.assertEqual(wire.received(), b"")
        wire.wait(0.1)
        self.assertEqual(wire.received(), b"abc\r\n")

    def test_the_other_direction(self) -> None:
        """Replies have faults without a stream."""
        self.serve()
        for add in (
            lambda: self.server.fault("latency", delay=1, stream="downstream"),
            lambda: self.connect(
                faults=[DirectedFault(fault=Latency(delay=1), stream="downstream", name="it")]
            ),
        ):
            with self.assertRaises(FieldError) as caught:
                add()
            self.assertEqual(caught.exception.field, "stream")
            self.assertIn("expected upstream, what clients send", str(caught.exception))
        with self.assertRaises(FieldError) as caught:
            self.server.fault("latency", delay=1, stream="upstream", on="reply")
        self.assertEqual(caught.exception.field, "on")
        with self.assertRaises(TypeError):
            self.server.fault("latency", delay=1, shared=True)
        self.assertEqual(self.server.faults, ())


class ReportTests(IntakeCase):
    """What observers and counters have of it."""

    def test_a_fault_is_reported_once_before_what_it_affects(self) -> None:
        """And counted once for each connection."""
        watcher, counters = Watcher(), Counters()
        wire = self.serve(observers=[watcher], counters=counters)
        self.fault("latency", delay=1)
        wire.send(b"a\r\n", b"b\r\n")
        wire.wait(1)
        self.assertEqual(watcher.events, [(1, "upstream", "latency"), b"a", b"b"])
        self.assertEqual(counters.faults, {"latency": 1})

    def test_a_cut_is_reported_before_the_connection_is_lost(self) -> None:
        """Also where the client has ended its side."""
        watcher = Watcher()
        wire = self.serve(observers=[watcher])
        self.fault("latency", delay=1)
        self.fault("limit_data", bytes=1)
        wire.send(b"a\r\n")
        wire.send_eof()
        wire.wait(1)
        wire.wait(1)
        self.assertEqual(
            watcher.events,
            [(1, "upstream", "latency"), (1, "upstream", "limit_data"), "disconnected"],
        )

    def test_bytes_count_once_they_are_received(self) -> None:
        """What is on its way does not count."""
        counters = Counters()
        wire = self.serve(counters=counters)
        self.fault("slicer", size=2, delay=1)
        wire.send(b"abc\r\n")
        wire.wait(1.5)
        received = counters.received
        wire.wait(5)
        self.assertLess(received, 5)
        self.assertEqual(counters.received, 5)


class StartTLSTests(IntakeCase):
    """A connection that is encrypted from a reply on."""

    def test_what_is_on_its_way_in_the_clear_is_dropped(self) -> None:
        """It would be taken for something that was encrypted (RFC 3207)."""
        wire = self.serve({b"tls": (Send(b"go"), StartTLS()), b"a": b"A"})
        self.server.start_tls = Unencrypted()
        self.fault("slicer", size=5, delay=1)
        with capturedLogs() as events:
            wire.send(b"tls\r\na\r\na\r\n")
            wire.wait(5)
        warnings = [formatEvent(it) for it in events if it["log_level"] is LogLevel.warn]
        [line] = warnings
        self.assertIn("dropped what it sent in the clear after its request for TLS", line)
        self.assertEqual(wire.received(), b"go\r\n")
        wire.send(b"a\r\n")
        wire.wait(5)
        self.assertEqual(wire.received(), b"A\r\n")
        self.assertEqual(self.heard.requests, [[b"tls"], [b"a"]])


class ForwardingTests(ForwardedCase):
    """A server that forwards what clients send."""

    respond = 'framing = "line"\nunmatched = { forward = true }\nlimits = { max_waiting = 40 }\n'
    arguments = {"observers": []}

    def test_all_requests_are_forwarded(self) -> None:
        """Also where the connection has stopped to accept them meanwhile."""
        self.factory.fault("latency", stream="upstream", delay=0.01)
        client, service = self.connect_both()
        replied = 0
        for number in range(300):
            client.send(b"request %d\n" % number * 20)
            self.advance(0.01)
            lines = service.got.split(b"\n")[replied:-1]
            if number % 3 == 0:
                service.transport.write(b"".join(b"re: %s\n" % it for it in lines))
                replied += len(lines)
        for _ in range(100):
            self.advance(0.01)
            lines = service.got.split(b"\n")[replied:-1]
            service.transport.write(b"".join(b"re: %s\n" % it for it in lines))
            replied += len(lines)
        self.assertEqual(replied, 6000)
        expected = b"".join(b"re: request %d\n" % number * 20 for number in range(300))
        self.assertEqual(client.received(), expected)


#: Faults that lose nothing.
LOSSLESS = st.one_of(
    st.builds(Latency, delay=st.sampled_from([0, 0.5, 2])),
    st.builds(Slicer, size=st.integers(1, 9), delay=st.sampled_from([0, 0.1])),
    st.builds(Bandwidth, rate=st.sampled_from([5, 100, 100_000])),
)
REQUESTS = st.lists(st.sampled_from([b"a\n", b"bb\r\n", b"\n", b"unknown\n", b"w\n"]), max_size=12)
REPLIES = Table({b"a": b"A", b"bb": b"B" * 50, b"": b"empty", b"w": (Wait(0.3), Send(b"W"))})
#: A conversation whose states have framings of their own, the last of which EOF ends.
STATES = Script.parse("""
    framing = "line"
    greeting = "hi"
    rule = [
        { equals = "DATA", reply = "go", goto = "data" },
        { equals = "REST", reply = "rest", goto = "rest" },
        { when = "data", reply = "got", goto = "start", delay = 0.3 },
        { when = "rest", reply = { template = "{0|len}" } },
        { reply = { template = "{0}" } },
    ]
    [state.data]
    framing = "delimiter:.;"
    [state.rest]
    framing = "eof"
""")
STATE_PIECES = (b"DATA\n", b"a.;", b".;", b"b\r\n", b"REST\n")
STATE_REQUESTS = st.lists(st.sampled_from(STATE_PIECES), max_size=12)
CUTS = st.lists(st.integers(0, 99), max_size=6)


class Equality(IntakeCase):
    """Faults that lose nothing change when replies come, and nothing else."""

    def check(
        self, respond: Any, requests: list[bytes], cuts: list[int], faults: list[Fault]
    ) -> None:
        data = b"".join(requests)
        edges = sorted({0, len(data), *(it % (len(data) + 1) for it in cuts)})
        pieces = [data[start:end] for start, end in pairwise(edges)]
        placed = [upstream(fault, str(number)) for number, fault in enumerate(faults)]
        replies = []
        for some in ((), placed):
            self.setUp()
            watcher = Watcher()
            framing = None if isinstance(respond, Script) else Line()
            options = {"framing": framing, "seed": 1, "observers": [watcher]}
            wire = self.connect(respond, faults=some, **options)
            wire.send(*pieces)
            wire.send_eof()
            wire.wait(300)
            requested = [it for it in watcher.events if isinstance(it, bytes)]
            replies.append((wire.received(), requested, wire.got_eof, wire.factory.open))
        self.assertEqual(*replies)


class EqualityTests(Equality):
    """On Twisted's transport."""

    @given(REQUESTS, CUTS, st.lists(LOSSLESS, max_size=3))
    def test_any_cut_and_any_faults(
        self, requests: list[bytes], cuts: list[int], faults: list[Fault]
    ) -> None:
        """The replies, the requests and the end are those of a server without faults."""
        self.check(REPLIES, requests, cuts, faults)

    @given(STATE_REQUESTS, CUTS, st.lists(LOSSLESS, max_size=3))
    def test_framings_of_states(
        self, requests: list[bytes], cuts: list[int], faults: list[Fault]
    ) -> None:
        """A framing changes at the same byte, and the last request ends with EOF."""
        self.check(STATES, requests, cuts, faults)


class EagerEqualityTests(Equality):
    """On our own transport."""

    transport = EagerServer

    @given(REQUESTS, CUTS, st.lists(LOSSLESS, max_size=3))
    def test_any_cut_and_any_faults(
        self, requests: list[bytes], cuts: list[int], faults: list[Fault]
    ) -> None:
        """The same."""
        self.check(REPLIES, requests, cuts, faults)


#: What happens between two reads: a fault comes, changes or goes, or time passes.
CHANGES = st.one_of(
    LOSSLESS,
    st.sampled_from(["goes", "changes"]),
    st.sampled_from([0.05, 0.3, 2.0]),
)
STEPS = st.lists(st.one_of(st.binary(max_size=9), CHANGES), max_size=30)


class ChangeTests(IntakeCase):
    """Faults that come, change and go in any order while a client sends."""

    @given(STEPS)
    def test_no_byte_is_lost_or_overtaken(self, steps: list[Any]) -> None:
        """What is received is what was sent, in its order, and then EOF."""
        self.setUp()
        got: list[bytes] = []

        def keep(request: Request) -> None:
            got.append(request.data)

        wire = self.serve(keep, framing=Chunk(), seed=1)
        for step in steps:
            if isinstance(step, bytes):
                wire.send(step)
            elif isinstance(step, float):
                wire.wait(step)
            elif isinstance(step, Fault):
                self.server.fault(step, stream="upstream")
            elif self.server.faults and step == "goes":
                self.server.faults[0].remove()
            elif self.server.faults:
                self.change(self.server.faults[-1])
        wire.send_eof()
        wire.wait(600)
        self.assertEqual(b"".join(got), b"".join(it for it in steps if isinstance(it, bytes)))
        self.assertTrue(wire.got_eof)
        wire.wait(600)
        self.assertEqual(self.server.open, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    @staticmethod
    def change(live: Any) -> None:
        """Change what has a time."""
        if live.fault.kind == "bandwidth":
            live.change(rate=7)
        else:
            live.change(delay=0.25)
