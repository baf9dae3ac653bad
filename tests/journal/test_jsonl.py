"""JournalFile: what is in the file and when, and what happens if it cannot be written."""

import json
import os
import stat
from errno import ENOSPC
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Exchanges, JournalFile, Send
from reqresp._defaults import MAX_ENTRY_BYTES
from reqresp._line_file import FLUSH_SIZE, MAX_BUFFER_SIZE
from tests.support import live

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


_write = os.write


class Disk:
    """Replaces `os.write`: it accepts a limited number of bytes, then raises ENOSPC."""

    def __init__(self, room: float = float("inf")) -> None:
        self.room = room
        self.writes = 0

    def write(self, file: int, data: Any) -> int:
        self.writes += 1
        if not self.room:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        taken = bytes(data[: int(min(self.room, len(data)))])
        self.room -= len(taken)
        return _write(file, taken)


class FileTestCase(SynchronousTestCase):
    """A journal in a file on a disk that may be full."""

    def setUp(self) -> None:
        self.path = live.temporary(self) / "journal"
        self.clock = Clock()
        self.disk = Disk()
        self.patch(os, "write", self.disk.write)
        self.logged: list[tuple[LogLevel, str]] = []
        observer: Any = self.log
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.asked = 0

    def log(self, event: Any) -> None:
        if event.get("log_namespace", "").startswith("reqresp"):
            self.logged.append((event["log_level"], event["log_format"].format(**event)))

    def open(self) -> JournalFile:
        journal = JournalFile(self.path, self.clock, self.clock.seconds)
        self.addCleanup(journal.close)
        return journal

    def ask(self, journal: JournalFile, *requests: bytes, reply: bytes = b"") -> None:
        """Report a read of requests, and their replies."""
        self.asked += len(requests)
        first = self.asked - len(requests) + 1
        journal.received(PEER, 1, requests)
        journal.answered(
            Exchanges(PEER, 1, first, requests, lambda them: [(Send(reply),)] * len(them), "me")
        )

    def lines(self, path: Path | None = None) -> list[Any]:
        """Return the lines of the file, which must be complete."""
        data = (path or self.path).read_bytes()
        self.assertTrue(data.endswith(b"\n") or not data)
        return [json.loads(line) for line in data.decode("ascii").split("\n")[:-1]]

    def requests(self, path: Path | None = None) -> list[str]:
        return [line["request"] for line in self.lines(path) if "request" in line]


