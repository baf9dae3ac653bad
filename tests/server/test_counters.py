"""Counters: what is counted for requests, replies, bytes, errors and faults."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Abort,
    Chunk,
    Close,
    Counters,
    EagerServer,
    Hang,
    Latency,
    Limits,
    Line,
    Netstring,
    PlacedFault,
    Script,
    Send,
    Table,
    Timeout,
    Wait,
)
from reqresp.server._backlog import SLICE
from reqresp.server.counters import BUCKET_BOUNDS, REPLIES_PER_SAMPLE
from tests.support.conversation import Conversation
from tests.support.metered import Metered


class Hands:
    """A clock that changes only when a test sets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TimesTests(SynchronousTestCase):
    """The times of replies, in buckets and in total."""

    def setUp(self) -> None:
        self.hands = Hands()
        self.counters = Counters(self.hands)

    def places(self) -> dict[float, int]:
        """Return the counts that are not 0, by the bucket's bound."""
        bounds = (*BUCKET_BOUNDS, float("inf"))
        return {bound: n for bound, n in zip(bounds, self.counters.times, strict=True) if n}

    def give(self, count: int, began: float) -> None:
        """Count *count* constant replies, and time them."""
        self.counters.until_timed -= count
        self.counters.time_sample(count, began)

    def test_replies_of_a_turn_are_counted_at_once(self) -> None:
        """All replies of a turn have the same time."""
        self.hands.now += 0.003
        self.assertIsNone(self.counters.count_turn(4, 4, 100.0, None))
        self.assertEqual(self.places(), {0.005: 4})
        self.assertAlmostEqual(self.counters.seconds, 0.012)

    def test_a_bound_belongs_to_its_bucket(self) -> None:
        """A time equal to a bound is in that bucket, as in Prometheus."""
        self.counters = Counters(lambda: 0.25)
        self.counters.count_replies(1, 0.0)
        self.assertEqual(self.places(), {0.25: 1})

    def test_a_time_over_all_bounds_is_counted(self) -> None:
        """A time over the last bound is in the bucket of infinity."""
        self.hands.now += 11
        self.counters.count_replies(1, 100.0)
        self.assertEqual(self.places(), {float("inf"): 1})

    def test_a_reply_that_comes_turns_later(self) -> None:
        """A late reply is timed from its request's turn, later replies from theirs."""
        since = self.counters.count_turn(1, 0, 100.0, None)
        self.assertEqual((since, self.counters.requests, self.counters.replies), (100.0, 1, 0))
        self.hands.now = 102.0
        since = self.counters.count_turn(3, 3, 101.96, since)
        self.assertEqual(since, 101.96)
        self.assertEqual(self.places(), {2.5: 1, 0.05: 2})
        self.assertEqual((self.counters.requests, self.counters.unanswered), (4, 1))

    def test_a_turn_without_a_reply_counts_nothing(self) -> None:
        """A turn without a complete reply changes no count."""
        self.assertEqual(self.counters.count_turn(0, 0, 101.0, 100.0), 100.0)
        self.assertEqual(self.places(), {})

    def test_a_sample_counts_for_later_replies(self) -> None:
        """A measured time counts for the constant replies that follow it."""
        self.hands.now += 0.0002
        self.give(3, 100.0)
        self.assertEqual(self.counters.until_timed, REPLIES_PER_SAMPLE)
        self.counters.until_timed -= REPLIES_PER_SAMPLE + 1
        self.assertLess(self.counters.until_timed, 0)
        self.hands.now += 0.002
        self.give(1, 100.0002)
        self.assertEqual(self.places(), {0.00025: 3 + REPLIES_PER_SAMPLE + 1, 0.0025: 1})
        self.assertAlmostEqual(self.counters.seconds, (4 + REPLIES_PER_SAMPLE) * 0.0002 + 0.002)

    def test_reading_the_counts_changes_none(self) -> None:
        """Reading the counts changes none of them, and the next replies are timed."""
        self.give(1, 100.0)
        self.counters.until_timed -= 5
        self.assertEqual([self.counters.replies, self.counters.replies], [6, 6])
        self.assertEqual(self.counters.until_timed, 0)
        before = self.counters.times
        self.hands.now += 3
        self.give(1, 100.0)
        self.assertTrue(all(a <= b for a, b in zip(before, self.counters.times, strict=True)))
        self.assertEqual(self.counters.replies, 7)


