"""Files that change, on a clock of the test."""

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.watching import INTERVAL, FileWatcher
from tests.support.live import temporary


class FileWatcherTests(SynchronousTestCase):
    """`FileWatcher` calls once for each change."""

    def setUp(self) -> None:
        self.directory = temporary(self)
        self.path = self.write("one", "a")
        self.files = [self.path]
        self.calls = 0
        self.clock = Clock()
        self.watcher = FileWatcher(lambda: self.files, self.changed, self.clock)
        self.watcher.start()
        self.addCleanup(self.watcher.stop)

    def changed(self) -> None:
        self.calls += 1

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        return path

    def looked(self, times: int = 1) -> int:
        """Let it look at the files so many times; return how often it has called."""
        self.clock.pump([INTERVAL] * times)
        return self.calls

    def test_no_change(self) -> None:
        """Files that stay as they are cause nothing."""
        self.assertEqual(self.looked(10), 0)

    def test_a_change(self) -> None:
        """A change is followed by one call, one interval after the last of it."""
        self.write("one", "ab")
        self.assertEqual(self.looked(), 0)
        self.write("one", "abc")
        self.assertEqual(self.looked(), 0)
        self.assertEqual(self.looked(), 1)
        self.assertEqual(self.looked(10), 1)

    def test_same_size(self) -> None:
        """A file that was written again, or replaced, has changed, whatever its size."""
        os.utime(self.path, ns=(0, 0))
        self.assertEqual(self.looked(2), 1)
        self.write("other", "b").replace(self.path)
        os.utime(self.path, ns=(0, 0))
        self.assertEqual(self.looked(2), 2)

    def test_changed_back(self) -> None:
        """A file that is as it was has not changed."""
        other = self.path.rename(self.directory / "other")
        self.assertEqual(self.looked(), 0)
        other.rename(self.path)
        self.assertEqual(self.looked(3), 0)

    def test_missing(self) -> None:
        """A file that is gone causes nothing until there is one again."""
        self.path.unlink()
        self.assertEqual(self.looked(5), 0)
        self.write("one", "a new one")
        self.assertEqual(self.looked(2), 1)

    def test_a_file_that_was_never_there(self) -> None:
        """It does not keep others from being used, and is a change once it is there."""
        self.files = [self.path, self.directory / "two"]
        self.assertEqual(self.looked(3), 0)
        self.write("one", "changed")
        self.assertEqual(self.looked(2), 1)
        self.write("two", "new")
        self.assertEqual(self.looked(2), 2)

    def test_files_that_are_named_later(self) -> None:
        """A file is watched from when it is named, and until it is not."""
        self.files = [self.path, self.write("two", "b")]
        self.assertEqual(self.looked(3), 0)
        self.write("two", "changed")
        self.assertEqual(self.looked(2), 1)
        self.files = [self.path]
        self.looked()
        self.write("two", "changed again")
        self.assertEqual(self.looked(3), 1)

    def test_stop(self) -> None:
        """A watcher that was stopped looks at nothing, and can be started again."""
        self.watcher.stop()
        self.write("one", "ab")
        self.assertEqual((self.looked(3), self.clock.getDelayedCalls()), (0, []))
        self.watcher.start()
        self.write("one", "abc")
        self.assertEqual(self.looked(2), 1)

    def test_an_error(self) -> None:
        """An error in the program is logged once, and ends it."""
        self.watcher.stop()
        watcher = FileWatcher(lambda: self.files, self.fail, self.clock)
        watcher.start()
        self.write("one", "ab")
        self.clock.pump([INTERVAL] * 3)
        self.assertEqual(len(self.flushLoggedErrors(self.failureException)), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
