"""
Follower: how far one connection has come in a track.

Compares what a client sends with what was recorded, and says which steps are due.  Bytes are
compared by slices, however they were cut.  Knows neither connections nor other tracks.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

from reqresp.recording._tracks import Echo, Literal, Run, Track
from reqresp.steps import Send, Step, Wait

#: Bytes that a mark without a size may stand for.
MAX_MARK_BYTES = 64 * 1024
#: Bytes before a difference, and from it on, that are kept of both sides.
_BEFORE, _AFTER = 16, 24


@frozen
class Difference:
    """
    Where what a client has sent differs from what was recorded.

    :param position: how many bytes of the client came before.
    :param line: of the recording; 0: the recorded conversation has ended, or is not of a file.
    :param expected: bytes of the recording around *position*; empty: it has ended.
    :param found: bytes of the client around *position*.
    :param at: the index of *position* in both.
    :param problem: what is wrong instead of a byte; empty: a byte is.
    """

    position: int
    line: int
    expected: bytes
    found: bytes
    at: int
    problem: str = ""


class Follower:
    """Follows *track* from its beginning."""

    __slots__ = ("_offset", "_part", "_run", "_turn", "_values", "position", "track")

    def __init__(self, track: Track) -> None:
        self.track = track
        #: How many bytes of the client were as recorded.
        self.position = 0
        self._turn = 0
        self._part = 0
        self._offset = 0  # in the literal that is expected
        self._run = b""  # of a mark whose end has not come
        self._values: dict[str, bytes] = {}

    @property
    def place(self) -> tuple[int, int, int]:
        """The turn, the part of it, and the byte of a literal, that the client has come to."""
        return self._turn, self._part, self._offset

    def begin(self) -> list[Step]:
        """Return what the server says before the client sends anything."""
        steps: list[Step] = []
        if self.track.says_first:
            self._complete(steps)
        return steps

    def feed(self, data: bytes) -> tuple[list[Step], Difference | None]:
        """
        Return the steps that are due after *data* has arrived, and where it differs.

        After a difference, the follower cannot be used again.
        """
        steps: list[Step] = []
        turns = self.track.turns
        start, at = self.position, 0
        while at < len(data):
            self.position = start + at
            if self._turn == len(turns):
                return steps, Difference(self.position, 0, b"", data[at : at + _AFTER], 0)
            turn = turns[self._turn]
            expected = turn.expects[self._part]
            if isinstance(expected, Run):
                size = self._feed_run(expected, data, at)
            else:
                size = self._feed_literal(expected, data, at)
            if isinstance(size, Difference):
                return steps, size
            at += size
            if self._part == len(turn.expects):
                self._complete(steps)
        self.position = start + at
        return steps, None

    def _feed_literal(self, expected: Literal, data: bytes, at: int) -> int | Difference:
        """Return how many bytes of *data* at *at* are those of *expected* that come next."""
        offset, wanted = self._offset, expected.data
        size = min(len(wanted) - offset, len(data) - at)
        want, have = wanted[offset : offset + size], data[at : at + size]
        if want != have:
            same = _same(want, have)
            offset += same
            self.position += same
            before = wanted[max(0, offset - _BEFORE) : offset]
            return Difference(
                self.position,
                expected.line(offset),
                before + wanted[offset : offset + _AFTER],
                before + data[at + same : at + same + _AFTER],
                len(before),
            )
        self._offset += size
        if self._offset == len(wanted):
            self._next_part()
        return size

    def _feed_run(self, expected: Run, data: bytes, at: int) -> int | Difference:
        """Return how many bytes of *data* at *at* are those of a mark."""
        name, size, end = expected.mark.name, expected.mark.size, expected.end
        kept = len(self._run)
        if size is not None:
            run = self._run + data[at : at + size - kept]
            self._run = run
            if len(run) == size:
                self._take(name, run)
            return len(run) - kept
        most = MAX_MARK_BYTES + len(end)
        run = self._run + data[at : at + most - kept]
        found = run.find(end, max(0, kept - len(end) + 1))
        if found >= 0:
            self._take(name, run[:found])
            self._offset = max(0, kept - found)  # this much of the end has come before
            return max(0, found - kept)
        self._run = run
        if len(run) < most:
            return len(run) - kept
        problem = rf"\<{name}> has no end in {MAX_MARK_BYTES} bytes"
        return Difference(self.position, expected.first_line, end, run[-_AFTER:], 0, problem)

    def _take(self, name: str, value: bytes) -> None:
        self._values[name] = value
        self._next_part()

    def _next_part(self) -> None:
        self._part += 1
        self._offset = 0
        self._run = b""

    def _complete(self, steps: list[Step]) -> None:
        """Add what the server says in this turn to *steps*, and begin the next turn."""
        said = self.track.turns[self._turn].says
        steps += [it.fill(self._values) if isinstance(it, Echo) else it for it in said]
        self._turn += 1
        self._part = 0


class Alternative:
    """
    Another conversation that a connection may be meant to follow.

    Compares only what is new each time: a client may send a long conversation byte by byte.
    """

    __slots__ = ("_differs", "_heard", "_more", "_said", "follower")

    def __init__(self, track: Track) -> None:
        self.follower = Follower(track)
        self._differs = False
        self._heard = 0  # bytes of the client that were compared
        self._said = 0  # steps of the server that were compared
        self._more = self.follower.begin()  # what it says after these

    def reply(self, heard: bytearray, said: Sequence[Step]) -> Sequence[Step]:
        """
        Return what it says after all of *heard* and *said*; empty: nothing yet, or it differs.

        Both are as in the last call, with more at their ends.  After a reply, the follower has come
        to its end, and this must not be called again.
        """
        if self._differs:
            return ()
        more, difference = self.follower.feed(bytes(heard[self._heard :]))
        self._heard = len(heard)
        self._more += more
        new = said[self._said :]
        rest = rest_after(new, self._more)
        if difference is not None or (rest is None and rest_after(self._more, new) is None):
            self._differs = True
            self._more = []
            return ()
        if rest is None:  # it says this later, or never
            return ()
        self._said, self._more = len(said), []
        return rest


def _same(one: bytes, other: bytes) -> int:
    """Return how many first bytes of both, which have the same size, are the same."""
    same, end = 0, len(one)
    while same < end:  # half of what is left at each step, as both may be long
        middle = (same + end + 1) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same


def rest_after(said: Sequence[Step], steps: Sequence[Step]) -> list[Step] | None:
    """
    Return what is left of *steps* after *said*; None: *steps* do not begin with it.

    How bytes are cut, and when they are sent, makes no difference.
    """
    left = iter(steps)
    have = b""
    for step in said:
        if isinstance(step, Wait):
            continue
        want = step.data if isinstance(step, Send) else b""
        if not isinstance(step, Send) and (have or _next_but_waits(left) != step):
            return None
        while want:
            if not have:
                following = _next_but_waits(left)
                if not isinstance(following, Send):
                    return None
                have = following.data
            size = min(len(want), len(have))
            if want[:size] != have[:size]:
                return None
            want, have = want[size:], have[size:]
    rest: list[Step] = [Send(have)] if have else []
    return [*rest, *left]


def _next_but_waits(steps: Iterator[Step]) -> Step | None:
    return next((it for it in steps if not isinstance(it, Wait)), None)
