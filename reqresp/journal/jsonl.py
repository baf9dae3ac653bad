"""
JournalFile: what a server did, as JSON Lines in a file.

Knows entries, its file and a clock.  It must not know the meaning of an entry.  An error with the
file is logged, and never affects a reply.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from reqresp._defaults import MAX_ENTRY_BYTES
from reqresp._files import open_appending, open_regular
from reqresp.exchanges import Exchanges
from reqresp.journal._observer import EntryObserver, Times, answered_entries
from reqresp.journal.entries import Entry, as_json, encode_json

#: The longest time before a new entry is written, in seconds.
FLUSH_INTERVAL = 1.0
#: The buffer is written when it holds this many bytes.
FLUSH_SIZE = 64 * 1024
#: The most bytes in the buffer while the file cannot be written.  Further entries are lost, and
#: counted.
MAX_BUFFER_SIZE = 1024 * 1024

_NEWLINE = b"\n"


class JournalFile(EntryObserver):
    """
    Appends each entry to a file, as a line of JSON (see `as_json`).

    A new file is readable by its owner only, since requests may contain secrets.  An existing file
    keeps its mode.  It is written at least every `FLUSH_INTERVAL` seconds, and by `close`.

    An error, such as a full disk, is logged once, and the file is tried again.  When it can be
    written again, this is logged, too.  If entries were lost in between, the file gets a line
    ``{"event": "lost", "entries": ...}``.

    It can be a pipe with a reader, or a device: it is never waited for.  If it is a
    regular file, nothing else is opened in its place later.

    The file is written in the reactor's thread, as logs are: a disk that hangs stops the server.

    :param clock: measures the time between writes; the reactor.
    :param now: returns the time, in seconds since the epoch.
    :param worker: the number of the worker process, to add to each line; None: no number.
    :param max_entry: bytes of request and reply that a line holds; of more, it holds the beginning
        and the size.
    :raises OSError: the file cannot be opened.
    """

    _log = Logger()

    def __init__(
        self,
        path: str | Path,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
        worker: int | None = None,
        max_entry: int = MAX_ENTRY_BYTES,
    ) -> None:
        super().__init__(now)
        self._max_entry = max_entry
        self._extra = {} if worker is None else {"worker": worker}
        self.path = Path(path)
        #: How many entries were lost because the file could not be written.
        self.lost = 0
        self._clock = clock
        self._buffer = bytearray()
        self._file: int | None = None
        self._timer: IDelayedCall | None = None
        self._failing = False
        self._is_split = False  # the first line in the buffer is partly in the file already
        self._lost_unreported = 0  # lost entries that are not in the log yet
        self._is_regular = False  # at first, any kind of file can be named
        self._start(self._open())

    def flush(self) -> None:
        """Write the buffer, as far as the file accepts it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._buffer:
            return
        try:
            self._write()
        except OSError as error:
            self._schedule()
            if not self._failing:
                self._failing = True
                self._log_error("cannot be written", error, "retrying")
            return
        if self._failing:
            self._failing = False
            self._report_lost()

    def reopen(self) -> None:
        """Continue in a new file of the same name, if logrotate, for example, renamed this one."""
        self.flush()
        try:
            file = self._open()
        except OSError as error:
            self._log_error("cannot be reopened", error, "keeping the open file")
            return
        if self._file is not None and os.path.samestat(os.fstat(self._file), os.fstat(file)):
            os.close(file)
            return
        if self._is_split:
            del self._buffer[: self._buffer.find(_NEWLINE) + 1]
            self._count_lost(1)
        if self._file is not None:
            os.close(self._file)
        self._start(file)
        self._log.info("journal {path}: reopened as a new file", path=self.path)
        self.flush()

    def close(self) -> None:
        """Write the buffer, and close the file.  A later entry opens it again."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._buffer:
            self._count_lost(sum(map(bool, self._buffer.split(_NEWLINE))))
            self._buffer.clear()
            self._log.error(
                "journal {path}: closed; {lost} entries lost in total",
                path=self.path,
                lost=self.lost,
            )
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _record(self, entry: Entry) -> None:
        self._add((entry,))

    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        self._add(answered_entries(exchanges, times, sent))

    def _add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if len(self._buffer) >= MAX_BUFFER_SIZE:
                self._count_lost(1)
                continue
            self._put(as_json(entry, self._max_entry))
            if len(self._buffer) >= FLUSH_SIZE and not self._failing:
                self.flush()
        self._schedule()

    def _put(self, line: dict[str, Any]) -> None:
        self._buffer += encode_json(line | self._extra).encode() + _NEWLINE

    def _schedule(self) -> None:
        """Schedule the next write."""
        if self._buffer and self._timer is None:
            self._timer = self._clock.callLater(FLUSH_INTERVAL, self._flush_on_time)

    def _flush_on_time(self) -> None:
        self._timer = None
        self.flush()

    def _write(self) -> None:
        file = self._start(self._open()) if self._file is None else self._file
        if self._is_split and self._is_regular and not os.fstat(file).st_size:
            # The file was truncated: the rest of a line has no meaning there.
            del self._buffer[: self._buffer.find(_NEWLINE) + 1]
            self._is_split = False
            self._count_lost(1)
        while self._buffer:
            written = os.write(file, self._buffer)
            self._is_split = self._buffer[written - 1] != _NEWLINE[0]
            del self._buffer[:written]

    def _open(self) -> int:
        # A pipe without a reader is an error, and does not stop the server.
        return open_appending(self.path, only_regular=self._is_regular)

    def _start(self, file: int) -> int:
        """Write to *file* from now on.  Start a new line, if a crash left an incomplete one."""
        self._file = file
        self._is_regular = stat.S_ISREG(os.fstat(file).st_mode)
        self._is_split = False
        if _ends_within_line(file, self.path):
            self._buffer[:0] = _NEWLINE
        return file

    def _count_lost(self, count: int) -> None:
        self.lost += count
        self._lost_unreported += count

    def _report_lost(self) -> None:
        lost, self._lost_unreported = self._lost_unreported, 0
        self._log.info(
            "journal {path}: can be written again; {lost} entries lost",
            path=self.path,
            lost=lost,
        )
        if lost:
            self._put({"event": "lost", "at": self._now(), "entries": lost})
            self.flush()

    def _log_error(self, problem: str, error: OSError, consequence: str) -> None:
        self._log.error(
            "journal {path}: {problem}: {reason}; {consequence}",
            path=self.path,
            problem=problem,
            reason=error.strerror,
            consequence=consequence,
        )


def _ends_within_line(file: int, path: Path) -> bool:
    if not os.fstat(file).st_size:  # empty, or a pipe or device
        return False
    try:
        # A pipe that has taken its place in the meantime is not waited for.
        with os.fdopen(open_regular(path), "rb") as reader:
            reader.seek(-1, os.SEEK_END)
            return reader.read(1) != _NEWLINE
    except (OSError, ValueError):  # writable, but not readable, or another file by now
        return False
