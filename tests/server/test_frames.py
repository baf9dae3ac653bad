"""Frames of a reply: where they end, and what it costs to know that after each step."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Line, Send, Steps, Wait
from reqresp.server._frames import Progress
from tests.support.framings import CountedLines


def pieces(data: bytes) -> Steps:
    """Return steps that send *data* one byte at a time."""
    return tuple(Send(bytes((byte,)), raw=True) for byte in data)


class ProgressTests(SynchronousTestCase):
    """`Progress`."""

    def test_within_a_frame(self) -> None:
        """It is so from the first byte of a frame until its last one is sent."""
        performed: Steps = (Wait(0), *pieces(b"a\r\nb\r\n"))
        progress = Progress((Send(b"a"), Send(b"b")), performed, Line())
        found = [progress.is_within(left) for left in range(7, -1, -1)]
        self.assertEqual(found, [False, False, True, True, False, True, True, False])

    def test_several_steps_at_once(self) -> None:
        """Steps that are performed between two looks are counted."""
        performed = pieces(b"a\r\nb\r\n")
        progress = Progress((Send(b"a"), Send(b"b")), performed, Line())
        self.assertEqual(
            [progress.is_within(left) for left in (5, 3, 3, 0)], [True, False, False, False]
        )

    def test_the_cost(self) -> None:
        """Each step is framed once before faults and once after them, however often one looks."""
        for count in (10, 100):
            framing = CountedLines()
            steps: Steps = (Send(b"a"),) * count
            progress = Progress(steps, steps, framing)
            for left in range(count - 1, -1, -1):
                self.assertEqual([progress.is_within(left) for _ in range(3)], [False] * 3)
            self.assertEqual(framing.encoded, 2 * count)
