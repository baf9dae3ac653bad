"""
Recorder: what passes a relay, appended to a file.

Events are kept as they come, and formatted and written together a moment later.  It must not know
what becomes of a recording.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from attrs import define
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from reqresp._files import open_regular
from reqresp._line_file import Content, LineFile
from reqresp._text import format_address
from reqresp.recording.conversations import Data, End, Header, Sender
from reqresp.recording.notation import BEGINNING, TORN
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
#: The shortest time that is recorded, in seconds, and its decimal places.
SHORTEST_TIME = 0.0001
TIME_PLACES = 4

#: What waits in a recorder: connection, time, sender and data.  No sender: the connection is lost.
_Kept = tuple[int, float, Sender | None, bytes | End]
#: The comment in a new file after the beginning of a conversation that has begun in another.
CONTINUED = b"# continued: it has begun in a file that was renamed\n"

_UP, _CLIENT, _SERVER = Direction.UPSTREAM, Sender.CLIENT, Sender.SERVER


@define
class _Track:
    """A connection that is open."""

    peer: IAddress
    last: float  # when what the line before says has happened, by the clock
    redactor: Redactor | None
    is_open: bool = False  # the service is connected
    has_begun: bool = False  # in this file
    was_renamed: bool = False  # it has begun in a file before
    is_over: bool = False  # it was reset, or lines of it were lost


class Recorder(Observer):
    """
    Records what passes a relay, for ``RelayFactory(..., observers=[Recorder(...)])``.

    The file has all bytes as they arrive, before any fault, EOF, and resets by a peer.  A
    connection on which nothing has passed leaves nothing in it.  See `LineFile` for what happens
    if it cannot be written.  A conversation of which lines were lost is not continued.

    :param clock: measures times; the reactor.
    :param service: what is recorded, such as ``127.0.0.1:6379``, for the header.
    :param redact: patterns of RE2.  What their groups match, or, without groups, all that they
        match, is not recorded: see `make_redactions`.
    :param now: returns the time, in seconds since the epoch.
    :raises OSError: the file cannot be opened.
    :raises ValueError: the file is not a recording, or a pattern is wrong.
    """

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
        self._events: list[_Kept] = []
        self._size = 0
        self._timer: IDelayedCall | None = None
        self._turn = 0  # the conversation of the last line
        _check_kind(path)
        content = Content("recording", "lines", _lost_line, self._begin)
        #: The file.
        self.file = LineFile(path, clock, content, flush_size=1)

    # Events of the relay

    def connected(self, peer: IAddress, connection: int) -> None:
        redactor = Redactor(self._redactions) if self._redactions else None
        self._tracks[connection] = _Track(peer, self._seconds(), redactor)

    def upstream_opened(self, peer: IAddress, connection: int) -> None:  # noqa: ARG002
        track = self._tracks[connection]
        track.is_open = True
        if not track.has_begun:
            track.last = self._seconds()

    def passed(self, peer: IAddress, connection: int, direction: Direction, data: bytes) -> None:  # noqa: ARG002
        sender = _CLIENT if direction is _UP else _SERVER
        self._events.append((connection, self._seconds(), sender, data or End.EOF))
        self._size += len(data) + EVENT_BYTES
        if self._timer is None or self._size >= WRITE_BYTES:
            self._write_soon()

    def upstream_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002
        if _is_reset(reason):
            self._add(connection, _SERVER)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002
        if _is_reset(reason):
            self._add(connection, _CLIENT)
        self._add(connection, None)

    def _add(self, connection: int, reset_by: Sender | None) -> None:
        """Add that *reset_by* has reset the connection; None: that it is lost."""
        track = self._tracks.get(connection)
        if track is not None and (track.is_open or reset_by is None):
            self._events.append((connection, self._seconds(), reset_by, End.RESET))
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
        events, self._events = self._events, []
        self._size = 0
        lines: list[bytes] = []
        if self._redactions:
            self._format_redacted(events, lines)
        else:
            self._format(events, lines)
        if lines and not self.file.add(b"".join(lines)):
            self._give_up({number for number, *_ in events})

    def reopen(self) -> None:
        """Continue in a new file of the same name, if logrotate, for example, renamed this one."""
        self.flush()
        self.file.flush()
        if self.file.waiting:  # in another file, these lines would have no beginning
            self.file.discard()
            self._give_up(self._tracks)
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

    def _start_anew(self) -> None:
        self._turn = 0
        for track in self._tracks.values():
            track.was_renamed = track.was_renamed or track.has_begun
            track.has_begun = False

    def _give_up(self, numbers: Iterable[int]) -> None:
        """Record no more of the conversations *numbers*: lines of them were lost."""
        self._turn = 0
        for number in numbers:
            if number in self._tracks:
                self._tracks[number].is_over = True

    def _begin(self, is_torn: bool) -> bytes:
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now()))
        header = write_header(Header(made, self._service, redacted_names(self._redactions)))
        return (b"\n" + TORN if is_torn else b"") + header

    def _flush_on_time(self) -> None:
        self._timer = None
        self.flush()

    # Lines

    def _format(self, events: Iterable[_Kept], lines: list[bytes]) -> None:
        """Add the lines of *events*."""
        for number, at, sender, what in events:
            if sender is None:
                self._tracks.pop(number, None)
            else:
                self._format_event(number, at, sender, what, lines)

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
        for at, sender, what in track.redactor.redact(events, is_last=is_last):
            self._format_event(number, at, sender, what, lines)

    def _format_event(
        self, number: int, at: float, sender: Sender, what: bytes | Data | End, lines: list[bytes]
    ) -> None:
        track = self._tracks.get(number)
        if track is None or track.is_over:
            return
        if number != self._turn:
            self._turn = number
            lines.append(_turn_to(number, track))
        after = at - track.last
        if after >= SHORTEST_TIME:
            after = round(after, TIME_PLACES)
            track.last += after  # what is rounded does not add up
            lines.append(write_time(after))
        if isinstance(what, bytes):
            lines.append(write_bytes(sender, what))
        elif isinstance(what, End):
            lines.append(write_end(sender, what))
            track.is_over = what is End.RESET
        else:
            lines.append(write_data(sender, what))


def _turn_to(number: int, track: _Track) -> bytes:
    """Return the line that turns to conversation *number*; the first one names the client."""
    if track.has_begun:
        return write_turn(number)
    track.has_begun = True
    return write_turn(number, format_address(track.peer)) + CONTINUED * track.was_renamed


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
