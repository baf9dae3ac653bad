"""
LineFile: lines that are appended to a file, which can be full, renamed or gone.

Knows its file and a clock.  It must not know what the lines mean.  An error with the file is
logged, and never affects who adds lines.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from reqresp._files import open_appending, open_regular

#: The longest time before a new line is written, or a write is tried again, in seconds.
FLUSH_INTERVAL = 1.0
#: The buffer is written when it holds this many bytes.
FLUSH_SIZE = 64 * 1024
#: The most bytes in the buffer while the file cannot be written.  Further lines are lost, and
#: counted.
MAX_BUFFER_SIZE = 1024 * 1024

_NEWLINE = b"\n"


@frozen
class Content:
    """
    What a `LineFile` must know about its lines.

    :param name: what messages call the file, such as ``journal``.
    :param unit: what they call lines that are lost, such as ``entries``.
    :param lost: returns what is written where so many lines were lost.
    :param begin: returns what is written first to a file that was opened or emptied.  It is called
        with whether the last line of the file is incomplete, as after a crash.
    :param emptied: called before *begin* if the file was emptied.
    """

    name: str
    unit: str
    lost: Callable[[int], bytes]
    begin: Callable[[bool], bytes] = lambda is_torn: _NEWLINE if is_torn else b""
    emptied: Callable[[], None] = lambda: None


class LineFile:
    """
    Appends lines to a file, in bulk, and loses lines instead of waiting for the file.

    A new file is readable by its owner only.  An existing file keeps its mode.  It is written at
    least every `FLUSH_INTERVAL` seconds, and by `close`.

    An error, such as a full disk, is logged once, and the file is tried again.  When it can be
    written again, this is logged, too.

    It can be a pipe with a reader, or a device: it is never waited for.  If it is a
    regular file, nothing else is opened in its place later.

    If other programs empty it, as logrotate does with ``copytruncate``, it begins anew.

    The file is written in the reactor's thread, as logs are: a disk that hangs stops the server.

    :param clock: measures the time between writes; the reactor.
    :param flush_size: bytes that are written without waiting for more.
    :raises OSError: the file cannot be opened.
    """

    _log = Logger()

    def __init__(
        self,
        path: str | Path,
        clock: IReactorTime,
        content: Content,
        flush_size: int = FLUSH_SIZE,
    ) -> None:
        self.path = Path(path)
        #: How many lines were lost because the file could not be written.
        self.lost = 0
        self._clock = clock
        self._content = content
        self._flush_size = flush_size
        self._buffer = bytearray()
        self._file: int | None = None
        self._timer: IDelayedCall | None = None
        self._failing = False
        self._is_split = False  # the first line in the buffer is partly in the file already
        self._lost_unreported = 0  # lost lines that are not in the log yet
        self._is_regular = False  # at first, any kind of file can be named
        self._has_written = False  # something to the open file
        self._start(self._open())

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._file is not None

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return len(self._buffer)

    def measure(self) -> int | None:
        """Return how many bytes the file has; None: it is closed, or no regular file."""
        if self._file is None or not self._is_regular:
            return None
        try:
            return os.fstat(self._file).st_size
        except OSError:  # the next write says why
            return None

    def begin_if_emptied(self) -> None:
        """Begin the file anew if what was written to it is gone."""
        if self._file is None or not self._has_written or self.measure() != 0:
            return
        if self._is_split:
            # The rest of a line has no meaning there.
            self._drop_split()
            self._is_split = False
        self._content.emptied()
        self._start(self._file)

    def add(self, lines: bytes) -> bool:
        """Add *lines*, each of which ends with LF; return False if they are lost."""
        if len(self._buffer) >= MAX_BUFFER_SIZE:
            self._count_lost(lines.count(_NEWLINE))
            return False
        self._buffer += lines
        if len(self._buffer) >= self._flush_size and not self._failing:
            self.flush()
        if self._timer is None:
            self._schedule()
        return True

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

    def discard(self) -> None:
        """Lose what is not written yet, but for the rest of a line that is partly written."""
        kept = self._buffer.find(_NEWLINE) + 1 if self._is_split else 0
        self._count_lost(self._buffer.count(_NEWLINE, kept))
        del self._buffer[kept:]

    def reopen(self) -> bool:
        """
        Continue in a new file of the same name, if logrotate, for example, renamed this one.

        :returns: whether the file is another one now.
        """
        self.flush()
        try:
            file = self._open()
        except OSError as error:
            self._log_error("cannot be reopened", error, "keeping the open file")
            return False
        if self._file is not None and os.path.samestat(os.fstat(self._file), os.fstat(file)):
            os.close(file)
            return False
        if self._is_split:
            self._drop_split()
        if self._file is not None:
            os.close(self._file)
        self._start(file)
        self._log.info(
            "{name} {path}: reopened as a new file", name=self._content.name, path=self.path
        )
        self.flush()
        return True

    def close(self) -> None:
        """Write the buffer, and close the file.  A later line opens it again."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._buffer:
            self._count_lost(sum(map(bool, self._buffer.split(_NEWLINE))))
            self._buffer.clear()
            self._log.error(
                "{name} {path}: closed; {lost} {unit} lost in total",
                name=self._content.name,
                path=self.path,
                lost=self.lost,
                unit=self._content.unit,
            )
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _schedule(self) -> None:
        """Schedule the next write."""
        if self._buffer and self._timer is None:
            self._timer = self._clock.callLater(FLUSH_INTERVAL, self._flush_on_time)

    def _flush_on_time(self) -> None:
        self._timer = None
        self.flush()

    def _write(self) -> None:
        file = self._start(self._open()) if self._file is None else self._file
        self.begin_if_emptied()
        while self._buffer:
            written = os.write(file, self._buffer)
            self._has_written = True
            self._is_split = self._buffer[written - 1] != _NEWLINE[0]
            del self._buffer[:written]

    def _open(self) -> int:
        # A pipe without a reader is an error, and does not stop the server.
        return open_appending(self.path, only_regular=self._is_regular)

    def _start(self, file: int) -> int:
        """Write to *file* from now on."""
        self._file = file
        self._is_regular = stat.S_ISREG(os.fstat(file).st_mode)
        self._has_written = False
        self._is_split = False
        self._buffer[:0] = self._content.begin(_ends_within_line(file, self.path))
        return file

    def _drop_split(self) -> None:
        """Drop the rest of a line that is partly in another file."""
        del self._buffer[: self._buffer.find(_NEWLINE) + 1]
        self._count_lost(1)

    def _count_lost(self, count: int) -> None:
        self.lost += count
        self._lost_unreported += count

    def _report_lost(self) -> None:
        lost, self._lost_unreported = self._lost_unreported, 0
        self._log.info(
            "{name} {path}: can be written again; {lost} {unit} lost",
            name=self._content.name,
            path=self.path,
            lost=lost,
            unit=self._content.unit,
        )
        if lost:
            self._buffer += self._content.lost(lost)
            self.flush()

    def _log_error(self, problem: str, error: OSError, consequence: str) -> None:
        self._log.error(
            "{name} {path}: {problem}: {reason}; {consequence}",
            name=self._content.name,
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
