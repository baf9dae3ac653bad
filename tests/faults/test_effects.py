"""What the journal shows of faults: how they delay a reply, and what they make of its bytes."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults import (
    Bandwidth,
    Corrupt,
    Latency,
    LimitData,
    SeededDice,
    Slicer,
    Timeout,
    effect_of,
)
from reqresp.faults.faults import Fault
from reqresp.steps import MAX_SLICES, Close, FaultEffect, Send, Steps, Wait

REPLY = (Wait(0.5), Send(b"hello", raw=True), Send(b" world", raw=True), Close())


def effect(fault: Fault, steps: Steps = REPLY) -> FaultEffect:
    """Return the effect of *fault* on *steps*."""
    return effect_of(steps, fault.apply(steps, SeededDice("0"), 0))


class EffectTests(SynchronousTestCase):
    """Effects of faults on a reply that itself waits and sends twice."""

    def test_a_delay(self) -> None:
        """The wait of the rule is not a delay of the fault."""
        self.assertEqual(effect(Latency(delay=0.25)), FaultEffect(delay=0.25))

    def test_slices(self) -> None:
        """Pieces are slices; the waits between them are a delay."""
        found = effect(Slicer(size=4, delay=0.01))
        self.assertEqual(found.slices, (4, 1, 4, 2))
        self.assertAlmostEqual(found.delay, 0.04)
        self.assertIsNone(found.data)

    def test_a_bandwidth(self) -> None:
        """A bandwidth sends slices, too, and delays each."""
        found = effect(Bandwidth(rate=40))
        self.assertEqual(found.slices, (2, 2, 1, 2, 2, 2))
        self.assertAlmostEqual(found.delay, 11 / 40)

    def test_many_slices(self) -> None:
        """The sizes of so many pieces as can be shown are kept."""
        found = effect(Slicer(size=1), (Send(b"x" * 1000, raw=True),))
        self.assertEqual(found.slices, (1,) * MAX_SLICES)
        self.assertEqual(found.size, 8 * MAX_SLICES)

    def test_other_bytes(self) -> None:
        """Bytes that are cut off or changed are kept as they are sent; frames are no slices."""
        self.assertEqual(effect(LimitData(bytes=7)), FaultEffect(data=b"hello w"))
        changed = effect(Corrupt(bytes=1)).data
        assert changed is not None
        self.assertEqual(sum(a != b for a, b in zip(changed, b"hello world", strict=True)), 1)

    def test_nothing_is_sent(self) -> None:
        """A timeout in place of a reply sends nothing, and takes the place of the rule's wait."""
        self.assertEqual(effect(Timeout(seconds=2)), FaultEffect(delay=2.0, data=b""))
