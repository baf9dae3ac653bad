"""
Conversations: what clients and a service have sent to each other, as frozen values.

It must not know how they are written, or what becomes of them.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import groupby
from math import inf
from typing import Any

from attrs import field, frozen

from reqresp._errors import Problem

#: What the name of a `Mark` can be.
MARK_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")


class Sender(Enum):
    """Which side sends; the value is its sign in a recording."""

    CLIENT = ">"
    SERVER = "<"

    # There is one object of each.  Enum's own is a function of Python, 0.3 us.
    __hash__ = object.__hash__


class End(Enum):
    """How a side ends; the value is the word in a recording."""

    EOF = "eof"
    RESET = "reset"


@frozen
class Mark:
    r"""
    Bytes that differ each time, such as a nonce, under a *name*.

    :param size: how many bytes; None: as few as possible, up to the bytes that follow the mark.
    """

    name: str
    size: int | None = None

    @property
    def text(self) -> str:
        """How it is written."""
        return rf"\<{self.name}>" if self.size is None else rf"\<{self.name}:{self.size}>"


#: What one side sends: bytes, and marks among them.  No two parts in a row are bytes.
Data = tuple[bytes | Mark, ...]
#: Where lines of a file begin in what they say, and their numbers.
Places = tuple[tuple[int, int], ...]


def join_data(parts: Iterable[bytes | Mark]) -> Data:
    """Return *parts* as one value: bytes in a row are joined, and none are empty."""
    joined: list[bytes | Mark] = []
    for is_mark, group in groupby(parts, key=lambda it: isinstance(it, Mark)):
        found: list[Any] = [*group]
        joined += found if is_mark else [b"".join(found)]
    return tuple(it for it in joined if it)


def extent(part: bytes | Mark) -> int:
    """Return the size of *part* in `Event.places`: a mark counts as one byte."""
    return 1 if isinstance(part, Mark) else len(part)


@frozen
class Event:
    """
    What *sender* does at one time.

    :param data: what it sends, or how it ends.
    :param after: seconds since the event before in the same conversation, or since its beginning.
    :param line: where it begins in the file.
    :param places: where each of its lines begins in *data*, in which a mark counts as one byte;
        empty: all of it is on one line.
    """

    sender: Sender
    data: Data | End
    after: float = 0.0
    line: int = field(default=0, eq=False)
    places: Places = field(default=(), eq=False, repr=False)

    def located(self) -> Iterator[tuple[bytes | Mark, Places]]:
        """Yield each part of the data, and where lines begin in it; the first one at 0."""
        if isinstance(self.data, End):
            return
        places = self.places or ((0, self.line),)
        at = 0
        for part in self.data:
            first = bisect_right(places, (at, inf)) - 1
            end = bisect_left(places, (at + extent(part), 0))
            yield part, tuple((max(start - at, 0), line) for start, line in places[first:end])
            at += extent(part)


@frozen
class Conversation:
    """
    One connection.

    :param number: unique within its recording.
    :param peer: the client's address as text; empty: it is not known.
    :param line: where it begins in the file.
    """

    number: int
    peer: str
    events: tuple[Event, ...]
    line: int = field(default=0, eq=False)


@frozen
class Header:
    """
    The first line of a recording.

    :param made: when recording began, in UTC, such as ``2026-11-28T09:30:00Z``; empty: not known.
    :param service: what was recorded, such as ``127.0.0.1:6379``; empty: not known.
    :param redacted: the names of what was replaced.
    """

    made: str = ""
    service: str = ""
    redacted: tuple[str, ...] = ()


@frozen
class Recording:
    """
    A file of conversations, in the order in which they began.

    :param name: the file's name in messages.
    :param warnings: what is not an error, but perhaps not meant.
    """

    header: Header
    conversations: tuple[Conversation, ...]
    name: str = "recording"
    warnings: tuple[Problem, ...] = ()
