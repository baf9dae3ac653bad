"""
Journal file: what happened, as JSON Lines in a file.

An observer that knows entries, its file and a clock.  What goes wrong with the file is logged, and
costs no reply.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from reqresp.exchanges import Exchanges
from reqresp.journal.entries import Entry, as_json
from reqresp.journal.journal import Recorder, Times, answers

#: Seconds that an entry waits at most before it is written.
FLUSH_EVERY = 1.0
#: Bytes that wait at most, as long as the file can be written ...
FLUSH_AT = 64 * 1024
#: ... and while it cannot; entries that come then are lost, and counted.
WAITING = 1024 * 1024

_NEWLINE = b"\n"
# All in ASCII: there are readers that take some other characters for the end of a line.
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


class JournalFile(Recorder):
    """
    Appends each entry to a file, as a line of JSON (see `as_json`).

    The file is made readable for its owner alone, since requests may hold secrets; one that is
    there keeps its mode.  It is written at least every `FLUSH_EVERY` seconds, and by `close`.  A
    full disk is logged once; it goes on trying, and says when it works again, in the log and with a
    line ``{"event": "lost", "entries": ...}`` if entries were lost meanwhile.

    Like a log, it is written where the server runs: a disk that hangs holds up all.

    :param clock: keeps the time between writes: the reactor.
    :param now: gives the time, in seconds since the epoch.
    :param worker: the number of the process, which each line is to have.
    :raises OSError: the file cannot be opened.
    """

    _log = Logger()

    def __init__(
        self,
        path: str | Path,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
        worker: int | None = None,
    ) -> None:
        super().__init__(now)
        self._every_line = {} if worker is None else {"worker": worker}
        self.path = Path(path)
        #: How many entries were lost because they could not be written.
        self.lost = 0
        self._clock = clock
        self._buffer = bytearray()
        self._file: int | None = None
        self._due: IDelayedCall | None = None
        self._failing = False
        self._torn = False  # the file ends within the line that the buffer begins with
        self._untold = 0  # entries that were lost since it was said
        self._begin(self._open())

    def flush(self) -> None:
        """Write what waits, as far as the file takes it."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._buffer:
            return
        try:
            self._write()
        except OSError as error:
            self._wait()
            if not self._failing:
                self._failing = True
                self._say_error("cannot be written", error, "trying on")
            return
        if self._failing:
            self._failing = False
            self._tell_what_was_lost()

    def reopen(self) -> None:
        """Go on in a file of the same name, if somebody (logrotate, say) has renamed this one."""
        self.flush()
        try:
            file = self._open()
        except OSError as error:
            self._say_error("cannot be opened again", error, "the file that is open goes on")
            return
        if self._file is not None and os.path.samestat(os.fstat(self._file), os.fstat(file)):
            os.close(file)
            return
        if self._torn:
            del self._buffer[: self._buffer.find(_NEWLINE) + 1]
            self._lose(1)
        if self._file is not None:
            os.close(self._file)
        self._begin(file)
        self._log.info("the journal goes on in a new {path}", path=self.path)
        self.flush()

    def close(self) -> None:
        """Write what waits, and close the file; what is recorded later opens it again."""
        self.flush()
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._buffer:
            self._lose(sum(map(bool, self._buffer.split(_NEWLINE))))
            self._buffer.clear()
            self._log.error(
                "the journal {path} is closed; {lost} entries were lost in all",
                path=self.path,
                lost=self.lost,
            )
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _note(self, entry: Entry) -> None:
        self._add((entry,))

    def _note_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        self._add(answers(exchanges, times, sent))

    def _add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if len(self._buffer) >= WAITING:
                self._lose(1)
                continue
            self._put(as_json(entry))
            if len(self._buffer) >= FLUSH_AT and not self._failing:
                self.flush()
        self._wait()

    def _put(self, line: dict[str, Any]) -> None:
        self._buffer += _encode(line | self._every_line).encode() + _NEWLINE

    def _wait(self) -> None:
        """Have what waits written in time."""
        if self._buffer and self._due is None:
            self._due = self._clock.callLater(FLUSH_EVERY, self._flush_in_time)

    def _flush_in_time(self) -> None:
        self._due = None
        self.flush()

    def _write(self) -> None:
        file = self._begin(self._open()) if self._file is None else self._file
        status = os.fstat(file)
        if self._torn and stat.S_ISREG(status.st_mode) and not status.st_size:
            # It was emptied meanwhile: what is left of a line means nothing there.
            del self._buffer[: self._buffer.find(_NEWLINE) + 1]
            self._torn = False
            self._lose(1)
        while self._buffer:
            written = os.write(file, self._buffer)
            self._torn = self._buffer[written - 1] != _NEWLINE[0]
            del self._buffer[:written]

    def _open(self) -> int:
        # Without waiting: a pipe that nobody reads is an error like any other.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        return os.open(self.path, flags, 0o600)

    def _begin(self, file: int) -> int:
        """Write to *file* from now on, behind what a crash may have left there."""
        self._file = file
        self._torn = False
        if _ends_within_a_line(file, self.path):
            self._buffer[:0] = _NEWLINE
        return file

    def _lose(self, count: int) -> None:
        self.lost += count
        self._untold += count

    def _tell_what_was_lost(self) -> None:
        lost, self._untold = self._untold, 0
        self._log.info(
            "the journal {path} is written again; {lost} entries were lost",
            path=self.path,
            lost=lost,
        )
        if lost:
            self._put({"event": "lost", "at": self._now(), "entries": lost})
            self.flush()

    def _say_error(self, what: str, error: OSError, consequence: str) -> None:
        self._log.error(
            "the journal {path} {what}: {reason}; {consequence}",
            path=self.path,
            what=what,
            reason=error.strerror,
            consequence=consequence,
        )


def _ends_within_a_line(file: int, path: Path) -> bool:
    if not os.fstat(file).st_size:  # nor have pipes and devices a size
        return False
    try:
        with path.open("rb") as reader:
            reader.seek(-1, os.SEEK_END)
            return reader.read(1) != _NEWLINE
    except OSError:  # it may be written, and not read
        return False