class WritingTests(FileTestCase):
    """What is written to the file, and when."""

    def test_lines(self) -> None:
        """The file has one line of JSON for each entry, in order."""
        journal = self.open()
        journal.connected(PEER, 1)
        self.clock.advance(0.5)
        self.ask(journal, b"a", b"\xff", reply=b"b\n")
        journal.close()
        connected, a, b = self.lines()
        self.assertEqual((connected["event"], connected["at"]), ("connected", 0))
        self.assertEqual((a["request"], a["number"], a["at"], a["sent"]), ("a", 1, 0.5, 0.5))
        self.assertEqual((a["by"], a["steps"]), ("me", [{"send": "b\n"}]))
        self.assertEqual(b["request"], {"base64": "/w=="})

    def test_lines_are_lines_to_all(self) -> None:
        """No byte that a client sends ends a line, for any reader."""
        journal = self.open()
        text = "a\u2028\u2029\x85\x0b\x0c\x1c\r\nb"
        self.ask(journal, text.encode())
        journal.close()
        self.assertEqual(len(self.path.read_text().splitlines()), 1)
        self.assertEqual(self.requests(), [text])

    def test_a_large_reply_is_cut(self) -> None:
        """However large replies are, a request of one byte adds a bounded number to the file."""
        journal = self.open()
        for _ in range(20):
            self.ask(journal, b"a", reply=b"x" * 2_000_000)
        journal.close()
        self.assertLess(self.path.stat().st_size, 20 * (MAX_ENTRY_BYTES + 500))
        reply = self.lines()[-1]["steps"][0]["send"]
        self.assertEqual((reply["size"], reply["truncated"]), (2_000_000, True))

    def test_in_a_second(self) -> None:
        """An entry is written within a second, and entries share a write."""
        journal = self.open()
        self.ask(journal, b"a")
        self.clock.advance(0.9)
        self.ask(journal, b"b")
        self.assertEqual(self.requests(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.requests(), ["a", "b"])
        self.assertEqual(self.disk.writes, 1)

    def test_idle(self) -> None:
        """Without new entries there is no timer."""
        journal = self.open()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.ask(journal, b"a")
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_much_at_once(self) -> None:
        """The file is written at once when the buffer is large, within a read, too."""
        journal = self.open()
        self.ask(journal, *[b"x" * 1000] * 200)
        self.assertGreater(len(self.requests()), 100)
        self.assertLess(journal.file.waiting, FLUSH_SIZE)
        journal.flush()
        self.assertEqual(len(self.requests()), 200)

    def test_flush(self) -> None:
        """`flush` writes the buffer, once."""
        journal = self.open()
        self.ask(journal, b"a")
        journal.flush()
        self.assertEqual(self.requests(), ["a"])
        self.clock.advance(1)
        journal.flush()
        self.assertEqual(self.requests(), ["a"])

    def test_appends(self) -> None:
        """An existing file is appended to."""
        self.path.write_bytes(b'{"request":"old"}\n')
        journal = self.open()
        self.ask(journal, b"a")
        journal.flush()
        with self.path.open("ab") as other:
            other.write(b'{"request":"other"}\n')
        self.ask(journal, b"b")
        journal.close()
        self.assertEqual(self.requests(), ["old", "a", "other", "b"])

    def test_what_a_crash_left(self) -> None:
        """An incomplete line of an earlier process is ended before the next line."""
        self.path.write_bytes(b'{"request":"old"}\n{"requ')
        journal = self.open()
        self.ask(journal, b"a")
        journal.close()
        first, half, new = self.path.read_bytes().splitlines()
        self.assertEqual((first, half), (b'{"request":"old"}', b'{"requ'))
        self.assertEqual(json.loads(new)["request"], "a")

    def test_the_owner_alone_can_read_it(self) -> None:
        """A new file is readable by its owner only; an existing one keeps its mode."""
        self.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.path.chmod(0o644)
        self.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o644)

    def test_a_file_that_cannot_be_opened(self) -> None:
        """A file that cannot be opened raises an error at once."""
        for path, error in ((self.path / "no", FileNotFoundError), (Path("/"), IsADirectoryError)):
            with self.assertRaises(error):
                JournalFile(path, self.clock)

    def test_a_pipe_without_a_reader(self) -> None:
        """A pipe without a reader raises an error, and does not block."""
        os.mkfifo(self.path)
        with self.assertRaises(OSError):
            JournalFile(self.path, self.clock)

    def test_a_pipe(self) -> None:
        """A pipe whose reader is slow or gone loses entries, and nothing else."""
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        journal = self.open()
        self.ask(journal, *[b"x" * 1000] * 3000)
        self.assertGreater(journal.lost, 0)
        data = b""
        while journal.file.waiting:
            data += os.read(reader, 2**20)
            self.clock.advance(1)
        data += os.read(reader, 2**20)
        lines = [json.loads(line) for line in data.splitlines()]
        self.assertEqual(lines[-1]["entries"], journal.lost)
        self.assertEqual(len(lines) - 1 + journal.lost, 3000)

    def test_a_file_that_cannot_be_read(self) -> None:
        """A file that can be written but not read is used."""

        def refuse(*_: Any) -> None:
            raise PermissionError

        self.path.write_bytes(b'{"request":"old"}\n')
        with patch.object(Path, "open", refuse):
            journal = self.open()
        self.ask(journal, b"a")
        journal.close()
        self.assertEqual(self.requests(), ["old", "a"])

    def test_close(self) -> None:
        """`close` leaves no timer and no descriptor; a later entry opens the file again."""
        journal = self.open()
        self.ask(journal, b"a")
        journal.close()
        journal.close()
        self.assertEqual((self.clock.getDelayedCalls(), journal.file.is_open), ([], False))
        self.ask(journal, b"b")
        self.clock.advance(1)
        self.assertEqual(self.requests(), ["a", "b"])

    def test_the_system_keeps_the_time(self) -> None:
        """Without `now`, entries have the system's time."""
        journal = JournalFile(str(self.path), self.clock)
        journal.connected(PEER, 1)
        journal.close()
        [line] = self.lines()
        self.assertGreater(line["at"], 1.7e9)


