"""What each kind of fault does to the pieces of one direction, and when they leave."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults import (
    STREAM_KINDS,
    Bandwidth,
    Blackhole,
    Corrupt,
    Fault,
    Latency,
    LimitData,
    Noop,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from reqresp.faults.meter import Meter
from reqresp.faults.stages import LATENCY_BYTES, PIECE_BYTES, STAGE_BYTES, Ending
from tests.support.lines import Line, joined, owner

EOF, CLOSE, RESET = Ending.EOF, Ending.CLOSE, Ending.RESET


def line(fault: Fault, **window: Any) -> Line:
    """Return a line with one stage."""
    return Line([owner(fault, **window)])


class LatencyTests(SynchronousTestCase):
    """Pieces that are on their way for a while."""

    def test_each_piece_leaves_after_the_delay(self) -> None:
        """Bytes, EOF and a reset alike; the pieces in between do not wait for each other."""
        it = line(Latency(delay=2))
        it.put(0, b"a")
        it.put(1, b"b", EOF)
        it.put(1.5, RESET)
        self.assertEqual(it.leave(), [(2, b"a"), (3, b"b"), (3, EOF), (3.5, RESET)])

    def test_jitter_reorders_nothing(self) -> None:
        """A piece that would overtake another leaves together with it."""
        it = line(Latency(delay=1, jitter=1))
        for number in range(100):
            it.put(number / 100, b"%d," % number)
        left = it.leave()
        times = [at for at, _ in left]
        self.assertEqual(
            joined(piece for _, piece in left), b"".join(b"%d," % n for n in range(100))
        )
        self.assertEqual(times, sorted(times))
        delays = [at - number / 100 for number, at in enumerate(times)]
        self.assertGreaterEqual(min(delays), 0)
        self.assertGreater(max(delays) - min(delays), 0.5)

    def test_a_change_holds_for_what_is_on_its_way(self) -> None:
        """The delay that counts is the one at the time when a piece is due."""
        it = line(Latency(delay=5))
        it.put(0, b"a")
        it.put(1, b"b")
        it.owners[0].change(delay=2)
        self.assertEqual(it.leave(), [(2, b"a"), (3, b"b")])

    def test_a_long_delay_has_room_for_much(self) -> None:
        """It accepts as much as a long line with a large bandwidth holds, and small pieces less."""
        it = line(Latency(delay=1))
        it.put(0, bytes(LATENCY_BYTES - 1000))
        self.assertFalse(it.line.is_full)
        it.put(0, bytes(1000))
        self.assertTrue(it.line.is_full)
        small = line(Latency(delay=1))
        small.put(0, *[b"."] * (LATENCY_BYTES // (PIECE_BYTES + 1)))
        self.assertFalse(small.line.is_full)
        small.put(0, b".")
        self.assertTrue(small.line.is_full)


class BandwidthTests(SynchronousTestCase):
    """A rate in bytes a second."""

    def test_slices_leave_when_they_have_taken_their_time(self) -> None:
        """A twentieth of a second's bytes at a time; the last slice may be smaller."""
        it = line(Bandwidth(rate=100))
        it.put(0, b"x" * 12)
        self.assertEqual(it.leave(), [(0.05, b"x" * 5), (0.1, b"x" * 5), (0.12, b"x" * 2)])

    def test_slices_of_a_low_rate(self) -> None:
        """A slice has a byte at least."""
        it = line(Bandwidth(rate=2))
        it.put(0, b"abc", EOF)
        self.assertEqual(it.leave(), [(0.5, b"a"), (1, b"b"), (1.5, b"c"), (1.5, EOF)])

    def test_time_without_bytes_is_not_saved(self) -> None:
        """After a pause, the rate is the same."""
        it = line(Bandwidth(rate=10))
        it.put(0, b"a")
        it.put(100, b"b")
        self.assertEqual(it.leave(), [(0.1, b"a"), (100.1, b"b")])

    def test_late_questions_cost_nothing(self) -> None:
        """Who asks late gets what was due: the rate stays exact however late timers are."""
        it = line(Bandwidth(rate=1000))
        it.line.put(bytes(10_000), 0)
        taken = 0
        for second in (1.03, 2.57, 9.999):
            while (piece := it.line.take(second)) is not None:
                assert isinstance(piece, bytes)
                taken += len(piece)
            self.assertLessEqual(1000 * second - taken, 50)
            self.assertLessEqual(taken, 1000 * second)

    def test_a_change_of_the_rate_holds_at_once(self) -> None:
        """Also for what waits."""
        it = line(Bandwidth(rate=1))
        it.put(0, b"x" * 100)
        it.run(10)
        it.owners[0].change(rate=1000)
        self.assertEqual(it.leave()[-1][0], 10.09)

    def test_a_rate_of_zero_holds_bytes(self) -> None:
        """They leave once the rate is another; an ending before them is not held."""
        it = line(Bandwidth(rate=0))
        it.put(0, EOF, b"x", RESET)
        self.assertEqual(it.leave(), [(0, EOF)])
        it.run(10)
        it.owners[0].change(rate=1000)
        self.assertEqual(it.leave(), [(0.001, b"x"), (0.001, RESET)])

    def test_a_shared_rate(self) -> None:
        """Lines that share it take turns, and together they have the rate."""
        meter = Meter()
        lines = [Line([owner(Bandwidth(rate=1000), meter)]) for _ in range(3)]
        for it in lines:
            it.put(0, bytes(1000))
        for tick in range(3000):
            for it in lines:
                it.run(tick / 1000)
                sizes = [len(joined(piece for _, piece in one.left)) for one in lines]
                self.assertLessEqual(sum(sizes), tick + 1)
                self.assertLessEqual(max(sizes) - min(sizes), 50)
        last = [it.leave()[-1][0] for it in lines]
        self.assertEqual(max(last), 3)

    def test_a_shared_rate_is_not_held_by_a_line_that_is_blocked(self) -> None:
        """Nor by one that is removed; the others get its share."""
        meter = Meter()
        first, second, third = (Line([owner(Bandwidth(rate=10), meter)]) for _ in range(3))
        for it in (first, second, third):
            it.put(0, b"x" * 10)
            it.line.due()
        first.line.block()
        self.assertEqual(first.leave(), [])
        self.assertEqual(second.wakes, 1)
        second.line.stop()
        self.assertEqual(third.wakes, 1)
        self.assertEqual(third.leave()[-1], (1, b"x"))


