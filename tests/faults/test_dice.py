"""The faults of one connection: which are injected, in which order, with what randomness."""

from collections.abc import Iterable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError
from reqresp.faults import (
    Corrupt,
    Fault,
    FaultInjector,
    Latency,
    LimitData,
    PlacedFault,
    ResetPeer,
    Slicer,
    SlowClose,
    StopReadingFault,
    Timeout,
)
from reqresp.steps import Abort, Close, Steps, StopReading, Wait
from tests.support.faults import PROPERTY, REPLY, SILENCE, Injected, raw, see

#: Faults with much randomness.
RANDOM: tuple[Fault, ...] = (
    Latency(delay=1, jitter=1, probability=0.5),
    Slicer(size=4, variation=3, probability=0.5),
    Corrupt(bytes=2, probability=0.5),
    Latency(delay=1, jitter=1, probability=0.5),
)


def run(
    order: Iterable[int], seed: int = 42, faults: Sequence[Fault] = RANDOM
) -> dict[int, list[tuple[Steps, tuple[str, ...]]]]:
    """Return the changed replies of connections, which answer in this *order* of their numbers."""
    injectors: dict[int, Injected] = {}
    changed: dict[int, list[tuple[Steps, tuple[str, ...]]]] = {}
    for number in order:
        injector = injectors.setdefault(number, Injected(faults, seed, number))
        changed.setdefault(number, []).append(injector.inject(REPLY))
    return changed


