"""Lines that are appended to a file; `tests.journal.test_jsonl` has what a journal shows of it."""

import os
from errno import ENOSPC
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from reqresp._line_file import MAX_BUFFER_SIZE, Content, LineFile
from tests.support.live import temporary

CONTENT = Content(
    "recording",
    "lines",
    lambda count: b"# %d lost\n" % count,
    lambda is_torn: b"\n# torn\n" if is_torn else b"# new\n",
)


class LineFileTests(SynchronousTestCase):
    """A file that begins with a line of its own."""

    def setUp(self) -> None:
        self.path = temporary(self) / "file"
        self.clock = Clock()
        self.room = 2**40
        self.real_write = os.write
        self.patch(os, "write", self.write)
        self.file = self.open()

    def write(self, file: int, data: Any) -> int:
        if not self.room:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        part = bytes(data[: self.room])
        self.room -= len(part)
        return self.real_write(file, part)

    def open(self) -> LineFile:
        file = LineFile(self.path, self.clock, CONTENT, flush_size=1)
        self.addCleanup(file.close)
        return file

    def test_it_begins_with_the_first_line(self) -> None:
        """The line is written with the first that is added, at once."""
        self.assertTrue(self.file.add(b"a\nb\n"))
        self.assertEqual(self.path.read_bytes(), b"# new\na\nb\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_incomplete_line_is_reported_to_the_content(self) -> None:
        """What a crash left can be told from a whole line."""
        self.path.write_bytes(b"old\nhal")
        file = self.open()
        file.add(b"a\n")
        self.assertEqual(self.path.read_bytes(), b"old\nhal\n# torn\na\n")

    def test_each_new_file_begins_so(self) -> None:
        """`reopen` says whether the file is a new one."""
        self.file.add(b"a\n")
        self.assertFalse(self.file.reopen())
        self.path.rename(self.path.with_name("old"))
        self.assertTrue(self.file.reopen())
        self.file.add(b"b\n")
        self.assertEqual(self.path.read_bytes(), b"# new\nb\n")

    def test_an_emptied_file_begins_anew(self) -> None:
        """As after ``copytruncate``; the rest of a line that was partly in it is lost."""
        self.file.add(b"a\n")
        os.truncate(self.path, 0)
        self.file.add(b"b\n")
        self.assertEqual(self.path.read_bytes(), b"# new\nb\n")
        self.room = 2
        self.file.add(b"cde\nf\n")
        os.truncate(self.path, 0)
        self.room = 2**40
        self.file.flush()
        self.assertEqual(self.path.read_bytes(), b"# new\nf\n# 1 lost\n")

    def test_a_file_that_is_still_empty_is_not_begun_twice(self) -> None:
        """Only what was written can be missing."""
        os.truncate(self.path, 0)
        self.file.begin_if_emptied()
        self.file.add(b"a\n")
        self.assertEqual(self.path.read_bytes(), b"# new\na\n")

    def test_lines_are_lost_while_the_disk_is_full(self) -> None:
        """`add` returns False, and the file says how many there were."""
        self.room = 0
        self.assertTrue(self.file.add(b"x" * MAX_BUFFER_SIZE + b"\n"))
        self.assertFalse(self.file.add(b"a\nb\n"))
        self.room = 2**40
        self.clock.advance(1)
        self.assertEqual(self.file.lost, 2)
        self.assertEqual(self.path.read_bytes().split(b"\n")[2:], [b"# 2 lost", b""])

    def test_discarded_lines_are_lost_except_the_rest_of_one(self) -> None:
        """A line that is partly written is completed."""
        self.file.add(b"a\n")
        self.room = 2
        self.file.add(b"bcd\ne\nf\n")
        self.assertEqual(self.path.read_bytes(), b"# new\na\nbc")
        self.file.discard()
        self.room = 2**40
        self.clock.advance(1)
        self.assertEqual(self.path.read_bytes(), b"# new\na\nbcd\n# 2 lost\n")

    def test_discarding_everything(self) -> None:
        """Without such a line, nothing is kept."""
        self.file.add(b"a\n")
        self.room = 0
        self.file.add(b"b\n")
        self.file.discard()
        self.assertEqual((self.file.waiting, self.file.lost), (0, 1))