class SlicerTests(SynchronousTestCase):
    """Small pieces."""

    def test_pieces_with_gaps(self) -> None:
        """Each piece has a size, and comes after a delay."""
        it = line(Slicer(size=4, delay=0.5))
        it.put(0, b"abcdefghij", EOF)
        self.assertEqual(it.leave(), [(0, b"abcd"), (0.5, b"efgh"), (1, b"ij"), (1.5, EOF)])

    def test_sizes_vary(self) -> None:
        """Within the variation; all of them occur."""
        it = line(Slicer(size=5, variation=2))
        it.put(0, bytes(2000))
        sizes = [len(piece) for _, piece in it.leave() if isinstance(piece, bytes)]
        self.assertEqual({*sizes[:-1]}, {3, 4, 5, 6, 7})
        self.assertEqual(sum(sizes), 2000)

    def test_no_piece_is_empty(self) -> None:
        """Also if the variation is as large as the size."""
        it = line(Slicer(size=2, variation=2))
        it.put(0, bytes(2000))
        sizes = {len(piece) for _, piece in it.leave() if isinstance(piece, bytes)}
        self.assertEqual(sizes, {1, 2, 3, 4})

    def test_without_a_delay_the_pieces_are_still_apart(self) -> None:
        """By a millisecond, so that they are segments of their own."""
        it = line(Slicer(size=1))
        it.put(0, b"abc")
        self.assertEqual(it.leave(), [(0, b"a"), (0.001, b"b"), (0.002, b"c")])


