"""
RecordingFile: what a test server replays, or records for the next run of the test.

Knows files and when they are replaced.  Must not know how the server runs.
"""

import os
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Literal, Self, get_args

from twisted.internet.interfaces import IReactorTime

from reqresp._errors import FieldError
from reqresp.recording.marks import make_ignored
from reqresp.recording.notation import TORN
from reqresp.recording.recorder import Recorder
from reqresp.recording.redaction import make_redactions
from reqresp.recording.replay import Replay
from reqresp.recording.writing import TURN

#: When a test server records; see `Record`.
RecordMode = Literal["once", "none", "all", "rewrite"]

_numbers = count(1)


class Record(Enum):
    """When a test server records, and when it replays."""

    ONCE = "once"  #: replay the file; if it does not exist, record it
    NONE = "none"  #: replay the file, never record
    ALL = "all"  #: record, and add to the file
    REWRITE = "rewrite"  #: record, and replace the file


class MissingRecordingError(FileNotFoundError):
    """The recording of a test does not exist, and must not be made."""

    def __init__(self, path: Path, command: str = "the test with record='once'") -> None:
        super().__init__(f"recording: {path} does not exist; to record it, run: {command}")
        self.path = path


class RecordingFile:
    """
    The recording at *path*.

    :param ignore: patterns for what may differ when it is replayed; see `Replay.load`.
    :param redact: patterns for what is not recorded; see `Recorder`.
    :raises MissingRecordingError: the file does not exist, and *mode* forbids to record.
    :raises FieldError: *mode* is unknown, or a pattern is wrong.
    """

    def __init__(
        self,
        path: str | Path,
        mode: RecordMode = "once",
        ignore: Sequence[str] = (),
        redact: Sequence[str] = (),
    ) -> None:
        if mode not in get_args(RecordMode):
            expected = ", ".join(map(repr, get_args(RecordMode)))
            raise FieldError("record", f"expected one of {expected}; found {mode!r}")
        _check("ignore", lambda: [make_ignored(it) for it in ignore])
        _check("redact", lambda: make_redactions(redact))
        self.path = Path(path).absolute()
        self._record = Record(mode)
        self._ignore = ignore
        self._redact = redact
        self._recorder: Recorder | None = None
        self._is_wanted = False
        exists = self.path.exists()
        #: Whether it is replayed, not recorded.
        self.is_replayed = self._record in (Record.ONCE, Record.NONE) and exists
        if self._record is Record.NONE and not exists:
            raise MissingRecordingError(self.path)

    def replay(self) -> Replay:
        """
        Return what it contains.

        :raises RecordingError: it cannot be read, or has problems.
        :raises ValueError: a pattern is wrong.
        """
        return Replay.load(self.path, ignore=self._ignore)

    def recorder(self, clock: IReactorTime, service: str) -> Recorder:
        """
        Return what records *service*, into a new file beside the recording.

        :raises OSError: the file cannot be made.
        :raises ValueError: a pattern is wrong.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # For this process and this server: tests run in parallel.
        self._new = self.path.with_name(f".{self.path.name}.{os.getpid()}-{next(_numbers)}")
        self._recorder = Recorder(self._new, clock, service=service, redact=self._redact)
        self._remove = weakref.finalize(self, _remove, self._new)
        return self._recorder

    def keep(self) -> None:
        """Use what is being recorded once the server ends: the test has passed."""
        self._is_wanted = True

    def finish(self, call: Callable[[Callable[[], None]], None]) -> None:
        """
        Stop recording.  If it is wanted, put it into its place, or warn that it is empty.

        :param call: calls a function where the server runs.
        :raises OSError: the file cannot be written, or lines of it were lost.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        call(recorder.close)
        try:
            if self._is_wanted and recorder.file.lost:
                raise OSError(
                    f"recording: {self.path} is left as it was:"
                    f" {recorder.file.lost} lines of the new one could not be written"
                )
            if self._is_wanted and not _has_conversations(self._new):
                text = "nothing was recorded: no client has connected, or nothing was sent"
                warnings.warn(f"recording: {self.path}: {text}", stacklevel=2)
            elif self._is_wanted:
                if self._record is Record.ALL:
                    _put_before(self._new, self.path)
                self._new.replace(self.path)
        finally:
            self._remove()

    @classmethod
    def of(
        cls,
        path: str | Path | None,
        mode: RecordMode,
        ignore: Sequence[str],
        redact: Sequence[str],
    ) -> Self | None:
        """Return the recording at *path*; None: there is none."""
        return None if path is None else cls(path, mode, ignore, redact)


def _check(name: str, make: Callable[[], object]) -> None:
    """:raises FieldError: what *make* makes of the argument *name* cannot be made."""
    try:
        make()
    except ValueError as error:
        raise FieldError(name, str(error)) from None


def _has_conversations(path: Path) -> bool:
    with path.open("rb") as lines:
        return any(line.startswith(TURN) for line in lines)


def _put_before(path: Path, old: Path) -> None:
    """Put the content of the file *old*, if it exists, before that of *path*."""
    with suppress(FileNotFoundError):
        before = old.read_bytes()
        if before and not before.endswith(b"\n"):
            before += b"\n" + TORN
        path.write_bytes(before + path.read_bytes())


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
