"""
JournalFile: what a server did, as JSON Lines in a file.

Knows entries and lines.  It must not know the meaning of an entry, or how lines are written to a
file.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime

from reqresp._defaults import MAX_ENTRY_BYTES
from reqresp._line_file import Content, LineFile
from reqresp.exchanges import Exchanges
from reqresp.journal._observer import EntryObserver, Times, answered_entries
from reqresp.journal.entries import Entry, as_json, encode_json


class JournalFile(EntryObserver):
    """
    Appends each entry to a file, as a line of JSON (see `as_json`).

    A new file is readable by its owner only, since requests may contain secrets.  See `LineFile`
    for when it is written, and what happens if it cannot be written.  If entries are lost, the
    file gets a line ``{"event": "lost", "entries": ...}``.

    :param clock: measures the time between writes; the reactor.
    :param now: returns the time, in seconds since the epoch.
    :param worker: the number of the worker process, to add to each line; None: no number.
    :param max_entry: bytes of request and reply that a line holds; of more, it holds the beginning
        and the size.
    :raises OSError: the file cannot be opened.
    """

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
        #: The file.
        self.file = LineFile(path, clock, Content("journal", "entries", self._lost_line))

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.file.path

    @property
    def lost(self) -> int:
        """How many entries were lost because the file could not be written."""
        return self.file.lost

    def flush(self) -> None:
        """Write what waits, as far as the file accepts it."""
        self.file.flush()

    def reopen(self) -> None:
        """Continue in a new file of the same name, if logrotate, for example, renamed this one."""
        self.file.reopen()

    def close(self) -> None:
        """Write what waits, and close the file.  A later entry opens it again."""
        self.file.close()

    def _record(self, entry: Entry) -> None:
        self._add((entry,))

    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        self._add(answered_entries(exchanges, times, sent))

    def _add(self, entries: Iterable[Entry]) -> None:
        add, line, max_entry = self.file.add, self._line, self._max_entry
        for entry in entries:
            add(line(as_json(entry, max_entry)))

    def _line(self, entry: dict[str, Any]) -> bytes:
        return encode_json(entry | self._extra).encode() + b"\n"

    def _lost_line(self, count: int) -> bytes:
        return self._line({"event": "lost", "at": self._now(), "entries": count})
