"""
Tracks: recorded conversations, made ready to be replayed.

A track is a list of turns: what the client sends, and what the server then says, as steps.  Knows
neither connections nor files.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf

from attrs import define, field, frozen

from reqresp.recording.conversations import Conversation, End, Event, Mark, Places, Sender
from reqresp.steps import Abort, Close, HalfClose, Send, Step, Wait

#: Bytes of one `Send`: a client that does not read is noticed after this many.
PIECE_BYTES = 64 * 1024
#: After so many steps of one turn, other connections have their turn.
STEPS_PER_BREAK = 16
#: The first bytes of a client by which its conversation is looked for.
MAX_OPENING_BYTES = 256
#: The most bytes of a literal that end the run of a mark without a size.
MAX_END_BYTES = 16

_BREAK = Wait(0)


@frozen
class Literal:
    """
    Bytes that the client sends.

    :param places: where each line of the file begins in *data*, and its number.
    """

    data: bytes
    places: Places

    def line(self, at: int) -> int:
        """Return the line of the recording that has the byte at *at*."""
        return self.places[bisect_right(self.places, (at, inf)) - 1][1]

    def from_line_of(self, at: int) -> "Literal":
        """Return what is left from the beginning of the line that has the byte at *at*."""
        first = bisect_right(self.places, (at, inf)) - 1
        start = self.places[first][0]
        places = tuple((place - start, line) for place, line in self.places[first:])
        return Literal(self.data[start:], places)


@frozen
class Run:
    """
    Bytes that differ each time.

    :param end: the bytes that follow the run; empty: the mark has a size.
    """

    mark: Mark
    end: bytes
    first_line: int

    def line(self, at: int) -> int:  # noqa: ARG002 (as of a literal)
        """Return the line of the recording that has the mark."""
        return self.first_line


@frozen
class Echo:
    """A step that sends bytes with the values of marks in between."""

    parts: tuple[bytes | Mark, ...]

    def fill(self, values: dict[str, bytes]) -> Send:
        """Return the step for the *values* of marks, by their names."""
        data = (it if isinstance(it, bytes) else values[it.name] for it in self.parts)
        return Send(b"".join(data))


@frozen
class Turn:
    """What the client sends, and what the server says after it has arrived."""

    expects: tuple[Literal | Run, ...]
    says: tuple[Step | Echo, ...]

    @property
    def size(self) -> int:
        """Return how many bytes the client sends, without marks."""
        return sum(len(it.data) for it in self.expects if isinstance(it, Literal))


@define(eq=False)
class Track:
    """
    A conversation, and how far connections have followed it.

    :param line: of its first event in the file.
    :param used: how many connections have followed it.
    :param reached: the turn, the part of it, and the byte, that a connection has come to.
    """

    number: int
    line: int
    turns: tuple[Turn, ...]
    used: int = 0
    reached: tuple[int, int, int] = (0, 0, 0)
    #: The first bytes that the client sends, up to a mark.
    opening: bytes = field(init=False)
    #: How many bytes the client has sent at the end of each turn; None: marks vary them.
    ends: tuple[int, ...] | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        parts = [part for turn in self.turns for part in turn.expects]
        first = parts[0] if parts else None
        self.opening = first.data[:MAX_OPENING_BYTES] if isinstance(first, Literal) else b""
        self.ends = None
        if not any(isinstance(it, Run) for it in parts):
            self.ends = tuple(accumulate(turn.size for turn in self.turns))

    @property
    def says_first(self) -> bool:
        """Whether the server says something before the client."""
        return not self.turns[0].expects

    def anew(self) -> "Track":
        """Return the same track, which no connection has followed."""
        return Track(self.number, self.line, self.turns)

    def may_end_turn_at(self, size: int) -> bool:
        """Return whether the server may say something after *size* bytes of the client."""
        if self.ends is None:
            return True
        index = bisect_left(self.ends, size)
        return index < len(self.ends) and self.ends[index] == size

    def next_expected(self) -> Literal | Run | None:
        """
        Return what the client has never sent; None: it has sent everything.

        All of a line that it has begun counts.
        """
        turn, part, at = self.reached
        left = [it for turn in self.turns[turn : turn + 1] for it in turn.expects[part:]]
        left += [it for turn in self.turns[turn + 1 :] for it in turn.expects]
        first = next(iter(left), None)
        return first.from_line_of(at) if isinstance(first, Literal) else first


def make_track(conversation: Conversation, pace: float) -> Track | None:
    """
    Return the track of *conversation*; None: nothing happens in it.

    :param pace: the recorded times are multiplied by this; 0: everything is sent at once.
    """
    halves = [*_halves(conversation.events)]
    if not halves:
        return None
    turns = tuple(
        Turn(tuple(_expected(client)), tuple(_said(server, pace, is_last=number == len(halves))))
        for number, (client, server) in enumerate(halves, 1)
    )
    return Track(conversation.number, conversation.events[0].line, turns)


def _halves(events: Sequence[Event]) -> Iterator[tuple[list[Event], list[Event]]]:
    """Yield what the client and then the server does in each turn, without what does not matter."""
    client: list[Event] = []
    server: list[Event] = []
    for event in _relevant(events):
        if event.sender is Sender.CLIENT and server:
            yield client, server
            client, server = [], []
        (client if event.sender is Sender.CLIENT else server).append(event)
    if client or server:
        yield client, server


def _relevant(events: Sequence[Event]) -> Iterator[Event]:
    """
    Yield the data, and the ends of the server that do not just follow an end of the client.

    A connection ends by itself after the client has ended its side, which may now come earlier
    than when it was recorded: so it is not waited for.
    """
    has_ended = False
    for event in events:
        if event.sender is Sender.SERVER:
            if not (has_ended and event.data is End.EOF):
                yield event
        elif isinstance(event.data, End):
            has_ended = True
        else:
            yield event


def _expected(events: Sequence[Event]) -> Iterator[Literal | Run]:
    """Yield what the client sends in a turn, however it was cut."""
    parts = [located for event in events for located in event.located()]
    at = 0
    while at < len(parts):
        part, [(_, line), *_] = parts[at]
        if isinstance(part, Mark):
            yield Run(part, _end_of(part, parts[at + 1 : at + 2]), line)
            at += 1
            continue
        pieces: list[bytes] = []
        places: list[tuple[int, int]] = []
        size = 0
        while at < len(parts) and isinstance(piece := parts[at][0], bytes):
            places += ((size + start, line) for start, line in parts[at][1])
            pieces.append(piece)
            size += len(piece)
            at += 1
        yield Literal(b"".join(pieces), tuple(places))


def _end_of(mark: Mark, following: Sequence[tuple[bytes | Mark, Places]]) -> bytes:
    """Return the bytes that end *mark*; if it has no size, *following* begins with bytes."""
    if mark.size is not None:
        return b""
    end = b"".join(it for it, _ in following if isinstance(it, bytes))[:MAX_END_BYTES]
    return end[: end.find(b"\n") + 1] or end


def _said(events: Sequence[Event], pace: float, *, is_last: bool) -> Iterator[Step | Echo]:
    """Yield the steps of the server in one turn."""
    count = 0
    for step in _paced(events, pace, is_last=is_last):
        count = 0 if isinstance(step, Wait) else count + 1
        if count > STEPS_PER_BREAK:
            count = 1
            yield _BREAK
        yield step


def _paced(events: Sequence[Event], pace: float, *, is_last: bool) -> Iterator[Step | Echo]:
    parts: list[bytes | Mark] = []
    for number, event in enumerate(events, 1):
        seconds = event.after * pace
        if parts and (seconds or isinstance(event.data, End)):
            yield from _sends(parts)
            parts = []
        if seconds:
            yield Wait(seconds)
        if not isinstance(event.data, End):
            parts += event.data
        elif event.data is End.RESET:
            yield Abort()
        else:
            yield Close() if is_last and number == len(events) else HalfClose()
    if parts:
        yield from _sends(parts)


def _sends(parts: Sequence[bytes | Mark]) -> Iterator[Step | Echo]:
    if any(isinstance(it, Mark) for it in parts):
        yield Echo(tuple(parts))
        return
    data = b"".join(parts)  # type: ignore[arg-type]  # no mark is among them
    for at in range(0, len(data), PIECE_BYTES):
        yield Send(data[at : at + PIECE_BYTES])