class PathTests(Metered):
    """Requests and replies are counted the same in every code path."""

    def test_constants(self) -> None:
        """Requests of one read with constant replies are counted."""
        wire = self.connect(Table({b"a": b"1"}, otherwise=b"22"), framing=Line())
        wire.send(b"a\nb\na\n", b"a")
        self.assertEqual(wire.received(), b"1\r\n22\r\n1\r\n")
        self.assert_counted(3, 3, 7, 10)

    def test_many_reads_of_constants(self) -> None:
        """More constant replies than one sample covers are all counted."""
        wire = self.connect(Table({}, otherwise=b"1"), framing=Line())
        wire.send(*[b"a\nb\n"] * REPLIES_PER_SAMPLE)
        self.assert_counted(
            2 * REPLIES_PER_SAMPLE,
            2 * REPLIES_PER_SAMPLE,
            4 * REPLIES_PER_SAMPLE,
            3 * 2 * REPLIES_PER_SAMPLE,
        )

    def test_silence(self) -> None:
        """A reply without data counts as a reply."""
        wire = self.connect(Table({}, otherwise=None))
        wire.send(b"abc")
        self.assert_counted(1, 1, 3, 0)

    def test_large_reads_of_constants(self) -> None:
        """A large read that is answered in slices is counted once."""
        wire = self.connect(Table({b"end": (b"!", Close())}, otherwise=b"1"), framing=Line())
        lines = b"a\n" * SLICE + b"end\n"
        wire.send(lines)
        received = wire.received()
        self.assertEqual(len(received), 3 * SLICE + 3)
        self.assert_counted(SLICE + 1, SLICE + 1, len(lines), len(received))

    def test_a_client_that_does_not_read(self) -> None:
        """Replies that wait for a slow reader are counted when they are sent."""
        wire = self.connect(Table({}, otherwise=b"x" * 999), framing=Line())
        wire.stop_reading()
        wire.send(b"a\n" * 2000)
        self.assertLess(self.counters.replies, 2000)
        wire.read_on()
        self.assertEqual(len(wire.received()), 2000 * 1001)
        self.assert_counted(2000, 2000, 4000, 2000 * 1001)

    def test_a_function(self) -> None:
        """Requests that a function answers are counted."""
        wire = self.connect(lambda request: request.data * 2, framing=Netstring())
        wire.send(b"1:a,1:b,1:", b"c,")
        self.assertEqual(wire.received(), b"2:aa,2:bb,2:cc,")
        self.assert_counted(3, 3, 12, 15)

    def test_raw_sends_and_waits(self) -> None:
        """A reply with waits is counted, and timed, at its last step."""
        wire = self.connect(lambda _request: (b"1", Wait(2), Send(b"2", raw=True)), framing=Line())
        wire.send(b"a\n")
        self.assert_counted(1, 0, 2, 3)
        wire.wait(2)
        self.assert_counted(1, 1, 2, 4, seconds=2.0)

    def test_a_deferred(self) -> None:
        """A reply of a Deferred is timed until it fires; later requests wait uncounted."""
        waiting: list[Deferred[bytes]] = []

        def respond(_request: object) -> Deferred[bytes]:
            waiting.append(Deferred())
            return waiting[-1]

        wire = self.connect(respond, framing=Line())
        wire.send(b"a\nb\n")
        self.assert_counted(1, 0, 4, 0)
        wire.wait(3)
        waiting[0].callback(b"1")
        self.assert_counted(2, 1, 4, 3, seconds=3.0)
        wire.wait(1)
        waiting[1].callback(b"2")
        self.assert_counted(2, 2, 4, 6, seconds=4.0)

    def test_a_greeting(self) -> None:
        """The bytes of a greeting are counted, and no request or reply."""
        script = "[greeting]\nreply = 'hello'\n[[rule]]\nequals = 'a'\nreply = 'b'\n"
        self.connect(Script.parse(script))
        self.assert_counted(0, 0, 0, 7)

    def test_endings_are_replies(self) -> None:
        """A reply that closes or resets is counted; one that hangs is not."""
        for ending, replies in ((Close(), 1), (Abort(), 1), (Hang(), 0)):
            self.counters = Counters(self.reactor.seconds)
            wire = self.connect(lambda _request, it=ending: (b"1", it), framing=Line())
            wire.send(b"a\nb\n")
            self.assert_counted(1, replies, 4, 3)

    def test_late_bytes_count_as_received(self) -> None:
        """Bytes that arrive after the last request are counted as received."""
        wire = self.connect(lambda _request: Hang())
        wire.send(b"abc", b"defg")
        self.assert_counted(1, 0, 7, 0)

    def test_a_client_that_disconnects_before_its_reply(self) -> None:
        """A request without a reply does not change the time of another client's reply."""
        factory = self.factory(lambda _request: (Wait(5), b"late"))
        self.join(factory).send(b"a")
        gone = self.join(factory)
        gone.send(b"a")
        gone.reset()
        self.reactor.advance(5)
        self.assert_counted(2, 1, 2, 4, seconds=5.0)

    def test_eager_writes_are_counted_once(self) -> None:
        """Bytes sent through the eager transport are counted once."""
        self.transport = EagerServer
        wire = self.connect(Table({b"f": (b"2", Wait(1), b"3")}, otherwise=b"1"), framing=Line())
        wire.send(b"a\n", b"a\nf\n")
        wire.wait(1)
        received = wire.received()
        self.assert_counted(3, 3, 6, len(received), seconds=1.0)

    def test_connections_are_counted_from_zero(self) -> None:
        """The accepted connections are counted from 0, whatever the first number is."""
        factory = self.factory(first=1000)
        for _ in range(3):
            self.join(factory).reset()
        self.join(factory)
        self.assertEqual((factory.accepted, factory.open), (4, 1))


