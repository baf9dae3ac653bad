"""
Segments of TCP, as a capture has them, put in order again.

Knows neither captures nor recordings' notation.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush

from attrs import define, field, frozen

from reqresp._errors import MAX_FLOAT
from reqresp.recording.conversations import Conversation, End, Event, Sender

#: Bytes and segments of one side that wait for those before them.
MAX_EARLY_BYTES = 4 * 1024 * 1024
MAX_EARLY_SEGMENTS = 10_000

_MODULUS = 2**32

Endpoint = tuple[str, int]


@frozen
class Segment:
    """
    What one packet carries.

    :param at: when, in seconds.
    :param sequence: the number of its first byte.
    :param acknowledged: the number of the next byte that its sender expects; None: not known.
    """

    at: float
    source: Endpoint
    target: Endpoint
    sequence: int
    acknowledged: int | None
    data: bytes = b""
    syn: bool = False
    fin: bool = False
    reset: bool = False


@frozen
class Piece:
    """
    What one side has sent.

    :param known: how much of the other side, its EOF included, had arrived there by then.
    """

    at: float
    known: int
    what: bytes | End

    @property
    def size(self) -> int:
        """How much the other side acknowledges for it: EOF counts as one byte."""
        return len(self.what) if isinstance(self.what, bytes) else 1


@define
class _Stream:
    """What one side sends, from the number *first* on; positions are relative to that."""

    first: int | None = None
    size: int = 0  # of what is in order, EOF included
    pieces: list[Piece] = field(factory=list)
    acknowledged: int = 0  # by the other side
    end: int | None = None  # the position of EOF
    is_broken: bool = False  # too much is missing
    early: list[tuple[int, float, int, bytes]] = field(factory=list)  # a heap
    early_bytes: int = 0

    @property
    def missing(self) -> int:
        """How many bytes the capture lacks before others that it has."""
        next_ = self.early[0][0] if self.early else self.acknowledged
        return max(0, next_ - self.size)

    def position(self, number: int) -> int:
        """Return the position of the sequence *number* that is nearest to what comes next."""
        ahead = (number - (self.first or 0) - self.size) % _MODULUS
        return self.size + ahead - (_MODULUS if ahead >= _MODULUS // 2 else 0)

    def add(self, at: float, start: int, known: int, data: bytes) -> bool:
        """Add *data*, which begins at the position *start*; return whether it may be kept."""
        if self.is_broken or not data or start + len(data) <= self.size:
            return False
        heappush(self.early, (start, at, known, data))
        self.early_bytes += len(data)
        if self.early_bytes > MAX_EARLY_BYTES or len(self.early) > MAX_EARLY_SEGMENTS:
            self.is_broken = True
            del self.early[1:]  # the first one says how much is missing
            return False
        while self.early and self.early[0][0] <= self.size and not self.has_ended:
            start, at, known, data = heappop(self.early)
            self.early_bytes -= len(data)
            new = data[self.size - start :]
            if new:
                self.pieces.append(Piece(at, known, new))
                self.size += len(new)
        return True

    def finish(self, at: float, known: int) -> None:
        """Add EOF, if everything before has come."""
        if self.end is not None and self.size >= self.end and not self.has_ended:
            self.pieces.append(Piece(at, known, End.EOF))
            self.size += 1

    @property
    def has_ended(self) -> bool:
        """Whether EOF has come."""
        return bool(self.pieces) and self.pieces[-1].what is End.EOF


class TCPConnection:
    """A connection from *client* to *server*, whose first SYN is *segment*."""

    def __init__(self, segment: Segment) -> None:
        self.client, self.server = segment.source, segment.target
        self._sides = {Sender.CLIENT: _Stream(), Sender.SERVER: _Stream()}
        self._at = segment.at
        self._reset: tuple[Sender, float] | None = None
        self.add(segment)

    def begins_with(self, segment: Segment) -> bool:
        """Return whether *segment* is the SYN that this connection begins with, sent again."""
        first = self._sides[Sender.CLIENT].first
        return segment.source == self.client and first == (segment.sequence + 1) % _MODULUS

    @property
    def is_established(self) -> bool:
        """Whether the server has accepted it."""
        return self._sides[Sender.SERVER].first is not None

    def add(self, segment: Segment) -> int:
        """Add *segment*, which one side has sent; return how many bytes of it may be kept."""
        sender = Sender.CLIENT if segment.source == self.client else Sender.SERVER
        stream = self._sides[sender]
        other = self._sides[Sender.SERVER if sender is Sender.CLIENT else Sender.CLIENT]
        if self._reset is not None:
            return 0
        if segment.syn and stream.first is None:
            stream.first = (segment.sequence + 1) % _MODULUS
            self._at = segment.at
        if stream.first is None:
            return 0
        known = 0
        if segment.acknowledged is not None and other.first is not None:
            known = max(0, other.position(segment.acknowledged))
            other.acknowledged = max(other.acknowledged, known)
        start = stream.position(segment.sequence + segment.syn)
        if segment.fin and stream.end is None:
            stream.end = start + len(segment.data)
        is_kept = stream.add(segment.at, start, known, segment.data)
        stream.finish(segment.at, known)
        if segment.reset:
            self._reset = sender, segment.at
        return len(segment.data) if is_kept else 0

    def gaps(self) -> Iterator[tuple[Sender, int]]:
        """Yield each side of which bytes are missing, and how many."""
        for sender, stream in self._sides.items():
            if stream.missing:
                yield sender, stream.missing

    def conversation(self, number: int) -> Conversation | None:
        """
        Return what was said, up to a gap; None: nothing was.

        What the server sends comes after as many bytes of the client as it had acknowledged: it
        cannot have seen more.
        """
        events: list[Event] = []
        last = self._at
        for sender, piece in self._in_order():
            after = min(max(0.0, piece.at - last), MAX_FLOAT)
            last = max(last, piece.at)
            what = piece.what
            events.append(Event(sender, what if isinstance(what, End) else (what,), after))
        if not events:
            return None
        host, port = self.client
        peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return Conversation(number, peer, tuple(events))

    def _in_order(self) -> Iterator[tuple[Sender, Piece]]:
        client, server = self._sides[Sender.CLIENT], self._sides[Sender.SERVER]
        waiting = deque(client.pieces)
        sent = known = 0
        for piece in server.pieces:
            known = max(known, piece.known)
            if known > client.size:
                break
            while sent < known:
                it = waiting.popleft()
                if isinstance(it.what, bytes) and sent + it.size > known:
                    waiting.appendleft(Piece(it.at, it.known, it.what[known - sent :]))
                    it = Piece(it.at, it.known, it.what[: known - sent])
                yield Sender.CLIENT, it
                sent += it.size
            yield Sender.SERVER, piece
        for it in waiting:
            if it.known > server.size:
                break
            yield Sender.CLIENT, it
        if self._reset is not None and not any(it.missing for it in (client, server)):
            sender, at = self._reset
            yield sender, Piece(at, 0, End.RESET)
