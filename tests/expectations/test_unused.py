"""What of a recording no client has asked for, as lines."""

import warnings
from unittest import TestCase

from reqresp.expectations.unused import (
    MAX_UNUSED,
    UnusedRecordingWarning,
    unused_lines,
    warn_unused,
)
from reqresp.recording.notation import parse
from reqresp.recording.replay import Replay, Replayer


def replayer(conversations: int) -> Replayer:
    """Return what replays so many conversations, from the file ``it.rec``."""
    text = "".join(f"-- {it}\n> {it}\\n\n< ok\\n\n" for it in range(1, conversations + 1))
    replay = Replay(parse(f"# reqresp recording 1\n{text}", "it.rec"))
    responder = replay.config().responder
    assert isinstance(responder, Replayer)
    return responder


class UnusedTests(TestCase):
    """The lines, and the warning that has them."""

    def test_no_more_than_a_few(self) -> None:
        """The first parts have a line each, and the number of the others is in the last one."""
        lines = unused_lines(replayer(MAX_UNUSED + 2))
        self.assertEqual(len(lines), MAX_UNUSED + 1)
        self.assertEqual(lines[0], r"unused: conversation 1 (it.rec:3), from b'1\n'")
        self.assertEqual(lines[-1], "unused: 2 more")

    def test_the_warning(self) -> None:
        """It is about the line that called, and there is none without lines."""

        def verify() -> None:
            warn_unused("it", [])
            warn_unused("it", ["unused: all"])

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            verify()
        [warning] = caught
        self.assertEqual((warning.category, warning.filename), (UnusedRecordingWarning, __file__))
        text = "reqresp it: not all of the recording was asked for\nunused: all"
        self.assertEqual(str(warning.message), text)
