"""The faults of one connection: which are injected, in which order, with what randomness."""

from collections.abc import Iterable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults import (
    Corrupt,
    Fault,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    StopReadingFault,
    Timeout,
)
from reqresp.steps import Close, Steps, StopReading, Wait
from tests.support.faults import PROPERTY, REPLY, SILENCE, Injected, raw, see

#: Faults that leave much to chance.
CHANCY: tuple[Fault, ...] = (
    Latency(delay=1, jitter=1, probability=0.5),
    Slicer(size=4, variation=3, probability=0.5),
    Corrupt(bytes=2, probability=0.5),
    Latency(delay=1, jitter=1, probability=0.5),
)


def run(
    order: Iterable[int], seed: int = 42, faults: Sequence[Fault] = CHANCY
) -> dict[int, list[tuple[Steps, tuple[str, ...]]]]:
    """The replies of connections, changed in this *order* of their numbers."""
    injectors: dict[int, Injected] = {}
    changed: dict[int, list[tuple[Steps, tuple[str, ...]]]] = {}
    for number in order:
        injector = injectors.setdefault(number, Injected(faults, seed, number))
        changed.setdefault(number, []).append(injector.inject(REPLY))
    return changed


class LuckTests(SynchronousTestCase):
    """The faults of a connection."""

    def test_in_their_order(self) -> None:
        """Each strikes what the one before it left, and each that changed something is named."""
        faults = [SlowClose(delay=1), LimitData(bytes=3), Timeout(seconds=1, probability=0)]
        self.assertEqual(
            Injected(faults, 1, 1).inject((raw(b"Hello"),)),
            ((raw(b"Hel"), Close()), ("limit_data",)),
        )
        faults = [faults[1], faults[0]]
        self.assertEqual(
            Injected(faults, 1, 1).inject((raw(b"Hello"),)),
            ((raw(b"Hel"), Wait(1), Close()), ("limit_data", "slow_close")),
        )

    def test_no_fault_struck(self) -> None:
        """The reply is the same object."""
        faults = [StopReadingFault(probability=0), LimitData(bytes=100), SlowClose(delay=1)]
        reply: Steps = (raw(b"Hello"),)
        changed, names = Injected(faults, 1, 1).inject(reply)
        self.assertIs(changed, reply)
        self.assertEqual(names, ())

    def test_a_strike_that_shows_nothing(self) -> None:
        """To close what closes anyway is no fault: nothing is named, the reply stays the same."""
        reply: Steps = (Close(),)
        changed, names = Injected([LimitData(bytes=0)], 1, 1).inject(reply)
        self.assertIs(changed, reply)
        self.assertEqual(names, ())

    def test_each_counts_what_it_let_out(self) -> None:
        """Not what another held back, and changed or not."""
        faults = [ResetPeer(bytes=8), LimitData(bytes=3, probability=0), LimitData(bytes=7)]
        injector = Injected(faults, 1, 1)
        replies = [injector.inject((raw(b"abc"),)) for _ in range(3)]
        self.assertEqual(
            replies,
            [
                ((raw(b"abc"),), ()),
                ((raw(b"abc"),), ()),
                ((raw(b"a"), Close()), ("reset_peer", "limit_data")),
            ],
        )

    def test_each_counts_what_the_one_before_left(self) -> None:
        """What was swallowed never came to the second."""
        injector = Injected([Timeout(seconds=1), LimitData(bytes=3)], 1, 1)
        for _ in range(3):
            self.assertEqual(injector.inject((raw(b"ab"),)), ((Wait(1), Close()), ("timeout",)))

    def test_some_of_them(self) -> None:
        """Those that are asked, in the order in which they are; the others count nothing."""
        injector = Injected([LimitData(bytes=3), SlowClose(delay=1), StopReadingFault()], 1, 1)
        reply = raw(b"abcd"), Close()
        self.assertEqual(injector.inject(reply, ())[0], reply)
        self.assertEqual(
            injector.inject(reply, (2, 1)),
            ((StopReading(), raw(b"abcd"), Wait(1), Close()), ("stop_reading", "slow_close")),
        )
        self.assertEqual(injector.inject(reply, [0])[0], (raw(b"abc"), Close()))

    def test_a_kind_of_somebody_else(self) -> None:
        """A fault that is in no table goes by the name of its class."""

        class Reverse(StopReadingFault):
            """Somebody's own."""

        self.assertEqual(Injected([Reverse()], 1, 1).inject(SILENCE)[1], ("Reverse",))

    def test_the_same_seed_is_the_same_run(self) -> None:
        """To the bit, and another seed is another run."""
        order = [1, 2, 3] * 10
        self.assertEqual(run(order), run(order))
        self.assertNotEqual(run(order), run(order, seed=43))

    def test_connections_have_luck_of_their_own(self) -> None:
        """They do not all see the same."""
        changed = run([*range(1, 13)] * 10)
        self.assertEqual(len({repr(replies) for replies in changed.values()}), 12)

    def test_numbers_do_not_run_into_each_other(self) -> None:
        """The eleventh fault on connection 1 is not the first on connection 11, nor any other."""
        faults = [Latency(delay=1, jitter=1)] * 12
        delays = {
            see(Injected(faults, seed, number).inject(REPLY, [place])[0]).arrivals[0][0]
            for seed in (1, 11)
            for number in range(12)
            for place in range(12)
        }
        self.assertEqual(len(delays), 2 * 12 * 12)

    def test_faults_have_luck_of_their_own(self) -> None:
        """Two of the same kind do not strike as one."""
        names = [changed for _, changed in run([1] * 100)[1]]
        both = sum(each.count("latency") == 2 for each in names)
        one = sum(each.count("latency") == 1 for each in names)
        self.assertTrue(10 <= both <= 40 <= one <= 60, (both, one))

    def test_what_others_do_changes_nothing(self) -> None:
        """A fault that was added behind, or made unlikely, leaves the luck of the rest alone."""
        alone = Injected([CHANCY[0]], 42, 1)
        beside = Injected([CHANCY[0], *CHANCY[1:]], 42, 1)
        for _ in range(50):
            self.assertEqual(
                alone.inject(REPLY)[0][0] == REPLY[0], "latency" not in beside.inject(REPLY, [0])[1]
            )

    @given(st.lists(st.integers(1, 4), min_size=1, max_size=24), st.randoms(use_true_random=False))
    @PROPERTY
    def test_the_order_of_connections_changes_nothing(
        self, order: list[int], shuffler: Random
    ) -> None:
        """However they are interleaved, each sees what it would see alone."""
        other = list(order)
        shuffler.shuffle(other)
        self.assertEqual(run(order), run(other))

    def test_the_same_in_every_process(self) -> None:
        """Nothing hangs on what differs from one start of Python to the next."""
        injector = Injected([Corrupt(bytes=2), Latency(delay=1, jitter=1, probability=0.5)], 42, 7)
        self.assertEqual(
            [injector.inject((raw(b"Hello"),))[0] for _ in range(3)],
            [
                (raw(b"Hel\x83\x82"),),
                (Wait(1.8856694924524324), raw(b"\xf0ell\x86")),
                (raw(b"\xe7mllo"),),
            ],
        )
