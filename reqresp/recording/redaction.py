"""
Redaction: secrets among what is recorded, replaced before they are written.

Finds patterns in the bytes of one side, however reads have cut them.  It must not know how a
recording is written.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen

from reqresp._re2 import compile_pattern, match_range
from reqresp.recording.conversations import MARK_NAME, Data, End, Mark, Sender, join_data

#: Bytes that a secret may have, and what the pattern matches around it, to be found surely.
MAX_SECRET_BYTES = 4096
#: Bytes of a conversation that wait until it is known whether they are part of a secret.
MAX_HELD_BYTES = 64 * 1024
#: Bytes by which the beginning of a match is told from other bytes.
_RANGE_BYTES = 32
#: What replaces each byte of a secret that the server sends.
FILLER = b"*"


@frozen
class Redaction:
    """
    A pattern of secrets.

    :param names: of each group that is replaced, by its number; 0 is the whole match.
    """

    pattern: Any
    names: tuple[tuple[int, str], ...]
    #: Before and after all that *pattern* matches; None: it can begin with anything.
    _range: tuple[bytes, bytes] | None = field(init=False, eq=False)

    @_range.default
    def _find_range(self) -> tuple[bytes, bytes] | None:
        return match_range(self.pattern, _RANGE_BYTES)

    def may_begin_with(self, data: bytes) -> bool:
        """Return whether *data* may be the beginning of a match; False is certain."""
        if self._range is None:
            return True
        first, last = self._range
        return data <= last and (data >= first or first.startswith(data))


def make_redactions(patterns: Iterable[str | bytes]) -> tuple[Redaction, ...]:
    """
    Return what is redacted: what the groups of each pattern match, or, without groups, all of it.

    A group with a name, as in ``PASS (?P<password>.*)``, names the secret.

    :raises ValueError: RE2 refuses a pattern, or a name is too long or begins with a digit.
    """
    redactions = []
    count = 0
    for text in patterns:
        pattern = compile_pattern(os.fsencode(text))
        given = {number: os.fsdecode(name) for name, number in pattern.groupindex.items()}
        names = []
        for group in range(1, pattern.groups + 1) if pattern.groups else (0,):
            count += group not in given
            name = given.get(group, f"redacted-{count}")
            if not MARK_NAME.fullmatch(name):
                raise ValueError(f"expected a name such as password for a group, found {name!r}")
            names.append((group, name))
        redactions.append(Redaction(pattern, tuple(names)))
    return tuple(redactions)


def redacted_names(redactions: Iterable[Redaction]) -> tuple[str, ...]:
    """Return the names of *redactions*, each once."""
    return tuple(dict.fromkeys(name for it in redactions for _, name in it.names))


@define
class _Side:
    """
    What one side has sent and was not returned.

    Indexes are of *data*, which begins with one byte that was returned: patterns can look at it.
    """

    data: bytes = b""
    place: int = 0  # where what was not returned begins
    decided: int = 0  # where it is not decided any more what is secret
    begun: int = 0  # where to search from: before *decided* if that was decided too early
    spans: deque[tuple[int, int, str]] = field(factory=deque)  # the secrets before that, in order

    def search(self, redactions: Iterable[Redaction], reserve: int) -> None:
        """Find secrets.  What begins among the last *reserve* bytes may go on, and waits."""
        limit = max(self.begun, len(self.data) - reserve)
        found = [
            (match, names)
            for pattern, names in ((it.pattern, it.names) for it in redactions)
            for match in pattern.finditer(self.data, self.begun)
        ]
        if reserve:
            # From the last one on: whatever begins later is not decided then, either.
            for start, end in sorted((it.span() for it, _ in found), reverse=True):
                limit = min(limit, start) if end > limit else limit
        spans = [
            (*match.span(group), name)
            for match, names in found
            if match.end() <= limit
            for group, name in names
        ]
        end = self.decided
        for begin, stop, name in sorted(spans, key=lambda it: (it[0], -it[1])):
            if max(begin, end) < stop:
                self.spans.append((max(begin, end), stop, name))
                end = stop
        self.begun = limit
        self.decided = max(self.decided, limit)

    def decide(self, redactions: Iterable[Redaction]) -> None:
        """Decide about everything: what may be the beginning of a secret counts as one."""
        end = len(self.data)
        at = max(self.begun, end - MAX_SECRET_BYTES)
        complete = {
            match.start(): match.end()
            for it in redactions
            for match in it.pattern.finditer(self.data, at)
            if match.start() < match.end() < end
        }
        self.search(redactions, 0)
        while at < end:
            if at in complete:
                at = complete[at]
                continue
            beginning = self.data[at : at + 2 * _RANGE_BYTES]
            name = next((it.names[0][1] for it in redactions if it.may_begin_with(beginning)), "")
            if name:
                break
            at += 1
        else:
            return
        self.begun = at
        cut = [(begin, min(stop, at), name) for begin, stop, name in self.spans if begin < at]
        self.spans = deque([*cut, (max(at, self.place), end, name)])

    def take(self, size: int, replace: "_Replace") -> Data:
        """Return the next *size* bytes, which are decided, with the result of *replace*."""
        parts: list[bytes | Mark] = []
        end = self.place + size
        while self.spans and self.spans[0][0] < end:
            begin, stop, name = self.spans[0]
            parts.append(self.data[self.place : begin])
            here, until = max(begin, self.place), min(stop, end)
            is_followed = stop < end and (len(self.spans) == 1 or self.spans[1][0] > stop)
            parts.append(replace(name, here - begin, stop - begin, until - here, is_followed))
            self.place = until
            if stop > end:
                return join_data(parts)
            self.spans.popleft()
        parts.append(self.data[self.place : end])
        self.place = end
        return join_data(parts)

    def split(self, size: int, turn: Callable[[], int]) -> None:
        """
        Split a secret that goes on after the next *size* bytes where the turn of this side ends.

        :param turn: returns how many bytes come before the other side says something.
        """
        for index, (begin, stop, name) in enumerate(self.spans):
            if begin >= self.place + size:
                return
            if stop > self.place + size:
                at = self.place + turn()
                if at < stop:
                    self.spans[index] = begin, at, name
                    self.spans.insert(index + 1, (at, stop, name))
                return

    def forget(self) -> None:
        """Drop what was returned, but for the last byte."""
        gone = max(0, min(self.place, self.begun) - 1)
        self.data = self.data[gone:]
        self.place -= gone
        self.decided -= gone
        self.begun -= gone
        self.spans = deque((begin - gone, stop - gone, name) for begin, stop, name in self.spans)


#: Returns what stands for a part of a secret: its name, where the part begins in it, the sizes of
#: the secret and of the part, and whether other bytes of the same read follow.
_Replace = Callable[[str, int, int, int, bool], bytes | Mark]


def _mark(name: str, at: int, size: int, part: int, is_followed: bool) -> bytes | Mark:  # noqa: ARG001
    """Return a mark for a secret of the client: in a replay, it may be another one."""
    if at:
        return b""  # it was marked where it begins
    return Mark(name, None if is_followed else size)


def _fill(name: str, at: int, size: int, part: int, is_followed: bool) -> bytes | Mark:  # noqa: ARG001
    """Return bytes of the same size for a secret of the server, which a replay can send."""
    return FILLER * part


_REPLACE = {Sender.CLIENT: _mark, Sender.SERVER: _fill}


class Redactor:
    """
    Replaces the secrets of one conversation.

    What is added comes out again in the same order, once enough has followed, or at the end.
    """

    def __init__(self, redactions: Iterable[Redaction]) -> None:
        self._redactions = tuple(redactions)
        self._queue: deque[tuple[float, Sender, bytes | End]] = deque()
        self._held = 0  # bytes in it
        self._sides = {sender: _Side() for sender in Sender}

    @property
    def kept(self) -> int:
        """How many bytes it keeps."""
        return sum(len(side.data) for side in self._sides.values())

    def redact(
        self, events: Sequence[tuple[float, Sender, bytes | End]], *, is_last: bool = False
    ) -> Iterator[tuple[float, Sender, Data | End]]:
        """
        Add *events*, each with its time, and yield those that are decided, of earlier ones, too.

        :param is_last: whether nothing more comes, which could be part of a secret.
        """
        self._queue.extend(events)
        for sender, side in self._sides.items():
            new = [what for _, by, what in events if by is sender and isinstance(what, bytes)]
            self._held += sum(map(len, new))
            side.data = b"".join([side.data, *new])
            side.search(self._redactions, 0 if is_last else MAX_SECRET_BYTES)
        while self._queue:
            at, sender, what = self._queue[0]
            if isinstance(what, End):
                self._queue.popleft()
                yield at, sender, what
                continue
            side = self._sides[sender]
            if side.place == side.decided and self._held > MAX_HELD_BYTES:
                side.decide(self._redactions)
            size = min(len(what), side.decided - side.place)
            if not size:
                break
            # In a replay, the other side speaks once all of a mark has come.
            side.split(size, partial(self._turn, sender))
            if data := side.take(size, _REPLACE[sender]):
                yield at, sender, data
            self._held -= size
            self._queue.popleft()
            if size < len(what):
                self._queue.appendleft((at, sender, what[size:]))
        for side in self._sides.values():
            side.forget()

    def _turn(self, sender: Sender) -> int:
        """Return how many bytes of *sender* wait before the other side says something."""
        size = 0
        for _, by, what in self._queue:
            if isinstance(what, bytes):
                if by is not sender:
                    break
                size += len(what)
        return size