class LimitDataTests(SynchronousTestCase):
    """A number of bytes, then a close."""

    def test_the_last_byte_arrives_and_no_other(self) -> None:
        """The close follows at once."""
        it = line(LimitData(bytes=5))
        it.put(0, b"abc")
        it.put(1, b"defg")
        it.put(2, b"h", EOF)
        self.assertEqual(it.leave(), [(0, b"abc"), (1, b"de"), (1, CLOSE)])

    def test_no_bytes(self) -> None:
        """The connection is closed at once."""
        self.assertEqual(line(LimitData(bytes=0)).leave(), [(0, CLOSE)])

    def test_fewer_bytes(self) -> None:
        """A connection that ends before is not affected."""
        it = line(LimitData(bytes=5))
        it.put(0, b"abc", EOF)
        self.assertEqual((it.leave(), it.injected_names), ([(0, b"abc"), (0, EOF)], []))

    def test_a_larger_limit_while_it_waits(self) -> None:
        """What has passed counts."""
        it = line(LimitData(bytes=5))
        it.put(0, b"abc")
        it.run(0)
        it.owners[0].change(bytes=7)
        it.put(1, b"defghi")
        self.assertEqual(it.leave()[1:], [(1, b"defg"), (1, CLOSE)])


class ResetPeerTests(SynchronousTestCase):
    """A number of bytes, then a reset."""

    def test_at_once(self) -> None:
        """Without parameters, nothing passes."""
        it = line(ResetPeer())
        it.put(0, b"a")
        self.assertEqual(it.leave(), [(0, RESET)])

    def test_after_bytes_and_a_delay(self) -> None:
        """The delay begins with the last byte; what comes later does not pass."""
        it = line(ResetPeer(bytes=2, delay=3))
        it.put(1, b"abc")
        it.put(2, b"d", EOF)
        self.assertEqual(it.leave(), [(1, b"ab"), (4, RESET)])

    def test_a_removal_before_the_reset(self) -> None:
        """Nothing is lost."""
        it = line(ResetPeer(bytes=2, delay=3))
        it.put(1, b"abc")
        it.put(2, b"d")
        it.use([], 2.5)
        self.assertEqual(joined(piece for _, piece in it.leave()), b"abcd")


