"""Pieces on their way through several faults, which come, change and go."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults import (
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
from reqresp.faults.stages import LATENCY_BYTES, PIECE_BYTES, STAGE_BYTES, Ending, Piece
from tests.support.lines import Line, Owner, joined, owner

EOF, CLOSE, RESET = Ending.EOF, Ending.CLOSE, Ending.RESET


class ChainTests(SynchronousTestCase):
    """Faults one after another."""

    def test_each_gets_what_the_one_before_lets_through(self) -> None:
        """A slow line after a long one."""
        it = Line([owner(Latency(delay=1)), owner(Bandwidth(rate=2))])
        it.put(0, b"ab")
        it.put(5, b"c", EOF)
        self.assertEqual(it.leave(), [(1.5, b"a"), (2, b"b"), (6.5, b"c"), (6.5, EOF)])

    def test_an_ending_that_a_fault_makes_passes_the_faults_after_it(self) -> None:
        """It does not overtake bytes."""
        it = Line([owner(LimitData(bytes=2)), owner(Latency(delay=3))])
        it.put(1, b"abc")
        self.assertEqual(it.leave(), [(4, b"ab"), (4, CLOSE)])

    def test_a_fault_that_is_full_stops_those_before_it(self) -> None:
        """And then the line accepts no more; the rest waits where it is."""
        it = Line([owner(Latency(delay=1)), owner(Bandwidth(rate=1000))])
        piece = bytes(STAGE_BYTES // 2)
        count = 0
        while not it.line.is_full:
            it.put(count / 1000, piece)
            count += 1
        it.run(10)
        slow = STAGE_BYTES + len(piece)
        self.assertLessEqual(it.line.held, LATENCY_BYTES + slow)
        self.assertGreater(it.line.held, LATENCY_BYTES - slow)
        self.assertEqual(len(joined(p for _, p in it.left)) // 1000, 9 - 1)

    def test_a_line_that_is_late_catches_up(self) -> None:
        """Whatever passes several faults arrives when it would arrive if nobody was late."""
        faults = [Latency(delay=1), Slicer(size=7, delay=0.01), Bandwidth(rate=100)]
        prompt, late = (Line([owner(fault) for fault in faults]) for _ in range(2))
        for it in (prompt, late):
            it.put(0, bytes(500))
        prompt.run(5.5)
        while (piece := late.line.take(5.5)) is not None:
            late.left.append((0, piece))
        self.assertEqual(joined(p for _, p in late.left), joined(p for _, p in prompt.left))
        self.assertEqual(late.leave()[-1], prompt.leave()[-1])


class ChangeTests(SynchronousTestCase):
    """Faults that come and go while bytes are on their way."""

    def test_a_fault_that_is_added_holds_for_what_comes_next(self) -> None:
        """Also for what is still before it."""
        first = owner(Latency(delay=1))
        it = Line([first])
        it.put(0, b"a")
        it.use([first, owner(SlowClose(delay=5))], 0.5)
        it.put(0.5, EOF)
        self.assertEqual(it.leave(), [(1, b"a"), (6.5, EOF)])

    def test_a_fault_that_is_removed_hands_on_what_it_holds(self) -> None:
        """To the fault after it, or out."""
        first, second = owner(Timeout(seconds=0)), owner(Latency(delay=1))
        it = Line([first, second])
        it.put(0, b"a")
        it.use([second], 3)
        it.put(3, b"b")
        self.assertEqual(it.leave(3.5), [])
        it.use([], 3.5)
        it.put(3.5, b"c")
        self.assertEqual([piece for _, piece in it.leave()], [b"a", b"b", b"c"])
        self.assertTrue(it.line.is_idle)

    def test_a_fault_that_is_replaced_again_and_again(self) -> None:
        """What is handed on fills the fault after it; then no more is accepted until that left."""
        second = owner(Bandwidth(rate=0))
        it = Line([owner(Latency(delay=10**6)), second])
        most = LATENCY_BYTES + 2 * STAGE_BYTES
        for number in range(5):
            while not it.line.is_full:
                it.put(number, bytes(STAGE_BYTES))
            self.assertLessEqual(it.line.held, most)
            it.use([owner(Latency(delay=10**6)), second], number)
        second.change(rate=10**9)
        it.run(10)
        self.assertEqual((it.line.held, it.line.is_full), (0, False))

    def test_what_was_handed_on_leaves_before_all_else(self) -> None:
        """Where it cannot leave at once, and new faults are added meanwhile."""
        it = Line([owner(Latency(delay=10))])
        it.line.block()
        it.put(0, b"a", b"b")
        it.use([], 1)
        it.use([owner(Latency(delay=0))], 2)
        it.put(2, b"c")
        self.assertEqual((it.leave(), it.line.is_full), ([], True))
        it.line.unblock(5)
        self.assertEqual(it.leave(), [(5, b"a"), (5, b"b"), (5, b"c")])

    def test_a_line_that_is_stopped_holds_nothing(self) -> None:
        """Nor does it accept pieces."""
        it = Line([owner(Latency(delay=10))])
        it.put(0, b"a")
        it.line.stop()
        self.assertEqual((it.line.held, it.line.is_idle), (0, True))


class BlockTests(SynchronousTestCase):
    """What takes the pieces accepts no more."""

    def test_bytes_wait(self) -> None:
        """Time in which nothing could leave is not made up for."""
        it = Line([owner(Bandwidth(rate=10))])
        it.put(0, b"abc")
        it.run(0.1)
        it.line.block()
        self.assertEqual(it.leave(50), [(0.1, b"a")])
        it.line.unblock(50)
        self.assertEqual(it.leave(), [(50, b"b"), (50.1, b"c")])

    def test_endings_leave(self) -> None:
        """They take no room: a timeout closes a connection whose client does not read."""
        for fault, ending in ((Timeout(seconds=2), CLOSE), (ResetPeer(delay=2), RESET)):
            it = Line([owner(fault)])
            it.line.block()
            it.put(0, b"abc")
            self.assertEqual(it.leave(), [(2, ending)])

    def test_endings_wait_for_the_bytes_before_them(self) -> None:
        """Order is kept."""
        it = Line([owner(Latency(delay=1))])
        it.line.block()
        it.put(0, b"abc", RESET)
        self.assertEqual(it.leave(100), [])
        it.line.unblock(100)
        self.assertEqual(it.leave(), [(100, b"abc"), (100, RESET)])


# The model


TIMES = st.sampled_from((0.0, 0.001, 0.1, 1.0, 7.5))
#: Faults that lose nothing.
LOSSLESS: st.SearchStrategy[Fault] = st.one_of(
    st.builds(Latency, delay=TIMES, jitter=TIMES),
    st.builds(Bandwidth, rate=st.sampled_from((1_000, 30_000, 10**9))),
    st.builds(Slicer, size=st.sampled_from((200, 9000)), variation=st.sampled_from((0, 150))),
    st.builds(SlowClose, delay=TIMES),
    st.builds(Timeout, seconds=st.just(0.0)),
    st.builds(Noop),
)
#: Faults that end the connection after so many bytes.
CUTTING: st.SearchStrategy[Fault] = st.one_of(
    st.builds(LimitData, bytes=st.integers(0, 100_000)),
    st.builds(ResetPeer, bytes=st.integers(0, 100_000), delay=TIMES),
    st.builds(Timeout, seconds=TIMES),
)
WINDOWS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"after": TIMES, "for_": TIMES}),
    st.fixed_dictionaries({"after_bytes": st.integers(0, 50_000), "for_": TIMES}),
)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 70_000)),
        st.tuples(st.just("pass time"), TIMES),
        st.tuples(st.just("add"), st.tuples(LOSSLESS, WINDOWS)),
        st.tuples(st.just("change"), st.integers(0, 9)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("replace"), st.tuples(st.integers(0, 9), LOSSLESS, WINDOWS)),
        st.tuples(st.just("block"), st.booleans()),
    ),
    max_size=25,
)
#: The same without those that change which faults there are.
STEADY = ACTIONS.map(
    lambda actions: [it for it in actions if it[0] in ("put", "pass time", "change", "block")]
)
STREAM = bytes(range(251)) * 8000


class Played:
    """A line that does what a list of actions says, and whose source pauses when it is full."""

    def __init__(self, faults: list[tuple[Fault, dict[str, Any]]]) -> None:
        self.now = 0.0
        self.sent = 0
        self.meter = Meter()
        self.line = Line([self.owner(*it) for it in faults])

    def owner(self, fault: Fault, window: dict[str, Any]) -> Owner:
        meter = self.meter if isinstance(fault, Bandwidth) and fault.rate > 1_000 else None
        return owner(fault, meter, f"fault {self.now}", **window)

    def finish(self, ending: Ending) -> list[tuple[float, Piece]]:
        """End the line, let everything leave, and return all that has left."""
        self.line.put(self.now, ending)
        self.line.line.unblock(self.now)
        return self.line.leave()

    def perform(self, what: str, value: Any) -> None:
        line = self.line
        match what:
            case "put" if not line.line.is_full:
                line.put(self.now, STREAM[self.sent : self.sent + value])
                self.sent += value
            case "pass time":
                self.now += value
                line.run(self.now)
            case "add":
                line.use([*line.owners, self.owner(*value)], self.now)
            case "change" if line.owners:
                it = line.owners[value % len(line.owners)]
                if isinstance(it.directed.fault, Latency):
                    it.change(delay=value)
                elif isinstance(it.directed.fault, Bandwidth):
                    it.change(rate=(value + 1) * 10_000)
            case "remove" if line.owners:
                place = value % len(line.owners)
                line.use(line.owners[:place] + line.owners[place + 1 :], self.now)
            case "replace" if line.owners:
                place, *fault = value
                place %= len(line.owners)
                new = self.owner(*fault)
                line.use([*line.owners[:place], new, *line.owners[place + 1 :]], self.now)
            case "block" if value:
                line.line.block()
            case "block":
                line.line.unblock(self.now)
        line.run(self.now)

    def most(self) -> int:
        """Return how many bytes may be held: a stage may be over its capacity by one piece."""
        latencies = sum(isinstance(it.directed.fault, Latency) for it in self.line.owners)
        others = len(self.line.owners) - latencies
        return 70_000 + latencies * (LATENCY_BYTES + 70_000) + others * (STAGE_BYTES + 70_000)


class ModelTests(SynchronousTestCase):
    """Any pieces, any faults, any changes at any time."""

    @settings(deadline=None, derandomize=True, max_examples=120)
    @given(st.lists(st.tuples(LOSSLESS, WINDOWS), max_size=3), ACTIONS)
    def test_nothing_is_lost_repeated_or_reordered(
        self, faults: list[tuple[Fault, dict[str, Any]]], actions: list[tuple[str, Any]]
    ) -> None:
        """What leaves is the beginning of what was put in, and all of it once faults are gone."""
        played = Played(faults)
        line = played.line
        for action in actions:
            played.perform(*action)
            left = joined(piece for _, piece in line.left)
            self.assertEqual(left, STREAM[: len(left)])
            self.assertEqual(line.line.held, played.sent - len(left))
        line.put(played.now, EOF)
        line.line.unblock(played.now)
        line.use([], played.now)
        pieces = [piece for _, piece in line.leave()]
        self.assertEqual(joined(pieces), STREAM[: played.sent])
        self.assertIs(pieces[-1], EOF)
        self.assertTrue(line.line.is_idle)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.lists(st.tuples(LOSSLESS, WINDOWS), max_size=4), ACTIONS)
    def test_little_is_held(
        self, faults: list[tuple[Fault, dict[str, Any]]], actions: list[tuple[str, Any]]
    ) -> None:
        """A source that pauses when the line is full fills each stage; no change makes it more."""
        played = Played(faults)
        line = played.line.line
        for action in actions * 4:
            held = line.held
            played.perform(*action)
            self.assertLessEqual(line.held, max(held, played.most()))

    @settings(deadline=None, derandomize=True, max_examples=120)
    @given(
        st.lists(st.tuples(st.one_of(LOSSLESS, CUTTING), WINDOWS), max_size=4),
        ACTIONS,
        st.sampled_from(Ending),
    )
    def test_any_ending_comes_last(
        self,
        faults: list[tuple[Fault, dict[str, Any]]],
        actions: list[tuple[str, Any]],
        ending: Ending,
    ) -> None:
        """A line that was ended leaves one ending that ends both directions, and nothing after."""
        played = Played(faults)
        for action in actions:
            played.perform(*action)
        line = played.line
        line.put(played.now, ending)
        line.line.unblock(played.now)
        pieces = [piece for _, piece in line.leave()]
        left = joined(pieces)
        self.assertEqual(left, STREAM[: len(left)])
        first = next(at for at, piece in enumerate(pieces) if isinstance(piece, Ending))
        self.assertEqual(joined(pieces[first:]), b"")
        ends = [piece for piece in pieces if piece in (CLOSE, RESET)]
        self.assertLessEqual(len(ends), 1)
        if ending is not EOF:
            self.assertEqual(pieces[-1:], ends)

    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(
        st.lists(st.tuples(st.one_of(LOSSLESS, CUTTING), WINDOWS), max_size=3),
        STEADY,
        st.integers(1, 300),
        st.sampled_from(Ending),
    )
    def test_corruption_changes_bytes_alone(
        self,
        faults: list[tuple[Fault, dict[str, Any]]],
        actions: list[tuple[str, Any]],
        count: int,
        ending: Ending,
    ) -> None:
        """The same pieces leave at the same times, and so many bytes of each are changed."""
        plain, corrupted = (Played([*faults, (it, {})]) for it in (Noop(), Corrupt(bytes=count)))
        for played in (plain, corrupted):
            for action in actions:
                played.perform(*action)
        pieces = [it.finish(ending) for it in (plain, corrupted)]
        times = [[at for at, _ in it] for it in pieces]
        self.assertEqual(times[0], times[1])
        for (_, before), (_, after) in zip(*pieces, strict=True):
            if isinstance(before, Ending) or isinstance(after, Ending):
                self.assertIs(after, before)
                continue
            changed = sum(a != b for a, b in zip(before, after, strict=True))
            self.assertEqual(changed, min(count, len(before)))

    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(
        st.lists(st.tuples(LOSSLESS, WINDOWS), max_size=3),
        STEADY,
        st.integers(0, 3),
        st.sampled_from(Ending),
    )
    def test_a_blackhole_lets_endings_through_alone(
        self,
        faults: list[tuple[Fault, dict[str, Any]]],
        actions: list[tuple[str, Any]],
        place: int,
        ending: Ending,
    ) -> None:
        """Whatever faults are before it and after it; nothing is held in the end."""
        played = Played([*faults[:place], (Blackhole(), {}), *faults[place:]])
        for action in actions:
            played.perform(*action)
        pieces = [piece for _, piece in played.finish(ending)]
        self.assertEqual(joined(pieces), b"")
        self.assertIsInstance(pieces[-1], Ending)
        self.assertEqual(played.line.line.held, 0)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(
        st.lists(st.tuples(st.one_of(LOSSLESS, CUTTING), WINDOWS), min_size=1, max_size=3),
        st.lists(st.integers(1, 5000), min_size=1, max_size=5),
    )
    def test_timers_that_are_late_change_nothing(
        self, faults: list[tuple[Fault, dict[str, Any]]], sizes: list[int]
    ) -> None:
        """Asked at every moment or once in a while, as many bytes have left at that time."""
        prompt, late = Played(faults).line, Played(faults).line
        for line in (prompt, late):
            for size in sizes:
                line.line.put(STREAM[:size], 0)
        for time in (0.0007, 0.05, 0.7, 3.0, 40.0):
            prompt.run(time)
            while (piece := late.line.take(time)) is not None:
                late.left.append((time, piece))
            self.assertEqual(
                [joined(piece for _, piece in line.left) for line in (late,)],
                [joined(piece for _, piece in line.left) for line in (prompt,)],
            )
            self.assertEqual(prompt.line.held, late.line.held)


class StageSizeTests(SynchronousTestCase):
    """What a stage may hold."""

    def test_small_pieces_count_more_than_their_bytes(self) -> None:
        """A slicer makes no more pieces than memory for large ones would take."""
        slicer = owner(Slicer(size=1))
        it = Line([slicer, owner(Latency(delay=10**6))])
        for _ in range(3):
            it.put(0, bytes(20_000))
        it.run(100)
        it.use([slicer], 100)
        waiting = [piece for at, piece in it.leave(101) if at <= 0]
        most = LATENCY_BYTES // PIECE_BYTES
        self.assertTrue(most - 100 < len(waiting) <= most, len(waiting))
