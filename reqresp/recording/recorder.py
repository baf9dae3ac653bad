"""
Recorder: what passes a relay, appended to a file.

Events are kept as they come, and formatted and written together a moment later.  It must not know
what becomes of a recording.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._files import open_regular
from reqresp._line_file import Content, LineFile
from reqresp._text import format_address
from reqresp.recording.conversations import Data, End, Header, Sender
from reqresp.recording.notation import BEGINNING, MAX_RECORDING_BYTES, TORN
from reqresp.recording.redaction import Redactor, make_redactions, redacted_names
from reqresp.recording.writing import (
    write_bytes,
    write_data,
    write_end,
    write_header,
    write_time,
    write_turn,
)
from reqresp.server.observers import Direction, Observer

#: Seconds until what has passed is written.
WRITE_INTERVAL = 0.05
#: Bytes that are written without waiting for more; each event counts as `EVENT_BYTES` more.
WRITE_BYTES = 64 * 1024
EVENT_BYTES = 64
#: Bytes of a file from which the log has a warning: it will soon be too large to be read.
LARGE_BYTES = MAX_RECORDING_BYTES * 3 // 4
#: The shortest time that is recorded, in seconds; others are multiples of it.
SHORTEST_TIME = 0.0001

#: Bytes of data that is remembered with its lines, and how many are remembered of a sender.
MAX_KNOWN_BYTES = 128
MAX_KNOWN = 1000

#: What waits in a recorder: connection, time, sender and data.  No sender: the connection is lost.
_Kept = tuple[int, float, Sender | None, bytes | End]
#: The same, or after redaction.
_Written = tuple[int, float, Sender | None, bytes | Data | End]
#: How many of the shortest times a second has.
_TICKS = round(1 / SHORTEST_TIME)
#: The comment in a new file after the beginning of a conversation that has begun in another.
CONTINUED = b"# continued: it has begun in a file that was renamed or emptied\n"

# Module-level names are looked up faster than attributes of an Enum.
_UP, _CLIENT, _SERVER, _EOF = Direction.UPSTREAM, Sender.CLIENT, Sender.SERVER, End.EOF


@define
class _Track:
    """A connection that is open."""

    peer: IAddress
    last: float  # when what the line before says has happened, by the clock
    redactor: Redactor | None
    turn: bytes = b""  # the line that turns to it; empty: it has not begun in this file
    is_open: bool = False  # the service is connected
    was_renamed: bool = False  # it has begun in a file before
    is_over: bool = False  # it was reset, or lines of it were lost


class Recorder(Observer):
    """
    Records what passes a relay, for ``RelayFactory(..., observers=[Recorder(...)])``.

    The file has all bytes as they arrive, before any fault, EOF, and resets by a peer.  A
    connection on which nothing has passed leaves nothing in it.  See `LineFile` for what happens
    if it cannot be written.  A conversation of which lines were lost is not continued.
    When the file has `LARGE_BYTES`, the log has a warning.

    :param clock: measures times; the reactor.
    :param service: what is recorded, such as ``127.0.0.1:6379``, for the header.
    :param redact: patterns of RE2.  What their groups match, or, without groups, all that they
        match, is not recorded: see `make_redactions`.
    :param now: returns the time, in seconds since the epoch.
    :raises OSError: the file cannot be opened.
    :raises ValueError: the file is not a recording, or a pattern is wrong.
    """

    _log = Logger()

    def __init__(
        self,
        path: str | Path,
        clock: IReactorTime,
        *,
        service: str = "",
        redact: Iterable[str | bytes] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._redactions = make_redactions(redact)
        self._service = service
        self._clock = clock
        self._seconds = clock.seconds
        self._now = now
        self._tracks: dict[int, _Track] = {}
        # What has passed, the four parts of each `_Kept` in a row: a tuple each would be left to
        # the garbage collector.
        self._events: list[Any] = []
        self._size = 0
        # Clients send the same requests again and again, and get the same replies.
        self._known: dict[bytes, bytes] = {}  # lines of clients
        self._known_replies: dict[bytes, bytes] = {}
        self._timer: IDelayedCall | None = None
        self._turn = 0  # the conversation of the last line
        self._is_large = False  # the log says that the file is
        _check_kind(path)
        content = Content("recording", "lines", _lost_line, self._begin, self._emptied)
        #: The file.
        self.file = LineFile(path, clock, content, flush_size=1)

    # Events of the relay

    def connected(self, peer: IAddress, connection: int) -> None:
        redactor = Redactor(self._redactions) if self._redactions else None
        self._tracks[connection] = _Track(peer, self._seconds(), redactor)

    def upstream_opened(self, peer: IAddress, connection: int) -> None:  # noqa: ARG002
        track = self._tracks[connection]
        track.is_open = True
        if not track.turn:
            track.last = self._seconds()

    def passed(self, peer: IAddress, connection: int, direction: Direction, data: bytes) -> None:  # noqa: ARG002
        sender = _CLIENT if direction is _UP else _SERVER
        self._events += (connection, self._seconds(), sender, data or _EOF)
        self._size += len(data) + EVENT_BYTES
        if self._timer is None or self._size >= WRITE_BYTES:
            self._write_soon()

    def client_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002
        if _is_reset(reason):
            self._add(connection, _CLIENT)

    def upstream_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002
        if _is_reset(reason):
            self._add(connection, _SERVER)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self.client_ended(peer, connection, reason)  # of a relay, it is written already
        self._add(connection, None)

    def _add(self, connection: int, reset_by: Sender | None) -> None:
        """Add that *reset_by* has reset the connection; None: that it is lost."""
        track = self._tracks.get(connection)
        if track is not None and (track.is_open or reset_by is None):
            self._events += (connection, self._seconds(), reset_by, End.RESET)
            self._size += EVENT_BYTES
            self._write_soon()

    def _write_soon(self) -> None:
        if self._size >= WRITE_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(WRITE_INTERVAL, self._flush_on_time)

    # The file

    def flush(self) -> None:
        """Write what has passed, as far as the file accepts it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.file.begin_if_emptied()  # before lines that need those in it
        events, self._events = self._events, []
        self._size = 0
        parts = iter(events)
        kept: Iterable[_Kept] = zip(parts, parts, parts, parts, strict=True)
        lines: list[bytes] = []
        if self._redactions:
            self._format_redacted(kept, lines)
        else:
            self._format(kept, lines)
        if lines and not self.file.add(b"".join(lines)):
            self._give_up(set(events[::4]))
        self._warn_if_large()

    def reopen(self) -> None:
        """Continue in a new file of the same name, if logrotate, for example, renamed this one."""
        self.flush()
        self.file.flush()
        self._drop_waiting()
        if self.file.reopen():
            self._start_anew()

    def close(self) -> None:
        """Write everything, and close the file.  What passes later opens it again."""
        self.flush()
        lines: list[bytes] = []
        for number in self._tracks:
            self._redact(number, [], lines, is_last=True)
        if lines:
            self.file.add(b"".join(lines))
        self.file.close()
        self._start_anew()

    def _emptied(self) -> None:
        self._drop_waiting()
        self._start_anew()

    def _drop_waiting(self) -> None:
        """Lose the lines that wait: in another file, they would have no beginning."""
        if self.file.waiting:
            self.file.discard()
            self._give_up(self._tracks)

    def _start_anew(self) -> None:
        self._turn = 0
        self._is_large = False
        for track in self._tracks.values():
            track.was_renamed = track.was_renamed or bool(track.turn)
            track.turn = b""

    def _give_up(self, numbers: Iterable[int]) -> None:
        """Record no more of the conversations *numbers*: lines of them were lost."""
        self._turn = 0
        for number in numbers:
            if number in self._tracks:
                self._tracks[number].is_over = True

    def _warn_if_large(self) -> None:
        """Log once for each file that it will soon be too large to be read."""
        size = self.file.measure()
        if self._is_large or size is None or size < LARGE_BYTES:
            return
        self._is_large = True
        self._log.warn(
            "recording {path}: has {size} MiB, and with more than {limit} MiB it cannot be read;"
            " to continue in a new file, rename it and send SIGHUP",
            path=self.file.path,
            size=size // 2**20,
            limit=MAX_RECORDING_BYTES // 2**20,
        )

    def _begin(self, is_torn: bool) -> bytes:
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now()))
        header = write_header(Header(made, self._service, redacted_names(self._redactions)))
        return (b"\n" + TORN if is_torn else b"") + header

    def _flush_on_time(self) -> None:
        self._timer = None
        self.flush()

    # Lines

    def _format(self, events: Iterable[_Written], lines: list[bytes]) -> None:
        """Add the lines of *events*."""
        tracks, requests, replies = self._tracks, self._known, self._known_replies
        for number, at, sender, what in events:
            if sender is None:
                tracks.pop(number, None)
                continue
            track = tracks.get(number)
            if track is None or track.is_over:
                continue
            if number != self._turn:
                self._turn = number
                lines.append(track.turn or _begin(number, track))
            after = at - track.last
            if after >= SHORTEST_TIME:
                ticks = round(after * _TICKS)
                track.last += ticks / _TICKS  # what is rounded does not add up
                lines.append(_write_ticks(ticks))
            known = requests if sender is _CLIENT else replies
            lines.append(
                known.get(what)  # type: ignore[arg-type]  # only bytes are among them
                or self._write(track, sender, what)
            )

    def _write(self, track: _Track, sender: Sender, what: bytes | Data | End) -> bytes:
        """Return the lines of *what*, and remember them if they are short."""
        if isinstance(what, bytes):
            written = write_bytes(sender, what)
            known = self._known if sender is _CLIENT else self._known_replies
            if len(what) <= MAX_KNOWN_BYTES and len(known) < MAX_KNOWN:
                known[what] = written
            return written
        if isinstance(what, End):
            track.is_over = what is End.RESET
            return write_end(sender, what)
        return write_data(sender, what)

    def _format_redacted(self, events: Iterable[_Kept], lines: list[bytes]) -> None:
        """Add the lines of *events*, and of earlier ones, as far as it is known what is secret."""
        of_each: dict[int, list[tuple[float, Sender, bytes | End]]] = {}
        lost = set()
        for number, at, sender, what in events:
            mine = of_each.setdefault(number, [])
            if sender is None:
                lost.add(number)
            else:
                mine.append((at, sender, what))
        for number, mine in of_each.items():
            self._redact(number, mine, lines, is_last=number in lost)
        for number in lost:
            self._tracks.pop(number, None)

    def _redact(
        self,
        number: int,
        events: Sequence[tuple[float, Sender, bytes | End]],
        lines: list[bytes],
        *,
        is_last: bool,
    ) -> None:
        track = self._tracks.get(number)
        if track is None or track.redactor is None:
            return
        redacted = track.redactor.redact(events, is_last=is_last)
        self._format(((number, *event) for event in redacted), lines)


def _begin(number: int, track: _Track) -> bytes:
    """Return the line that turns to conversation *number* first, and names the client."""
    track.turn = write_turn(number)
    return write_turn(number, format_address(track.peer)) + CONTINUED * track.was_renamed


@lru_cache(1000)
def _write_ticks(ticks: int) -> bytes:
    return write_time(ticks / _TICKS)


def _is_reset(reason: Failure) -> bool:
    """Return whether a peer has reset; ``ConnectionAborted`` says that the relay has."""
    return bool(reason.check(ConnectionLost)) and not reason.check(ConnectionAborted)


def _lost_line(count: int) -> bytes:
    return b"# %d lines were lost here: the file could not be written\n" % count


def _check_kind(path: str | Path) -> None:
    """
    Check that the file at *path* is a recording, if it exists and can be read.

    :raises ValueError: it is not.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            found = file.read(len(BEGINNING))
    except (OSError, ValueError):  # it is new, or only writable, or a pipe
        return
    if not BEGINNING.encode().startswith(found):
        raise ValueError("expected a recording, or no file: it has other contents")