class FaultInjectorTests(SynchronousTestCase):
    """Faults that are injected on one connection."""

    def test_in_their_order(self) -> None:
        """Each fault gets the reply that the one before it left; the names are in that order."""
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

    def test_no_fault_applies(self) -> None:
        """A reply that no fault changes stays the same object, and no fault is named."""
        faults = [StopReadingFault(probability=0), LimitData(bytes=100), SlowClose(delay=1)]
        reply: Steps = (raw(b"Hello"),)
        changed, names = Injected(faults, 1, 1).inject(reply)
        self.assertIs(changed, reply)
        self.assertEqual(names, ())

    def test_a_fault_that_changes_nothing(self) -> None:
        """A fault that closes a reply which closes anyway is not named; the reply is the same."""
        reply: Steps = (Close(),)
        changed, names = Injected([LimitData(bytes=0)], 1, 1).inject(reply)
        self.assertIs(changed, reply)
        self.assertEqual(names, ())

    def test_each_counts_what_it_let_out(self) -> None:
        """A fault counts the bytes that it let through, whether or not it changed the reply."""
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
        """A fault does not count bytes that the fault before it removed."""
        injector = Injected([Timeout(seconds=1), LimitData(bytes=3)], 1, 1)
        for _ in range(3):
            self.assertEqual(injector.inject((raw(b"ab"),)), ((Wait(1), Close()), ("timeout",)))

    def test_some_of_them(self) -> None:
        """Only the given faults are injected, in the given order; the others count no bytes."""
        injector = Injected([LimitData(bytes=3), SlowClose(delay=1), StopReadingFault()], 1, 1)
        reply = raw(b"abcd"), Close()
        self.assertEqual(injector.inject(reply, ())[0], reply)
        self.assertEqual(
            injector.inject(reply, (2, 1)),
            ((StopReading(), raw(b"abcd"), Wait(1), Close()), ("stop_reading", "slow_close")),
        )
        self.assertEqual(injector.inject(reply, [0])[0], (raw(b"abc"), Close()))

    def test_after_bytes(self) -> None:
        """Replies pass as they are up to that byte, where one is cut, and from there it applies."""
        placed = PlacedFault("fault[0]", LimitData(bytes=2), after_bytes=7)
        injector = FaultInjector(1, 1, [placed])
        reply = raw(b"abc"), Wait(1), raw(b"de")
        self.assertEqual(injector.inject(reply), (reply, ()))
        cut = raw(b"ab"), raw(b"c"), Wait(1), raw(b"d"), Close()
        self.assertEqual(injector.inject(reply), (cut, ("limit_data",)))

    def test_after_bytes_at_the_end_of_a_reply(self) -> None:
        """The reply that reaches it passes whole, and the next is changed, silence included."""
        injector = FaultInjector(1, 1, [PlacedFault("fault[0]", ResetPeer(), after_bytes=6)])
        for _ in range(2):
            self.assertEqual(injector.inject((raw(b"abc"),)), ((raw(b"abc"),), ()))
        self.assertEqual(injector.inject((raw(b"abc"),)), ((Abort(),), ("reset_peer",)))

    def test_after_seconds(self) -> None:
        """It counts from when the fault came to the connection."""
        clock = Clock()
        early = PlacedFault("early", LimitData(bytes=0), after=2)
        late = PlacedFault("late", SlowClose(delay=1), after=2)
        injector = FaultInjector(1, 1, [early], clock.seconds)
        clock.advance(1)
        injector.use([late, early])
        reply = raw(b"abc"), Close()
        self.assertEqual(injector.inject(reply), (reply, ()))
        clock.advance(1)
        self.assertEqual(injector.inject(reply)[1], ("limit_data",))
        injector.use([late])
        self.assertEqual(injector.inject(reply), (reply, ()))
        clock.advance(1)
        self.assertEqual(injector.inject(reply)[1], ("slow_close",))

    def test_a_rule_s_fault_begins_later(self) -> None:
        """It counts the replies of its rule: their bytes, or seconds since the first of them."""
        clock = Clock()
        injector = FaultInjector(1, 1, now=clock.seconds)
        clock.advance(5)
        late = PlacedFault("late", SlowClose(delay=1), after=2)
        cut = PlacedFault("cut", ResetPeer(), after_bytes=4)
        reply = raw(b"abc"), Close()
        self.assertEqual(injector.inject(reply, [late, cut]), (reply, ()))
        self.assertEqual(injector.inject(reply), (reply, ()))
        clock.advance(2)
        slow = raw(b"abc"), Wait(1), Close()
        self.assertEqual(injector.inject(reply, [late]), (slow, ("slow_close",)))
        after = raw(b"a"), Abort()
        self.assertEqual(injector.inject(reply, [cut]), (after, ("reset_peer",)))
        self.assertEqual(injector.inject(reply, [cut]), ((Abort(),), ("reset_peer",)))
        self.assertEqual(injector.inject(reply, [late]), (slow, ("slow_close",)))

    def test_waiting_throws_the_same_dice(self) -> None:
        """A fault that has waited makes the same choices as one that has not."""
        half = Latency(delay=1, probability=0.5)
        waited = FaultInjector(1, 1, [PlacedFault("x", half, after_bytes=15)])
        other = FaultInjector(1, 1, [PlacedFault("x", half)])
        both = [
            [injector.inject((raw(b"abc"),))[1] for _ in range(50)] for injector in (waited, other)
        ]
        self.assertEqual(both[0][5:], both[1][5:])
        self.assertEqual(both[0][:5], [()] * 5)

    def test_wrong_windows(self) -> None:
        """Seconds and bytes exclude each other, and are not negative."""
        for window, message in (
            ({"after": 1, "after_bytes": 1}, "^after_bytes: expected one of after and after_bytes"),
            ({"after": -1}, "^after: expected seconds from 0"),
            ({"after_bytes": -1}, "^after_bytes: expected an integer >= 0"),
        ):
            with self.assertRaisesRegex(FieldError, message):
                PlacedFault("x", ResetPeer(), **window)  # type: ignore[arg-type]  # of each kind

    def test_silence(self) -> None:
        """Only faults that are placed on connect change silence, and latency does not."""
        timeout, latency = Timeout(seconds=1), Latency(delay=1)
        placed = [
            PlacedFault("a", timeout),
            PlacedFault("b", latency, on_connect=True),
            PlacedFault("c", timeout, on_connect=True),
        ]
        silence: Steps = (Wait(0),)
        for faults, changed in ((placed[:2], silence), (placed, (Wait(0), Wait(1), Close()))):
            injector = FaultInjector(1, 1, faults)
            self.assertEqual(injector.affects_silence, changed != silence)
            self.assertEqual(injector.inject(silence, is_silence=True)[0], changed)

    def test_a_fault_of_a_user(self) -> None:
        """A fault that is not in the table of kinds has the name of its class."""

        class Reverse(StopReadingFault):
            """A user's own fault."""

        self.assertEqual(Injected([Reverse()], 1, 1).inject(SILENCE)[1], ("Reverse",))

    def test_the_same_seed_is_the_same_run(self) -> None:
        """The same seed gives the same replies, and another seed gives others."""
        order = [1, 2, 3] * 10
        self.assertEqual(run(order), run(order))
        self.assertNotEqual(run(order), run(order, seed=43))

    def test_connections_have_dice_of_their_own(self) -> None:
        """Twelve connections get twelve different sequences of replies."""
        changed = run([*range(1, 13)] * 10)
        self.assertEqual(len({repr(replies) for replies in changed.values()}), 12)

    def test_numbers_do_not_run_into_each_other(self) -> None:
        """Fault 11 of connection 1 and fault 1 of connection 11 have different dice."""
        faults = [Latency(delay=1, jitter=1)] * 12
        delays = {
            see(Injected(faults, seed, number).inject(REPLY, [place])[0]).arrivals[0][0]
            for seed in (1, 11)
            for number in range(12)
            for place in range(12)
        }
        self.assertEqual(len(delays), 2 * 12 * 12)

    def test_faults_have_dice_of_their_own(self) -> None:
        """Two faults of the same kind are drawn independently of each other."""
        names = [changed for _, changed in run([1] * 100)[1]]
        both = sum(each.count("latency") == 2 for each in names)
        one = sum(each.count("latency") == 1 for each in names)
        self.assertTrue(10 <= both <= 40 <= one <= 60, (both, one))

    def test_what_others_do_changes_nothing(self) -> None:
        """Adding a fault, or changing its probability, does not change the dice of the others."""
        alone = Injected([RANDOM[0]], 42, 1)
        beside = Injected([RANDOM[0], *RANDOM[1:]], 42, 1)
        for _ in range(50):
            self.assertEqual(
                alone.inject(REPLY)[0][0] == REPLY[0], "latency" not in beside.inject(REPLY, [0])[1]
            )

    @given(st.lists(st.integers(1, 4), min_size=1, max_size=24), st.randoms(use_true_random=False))
    @PROPERTY
    def test_the_order_of_connections_changes_nothing(
        self, order: list[int], shuffler: Random
    ) -> None:
        """Each connection gets the same replies, however the connections are interleaved."""
        other = list(order)
        shuffler.shuffle(other)
        self.assertEqual(run(order), run(other))

    def test_the_same_in_every_process(self) -> None:
        """The dice do not depend on anything that differs between starts of Python."""
        injector = Injected([Corrupt(bytes=2), Latency(delay=1, jitter=1, probability=0.5)], 42, 7)
        self.assertEqual(
            [injector.inject((raw(b"Hello"),))[0] for _ in range(3)],
            [
                (raw(b"Hel\x83\x82"),),
                (Wait(1.8856694924524324), raw(b"\xf0ell\x86")),
                (raw(b"\xe7mllo"),),
            ],
        )
