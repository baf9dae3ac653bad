"""
Fuzzing: any text is a recording, or has problems with one line each.

``python -m tests.recording.test_fuzz 20000`` tries 20,000 random examples of each kind.  The test
suite tries a few, always the same ones.
"""

import os
import re
import sys
import unittest

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.recording import RecordingError, parse, write

EXAMPLES = int(sys.argv[1]) if __name__ == "__main__" else 0
PROPERTY = settings(deadline=None, derandomize=not EXAMPLES, max_examples=EXAMPLES or 150)

HEADER = "# reqresp recording 1"
#: What lines consist of.
PIECES = [
    *(
        "-- ",
        "1",
        "0",
        "> ",
        "< ",
        ">",
        "<",
        "eof",
        "reset",
        "base64 ",
        "AAE=",
        "(0.2 s)",
        "(",
        " s)",
    ),
    *(
        "\\",
        "\\<a>",
        "\\<a:4>",
        "\\<",
        "\\x4",
        "\\n",
        "#",
        " ",
        "\r",
        "\x85",
        "\u2028",
        "\udcff",
        "é",
    ),
    *(HEADER, " of=\\", " at=a", "9" * 30, "\0", "text"),
]
LINES = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=5).map("".join)
TEXTS = st.lists(LINES, max_size=12).map("\n".join)


class FuzzTests(SynchronousTestCase):
    """Text that nobody meant."""

    @PROPERTY
    @given(TEXTS, st.booleans())
    def test_any_text(self, text: str, has_header: bool) -> None:
        """Each problem is one line with the place, and what was read can be written."""
        text = f"{HEADER}\n{text}" if has_header else text
        try:
            recording = parse(text, "a.rec")
        except RecordingError as error:
            for line in str(error).split("\n"):
                self.assertTrue(re.fullmatch(r"a\.rec:[0-9]+: .+", line), line)
                self.assertTrue(line.isprintable(), line)
            return
        again = parse(os.fsdecode(write(recording)), "a.rec")
        self.assertEqual(
            [it.events for it in again.conversations],
            [it.events for it in recording.conversations],
        )

    def test_large_files_take_linear_time(self) -> None:
        """Many lines, marks, conversations or problems: no part of the work is done again."""
        many = 10_000
        for text in (
            "> a\n" * many,
            "> " + "\\<a>b" * many + "\n",
            "> " + "\\" * many + "\n",
            "".join(f"-- {it}\n> a\n" for it in range(1, many)),
            f"-- 1\n> a\n{HEADER}\n" * many,
            "?\n" * many,
            ">eof\n<eof\n(1 s)\n" * many,
        ):
            try:
                parse(f"{HEADER}\n{text}")
            except RecordingError as error:
                self.assertLess(len(str(error)), 20_000)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