class TroubleTests(Metered):
    """Misses, errors and faults are counted."""

    def test_misses(self) -> None:
        """A request that no rule matches is a miss, whatever its reply is."""
        rule = "[[rule]]\nequals = 'a'\nreply = 'b'\n\n"
        self.connect(Script.parse(rule)).send(b"a\n", b"c\n")
        self.assertEqual(self.counters.misses, 1)
        self.connect(Script.parse(rule + "[unmatched]\nreply = '?'\n")).send(b"a\nc\na\n")
        self.assertEqual(self.counters.misses, 2)
        self.connect(Script.parse(rule + "[unmatched]\ndo = [{ hang = true }]\n")).send(b"c\n")
        self.assertEqual(
            (self.counters.misses, self.counters.requests, self.counters.replies), (3, 6, 5)
        )

    def test_frame_errors(self) -> None:
        """A malformed request is counted once, and earlier requests are answered."""
        wire = self.connect(Table({}, otherwise=b"1"), framing=Netstring())
        wire.send(b"1:a,nonsense")
        self.assertEqual(wire.received(), b"1:1,")
        self.assertEqual((self.counters.frame_errors, self.counters.replies), (1, 1))

    def test_requests_that_are_too_long(self) -> None:
        """A request over the limit is a frame error, not a request."""
        self.connect(framing=Line(), limits=Limits(max_request=3)).send(b"abcdef")
        self.assertEqual((self.counters.frame_errors, self.counters.requests), (1, 0))

    def test_responder_errors(self) -> None:
        """Errors raised, errors of a Deferred and invalid replies are counted."""

        def fail(_request: object) -> bytes:
            raise ValueError("no")

        later: Deferred[bytes] = Deferred()
        for respond in (fail, lambda _request: later, lambda _request: b"1\r\n2"):
            self.connect(respond, framing=Line()).send(b"a\n")
        later.errback(ValueError("no"))
        self.assertEqual((self.counters.responder_errors, self.counters.frame_errors), (3, 0))
        self.assertEqual((self.counters.requests, self.counters.replies), (3, 0))
        self.flushLoggedErrors()

    def test_faults(self) -> None:
        """Each injected fault is counted by name, even if it removes the reply."""
        faults = [Latency(delay=1), Latency(delay=1, probability=0.0), Timeout(seconds=0)]
        wire = self.connect(Table({}, otherwise=b"1"), faults=faults, seed=1)
        wire.send(b"a")
        wire.wait(1)
        self.assertEqual(self.counters.faults, {"latency": 1, "timeout": 1})
        self.assertEqual((self.counters.requests, self.counters.replies), (1, 0))

    def test_faults_of_silence(self) -> None:
        """A fault on connect is counted although no request was received; latency is not one."""
        self.connect(faults=[PlacedFault("fault[0]", Latency(delay=1), on_connect=True)], seed=1)
        self.connect(faults=[PlacedFault("fault[0]", Timeout(seconds=1), on_connect=True)], seed=1)
        self.assertEqual(self.counters.faults, {"timeout": 1})
        self.assertEqual(self.counters.requests, 0)


class WithoutTests(Conversation):
    """A server without counters."""

    def test_a_server_without_counters_reads_no_clock(self) -> None:
        """A server without counters answers the same, and reads no clock."""
        wire = self.connect(framing=Chunk())
        wire.send(b"a")
        self.assertEqual(wire.received(), b"response")
        self.assertIsNone(wire.factory.counters)