class FullTests(FileTestCase):
    """A disk that is full."""

    FULL = "cannot be written: No space left on device; retrying"

    def texts(self) -> list[str]:
        prefix = f"journal {self.path}: "
        for _, text in self.logged:
            self.assertTrue(text.startswith(prefix), text)
        return [text.removeprefix(prefix) for _, text in self.logged]

    def test_is_logged_once(self) -> None:
        """A full disk is logged once, and so is its end."""
        journal = self.open()
        self.disk.room = 0
        for data in (b"a", b"b", b"c"):
            self.ask(journal, data)
            self.clock.advance(1)
        self.assertEqual(self.texts(), [self.FULL])
        self.assertEqual(self.logged[0][0], LogLevel.error)
        self.disk.room = float("inf")
        self.clock.advance(1)
        self.assertEqual(self.texts()[1:], ["can be written again; 0 entries lost"])
        self.assertEqual(self.requests(), ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.disk.room = 0
        self.ask(journal, b"d")
        self.clock.advance(1)
        self.assertEqual(self.texts()[2:], [self.FULL])

    def test_is_tried_once_a_second(self) -> None:
        """While the disk is full, one write is tried each second."""
        journal = self.open()
        self.disk.room = 0
        for _ in range(3):
            for _ in range(200):
                self.ask(journal, b"x" * 1000)
            self.clock.advance(1)
        self.assertEqual(self.disk.writes, 4)

    def test_costs_entries_and_no_memory(self) -> None:
        """Entries over the buffer's limit are lost, counted, and reported in file and log."""
        journal = self.open()
        self.disk.room = 0
        data = b"x" * (MAX_BUFFER_SIZE // 20)
        for _ in range(14):
            self.ask(journal, data, data)
        self.assertLess(journal.file.waiting, MAX_BUFFER_SIZE + 2 * len(data))
        self.assertEqual(journal.lost, 8)
        self.disk.room = float("inf")
        self.clock.advance(1)
        self.assertEqual(self.texts()[1:], ["can be written again; 8 entries lost"])
        self.assertEqual(len(self.requests()), 20)
        self.assertEqual(self.lines()[-1], {"event": "lost", "at": 1, "entries": 8})
        self.ask(journal, b"a")
        journal.close()
        self.assertEqual(self.requests()[-1], "a")
        self.assertEqual(journal.lost, 8)
        self.disk.room = 0
        self.ask(journal, b"b")
        self.clock.advance(1)
        self.disk.room = float("inf")
        self.clock.advance(1)
        self.assertEqual(self.texts()[-1], "can be written again; 0 entries lost")

    def test_tears_no_line(self) -> None:
        """A line that was written in part is completed when there is space."""
        journal = self.open()
        self.disk.room = 30
        self.ask(journal, b"a", b"b")
        self.clock.advance(1)
        self.assertEqual(self.path.stat().st_size, 30)
        self.disk.room = float("inf")
        self.clock.advance(1)
        self.assertEqual(self.requests(), ["a", "b"])

    def test_at_the_end(self) -> None:
        """Entries that cannot be written at the end are lost, and this is logged."""
        journal = self.open()
        self.disk.room = 0
        self.ask(journal, b"a", b"b")
        journal.close()
        self.assertEqual(self.texts(), [self.FULL, "closed; 2 entries lost in total"])
        self.assertEqual((self.clock.getDelayedCalls(), journal.file.is_open), ([], False))
        self.disk.room = float("inf")
        self.ask(journal, b"c")
        journal.close()
        self.assertEqual(self.requests(), ["c"])
        self.assertEqual(self.texts()[2:], ["can be written again; 2 entries lost"])

    def test_the_device(self) -> None:
        """The real full device loses entries, and raises nothing."""
        self.path = Path("/dev/full")
        journal = self.open()
        self.disk.room = float("inf")
        self.ask(journal, b"a")
        self.clock.advance(1)
        self.assertEqual(self.texts(), [self.FULL])


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len([*Path("/proc/self/fd").iterdir()])


class ReopeningTests(FileTestCase):
    """A file that is renamed while the journal is open."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.path.with_name("journal.1")

    def test_goes_on_in_a_new_file(self) -> None:
        """After a rename, `reopen` writes to a new file; earlier entries are in the old one."""
        journal = self.open()
        self.ask(journal, b"a")
        self.path.rename(self.old)
        journal.reopen()
        self.ask(journal, b"b")
        journal.close()
        self.assertEqual((self.requests(self.old), self.requests()), (["a"], ["b"]))
        self.assertEqual(
            self.logged, [(LogLevel.info, f"journal {self.path}: reopened as a new file")]
        )

    def test_nothing_renamed(self) -> None:
        """Without a rename, `reopen` changes nothing."""
        journal = self.open()
        self.ask(journal, b"a")
        before = descriptors()
        journal.reopen()
        self.assertEqual(descriptors(), before)
        self.ask(journal, b"b")
        journal.close()
        self.assertEqual((self.requests(), self.logged), (["a", "b"], []))

    def test_leaves_no_descriptor(self) -> None:
        """`reopen` closes the old file."""
        journal = self.open()
        before = descriptors()
        self.path.rename(self.old)
        journal.reopen()
        self.assertEqual(descriptors(), before)

    def test_a_new_file_that_cannot_be_opened(self) -> None:
        """If the new file cannot be opened, the old one is kept, and this is logged."""
        journal = self.open()
        self.path.rename(self.old)
        self.path.mkdir()
        journal.reopen()
        self.ask(journal, b"a")
        journal.close()
        self.assertEqual(self.requests(self.old), ["a"])
        [(level, text)] = self.logged
        self.assertEqual(
            (level, text),
            (
                LogLevel.error,
                f"journal {self.path}: cannot be reopened: is not a regular file;"
                " keeping the open file",
            ),
        )

    def test_what_is_no_file(self) -> None:
        """A pipe that has taken the place of the file is not written to, even with a reader."""
        journal = self.open()
        self.path.rename(self.old)
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        journal.reopen()
        self.ask(journal, b"a")
        journal.flush()
        self.assertEqual(self.requests(self.old), ["a"])
        self.assertEqual(os.read(reader, 10), b"")
        journal.close()
        self.ask(journal, b"b")  # opens it again
        journal.close()
        self.assertEqual(os.read(reader, 10), b"")
        texts = [text for _level, text in self.logged]
        self.assertEqual(
            [text.split(": ", 1)[1] for text in texts],
            [
                "cannot be reopened: is not a regular file; keeping the open file",
                "cannot be written: is not a regular file; retrying",
                "closed; 1 entries lost in total",
            ],
        )

    def test_a_pipe(self) -> None:
        """A journal that is a pipe at the start stays open, and can become a file."""
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        journal = self.open()
        journal.reopen()
        self.ask(journal, b"a")
        journal.flush()
        self.assertIn(b'"request":"a"', os.read(reader, 1000))
        self.path.unlink()
        journal.reopen()
        self.ask(journal, b"b")
        journal.close()
        self.assertEqual(self.requests(), ["b"])

    def test_emptied_while_the_disk_was_full(self) -> None:
        """The rest of a line whose start is gone is not written, and counts as lost."""
        journal = self.open()
        self.disk.room = 150
        self.ask(journal, b"a", b"b", b"c")
        self.clock.advance(1)
        self.assertFalse(self.path.read_bytes().endswith(b"\n"))
        self.path.write_bytes(b"")
        self.disk.room = float("inf")
        self.clock.advance(1)
        journal.close()
        self.assertEqual(self.requests(), ["c"])
        self.assertEqual(journal.lost, 1)

    def test_while_the_disk_is_full(self) -> None:
        """`reopen` on a full disk writes the buffer to the new file, without half a line."""
        journal = self.open()
        self.disk.room = 30
        self.ask(journal, b"a", b"b")
        self.clock.advance(1)
        for path in (self.old, self.path.with_name("journal.2")):
            self.path.rename(path)
            journal.reopen()
        self.disk.room = float("inf")
        self.clock.advance(1)
        self.assertEqual(self.requests(), ["b"])
        self.assertEqual((self.lines()[-1]["entries"], journal.lost), (1, 1))
        self.assertEqual(self.old.stat().st_size, 30)

    def test_on_another_disk(self) -> None:
        """A new file that can be written ends the failure at once."""
        journal = self.open()
        self.disk.room = 0
        self.ask(journal, b"a")
        self.clock.advance(1)
        self.path.rename(self.old)
        self.disk.writes = 0
        room = [0, float("inf")]

        def write(file: int, data: Any) -> int:
            self.disk.room = room.pop(0)
            return self.disk.write(file, data)

        with patch.object(os, "write", write):
            journal.reopen()
        self.assertEqual(self.requests(), ["a"])

    def test_once_closed(self) -> None:
        """`reopen` after `close` opens the file of that name."""
        journal = self.open()
        journal.close()
        self.path.rename(self.old)
        journal.reopen()
        self.ask(journal, b"a")
        journal.close()
        self.assertEqual((self.requests(self.old), self.requests()), ([], ["a"]))


class RandomTests(FileTestCase):
    """Any order of entries, full disks, renames and closes."""

    @settings(max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["ask", "time", "room", "full", "rename", "reopen", "close"]),
                st.integers(0, 300),
            )
        )
    )
    def test_every_entry_is_written_or_counted(self, actions: list[tuple[str, int]]) -> None:
        """Each entry is in the files once, in order, or is counted as lost."""
        self.setUp()
        journal = self.open()
        paths = [self.path]
        asked = 0
        for action, number in actions:
            if action == "ask":
                asked += 1
                self.ask(journal, b"%d" % asked)
            elif action == "time":
                self.clock.advance(1)
            elif action == "room":
                self.disk.room = number
            elif action == "full":
                self.disk.room = 0
            elif action == "rename" and self.path.exists():
                paths.append(self.path.with_name(f"journal.{len(paths)}"))
                self.path.rename(paths[-1])
                journal.reopen()
            elif action == "reopen":
                journal.reopen()
            elif action == "close":
                journal.close()
        self.disk.room = float("inf")
        journal.close()
        journal.connected(PEER, 2)
        journal.close()
        found: list[int] = []
        for path in [*paths[1:], self.path]:
            for line in path.read_bytes().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if "request" in entry:
                    found.append(int(entry["request"]))
        self.assertEqual(found, sorted(set(found)))
        # A line that reports losses can be lost, too, and is counted.
        self.assertGreaterEqual(len(found) + journal.lost, asked)
        if not journal.lost:
            self.assertEqual(len(found), asked)