class TimeoutTests(SynchronousTestCase):
    """Silence, then a close."""

    def test_it_closes_under_traffic(self) -> None:
        """Bytes that arrive all the time change nothing."""
        it = line(Timeout(seconds=2))
        for tick in range(25):
            it.put(tick / 10, b".")
        self.assertEqual(it.leave(), [(2, CLOSE)])

    def test_it_closes_without_traffic(self) -> None:
        """Nothing needs to arrive."""
        self.assertEqual(line(Timeout(seconds=2)).leave(), [(2, CLOSE)])

    def test_a_change_of_the_time(self) -> None:
        """The time counts from the same beginning."""
        it = line(Timeout(seconds=10))
        it.run(3)
        it.owners[0].change(seconds=5)
        self.assertEqual(it.leave(), [(5, CLOSE)])

    def test_a_removal(self) -> None:
        """What was held is handed on."""
        it = line(Timeout(seconds=0))
        it.put(1, b"abc", EOF)
        self.assertEqual(it.leave(0.5), [])
        it = line(Timeout(seconds=5))
        it.put(1, b"abc", EOF)
        it.use([], 2)
        self.assertEqual([piece for _, piece in it.leave()], [b"abc", EOF])

    def test_without_a_time_it_ends_with_the_sender(self) -> None:
        """Otherwise the connection would stay for ever."""
        for ending, expected in ((EOF, CLOSE), (CLOSE, CLOSE), (RESET, RESET)):
            it = line(Timeout(seconds=0))
            it.put(1, b"abc")
            self.assertEqual(it.leave(100), [])
            it.put(200, ending)
            self.assertEqual(it.leave(), [(200, expected)])

    def test_without_a_time_it_takes_whatever_comes(self) -> None:
        """Only so the sender's end is noticed; what it keeps is bounded."""
        for ending, expected in ((EOF, CLOSE), (RESET, RESET)):
            it = line(Timeout(seconds=0))
            for _ in range(100):
                it.put(1, b"x" * 4096)
                self.assertFalse(it.line.is_full)
            self.assertLessEqual(it.line.held, STAGE_BYTES + 4096)
            it.put(2, ending)
            self.assertEqual(it.leave(), [(2, expected)])

    def test_a_removal_after_bytes_were_dropped(self) -> None:
        """What was kept is handed on, then both connections are reset: nothing is left out."""
        for gone in ("removed", "changed", "over"):
            it = line(Timeout(seconds=0), for_=3 if gone == "over" else None)
            for number in range(100):
                it.put(1, bytes([number]) * 4096)
            if gone == "removed":
                it.use([], 2)
            elif gone == "changed":
                it.owners[0].change(seconds=2)
            left = [piece for _, piece in it.leave()]
            if gone == "changed":
                self.assertEqual(left, [CLOSE])
                continue
            self.assertIs(left[-1], RESET)
            kept = range(len(left) - 1)
            self.assertEqual(joined(left[:-1]), b"".join(bytes([it]) * 4096 for it in kept))
            self.assertGreater(len(left), 10)

    def test_before_it_begins(self) -> None:
        """Bytes that wait for the receiver stop the sender, as without the fault."""
        it = line(Timeout(seconds=0), after=9)
        it.line.block()
        for _ in range(20):
            it.put(0, b"x" * 4096)
        self.assertTrue(it.line.is_full)

    def test_a_change_to_no_time(self) -> None:
        """A full stage takes whatever comes from then on."""
        it = line(Timeout(seconds=99))
        for _ in range(20):
            it.put(0, b"x" * 4096)
        self.assertTrue(it.line.is_full)
        it.owners[0].change(seconds=0)
        self.assertFalse(it.line.is_full)
        it.put(1, b"y", EOF)
        self.assertEqual(it.leave(), [(1, CLOSE)])


class OtherTests(SynchronousTestCase):
    """Blackhole, slow_close and corrupt."""

    def test_a_blackhole_drops_bytes(self) -> None:
        """Endings pass; nothing is kept."""
        it = line(Blackhole())
        it.put(0, b"abc")
        self.assertEqual(it.line.held, 0)
        it.put(1, b"def", EOF)
        it.put(2, RESET)
        self.assertEqual(it.leave(), [(1, EOF), (2, RESET)])

    def test_slow_close_delays_endings_only(self) -> None:
        """EOF and a close; bytes and a reset leave at once."""
        it = line(SlowClose(delay=3))
        it.put(0, b"abc", EOF)
        self.assertEqual(it.leave(), [(0, b"abc"), (3, EOF)])
        it = line(SlowClose(delay=3))
        it.put(0, CLOSE)
        self.assertEqual(it.leave(), [(3, CLOSE)])
        it = line(SlowClose(delay=3))
        it.put(0, RESET)
        self.assertEqual((it.leave(), it.injected_names), ([(0, RESET)], []))

    def test_corrupt_changes_some_bytes_of_each_piece(self) -> None:
        """As many as it says, or all; the length stays, and the seed decides."""
        found = []
        for _ in range(2):
            it = line(Corrupt(bytes=3))
            it.put(0, bytes(100), bytes(2), EOF)
            found.append(it.leave())
        self.assertEqual(found[0], found[1])
        (_, long), (_, short), end = found[0]
        assert isinstance(long, bytes)
        assert isinstance(short, bytes)
        self.assertEqual((len(long), 100 - long.count(0)), (100, 3))
        self.assertEqual((len(short), short.count(0)), (2, 0))
        self.assertEqual(end, (0, EOF))

    def test_a_noop_changes_nothing(self) -> None:
        """What comes leaves at once."""
        it = line(Noop())
        it.put(1, b"a")
        it.put(2, EOF)
        self.assertEqual(it.leave(), [(1, b"a"), (2, EOF)])

    def test_all_kinds_have_a_stage(self) -> None:
        """Each kind of a stream's fault was tested here: the kinds are these."""
        tested: set[type[Fault]] = {
            *(Latency, Bandwidth, Slicer, LimitData, ResetPeer),
            *(Timeout, Blackhole, SlowClose, Corrupt, Noop),
        }
        self.assertEqual({*STREAM_KINDS.values()}, tested)


class WindowTests(SynchronousTestCase):
    """When a fault begins, and when it ends."""

    def test_after_seconds(self) -> None:
        """What comes before is not affected."""
        it = line(Latency(delay=1), after=5)
        it.put(4, b"a")
        it.put(5, b"b")
        self.assertEqual(it.leave(), [(4, b"a"), (6, b"b")])

    def test_after_bytes(self) -> None:
        """The piece within which it begins is cut there."""
        it = line(Latency(delay=1), after_bytes=4)
        it.put(0, b"abc")
        it.put(1, b"def")
        self.assertEqual(it.leave(), [(0, b"abc"), (1, b"d"), (2, b"ef")])

    def test_after_exactly_these_bytes(self) -> None:
        """It begins although nothing follows."""
        it = line(ResetPeer(delay=3), after_bytes=3)
        it.put(2, b"abc")
        self.assertEqual(it.leave(), [(2, b"abc"), (5, RESET)])

    def test_before_it_has_begun_endings_pass(self) -> None:
        """A connection that ends before is not affected."""
        it = line(SlowClose(delay=3), after_bytes=3)
        it.put(2, b"ab", EOF)
        self.assertEqual(it.leave(), [(2, b"ab"), (2, EOF)])

    def test_for_seconds(self) -> None:
        """At its end, what waits leaves, and what comes later is not affected."""
        it = line(Latency(delay=10), after=1, for_=5)
        it.put(2, b"a")
        it.put(7, b"b")
        self.assertEqual(it.leave(), [(6, b"a"), (7, b"b")])

    def test_what_would_happen_after_its_end_does_not(self) -> None:
        """A timeout of ten seconds that lasts for five is a silence of five seconds."""
        it = line(Timeout(seconds=10), for_=5)
        it.put(1, b"a", EOF)
        self.assertEqual(it.leave(), [(5, b"a"), (5, EOF)])
        self.assertEqual(line(ResetPeer(delay=10), for_=5).leave(), [])

    def test_a_bandwidth_that_ends(self) -> None:
        """It gives its turn to others."""
        meter = Meter()
        first = Line([owner(Bandwidth(rate=1), meter, for_=2.5)])
        second = Line([owner(Bandwidth(rate=1), meter)])
        first.put(0, b"abcdef")
        self.assertEqual(first.leave(), [(1, b"a"), (2, b"b"), (2.5, b"cdef")])
        second.put(3, b"x")
        self.assertEqual(second.leave(), [(4, b"x")])

    def test_a_blackhole_for_a_while(self) -> None:
        """Only what comes within its time is dropped."""
        it = line(Blackhole(), after=1, for_=1)
        for second in range(4):
            it.put(second, b"%d" % second)
        self.assertEqual(joined(piece for _, piece in it.leave()), b"023")


class InjectedTests(SynchronousTestCase):
    """What is reported."""

    def test_once_when_it_first_affects_the_connection(self) -> None:
        """Not before it begins, and not again."""
        it = line(Latency(delay=1), after=5)
        it.put(4, b"a")
        self.assertEqual(it.injected_names, [])
        it.put(5, b"b", b"c")
        self.assertEqual(it.injected_names, ["it"])

    def test_endings_that_are_made(self) -> None:
        """Also where nothing has arrived."""
        for fault in (LimitData(bytes=0), ResetPeer(), Timeout(seconds=1)):
            it = line(fault)
            it.leave()
            self.assertEqual(it.injected_names, ["it"])
