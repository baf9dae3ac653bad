r"""
Marks: what differs at each run, found by patterns in the text of a recording.

What a pattern matches in the bytes of a client becomes a mark ``\<name>``, and so does the same
value in later bytes of the server.  Everything else of the text stays as it is.  It must not know
what becomes of a recording.
"""

import os
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from attrs import define, field, frozen

from reqresp._re2 import compile_pattern
from reqresp._text import unescape
from reqresp.recording.conversations import Mark, Sender
from reqresp.recording.notation import BEGINNING, TORN, parse

#: The name of a mark whose pattern has no group with a name.
IGNORED = "ignored"
#: Bytes of the shortest value that is looked for in what the server sends.
MIN_ECHO_BYTES = 4
#: Values of one conversation that are looked for in what the server sends: the last ones.
MAX_ECHOES = 100
#: Bytes after a mark that are enough to find its end.
_END_BYTES = 16

_TORN = TORN.decode().rstrip()
_DATA = re.compile(r"([<>])(?: |(base64) )")
_SWITCH = re.compile(r"-- ([0-9]+)")
_MARK_OR_ESCAPE = re.compile(r"\\(?:<[^<>\\]*>|.?)")
#: A character, or an escape.
_ONE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|.)|.", re.DOTALL)


@frozen
class Ignored:
    """
    A pattern of what differs at each run.

    :param text: as it was written.
    :param names: of the groups that become marks, by their numbers; 0 is the whole match.
    """

    text: str
    pattern: Any
    names: tuple[tuple[int, str], ...]

    def find(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        """Yield where the marks in *data* begin and end, and their names."""
        for match in self.pattern.finditer(data):
            for group, name in self.names:
                start, end = match.span(group)
                if start < end:
                    yield start, end, name


def make_ignored(text: str) -> Ignored:
    """
    Return the pattern of RE2 in *text*.

    Its groups are what differs, or without groups all that it matches.

    :raises ValueError: RE2 refuses it, or a group has a name that no mark can have.
    """
    pattern = compile_pattern(os.fsencode(text))
    given = {number: os.fsdecode(name) for name, number in pattern.groupindex.items()}
    groups = range(1, pattern.groups + 1) if pattern.groups else (0,)
    names = tuple((group, given.get(group, IGNORED)) for group in groups)
    for _, name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,50}", name):
            raise ValueError(f"expected a name such as nonce for a group, found {name!r}")
    return Ignored(text, pattern, names)


@frozen
class Marked:
    """
    A recording with marks.

    :param counts: how many marks each pattern has made of what clients send.
    :param echoes: how many marks there are now in what the server sends.
    :param numbers: of the lines of *text*, in the text without the marks.
    """

    text: str
    counts: tuple[int, ...]
    echoes: int
    numbers: Sequence[int]


def mark(text: str, ignore: Sequence[Ignored], name: str = "recording") -> Marked:
    """
    Return the recording in *text* with marks.

    Lines keep their numbers, except where a mark is within base64.

    :param name: its name in messages.
    :raises RecordingError: *text* has problems.
    """
    parse(text, name)
    lines = text.split("\n")
    counts: Counter[int] = Counter()
    edits: dict[int, list[_Edit]] = {}
    echoes = 0
    for pieces in _conversations(lines):
        marker = _Marker(ignore, counts)
        for sender, run in _runs(pieces):
            spans = marker.in_client(run) if sender is Sender.CLIENT else marker.in_server(run)
            echoes += len(spans) if sender is Sender.SERVER else 0
            for edit in _edits(run, spans):
                edits.setdefault(edit.piece.line, []).append(edit)
    for line, found in edits.items():
        lines[line] = _edited(lines[line], found)
    made = tuple(counts[number] for number in range(len(ignore)))
    numbers = [it for it, line in enumerate(lines, 1) for _ in line.split("\n")]
    return Marked("\n".join(lines), made, echoes, numbers)


# Reading


@frozen(eq=False)
class _Piece:
    """
    Bytes on one line, without marks.

    :param line: the index of the line.
    :param event: differs between events of a conversation.
    :param start: where its text begins in the line.
    :param is_text: whether it is text with escapes, not base64.
    """

    line: int
    event: int
    start: int
    end: int
    data: bytes
    is_text: bool


# What one side sends, in order; None: a mark.
_Sent = tuple[Sender, _Piece | None]


@define
class _Draft:
    """A conversation that is being read."""

    sent: list[_Sent] = field(factory=list)
    event: int = 0


def _conversations(lines: Sequence[str]) -> Iterable[list[_Sent]]:
    """Return what was sent in each conversation."""
    drafts: dict[tuple[int, str], _Draft] = {}
    part, number = 0, "1"
    for index, line in enumerate(lines[:-1]):  # the last is empty, or torn
        if lines[index + 1] == _TORN:
            continue
        if line.startswith(BEGINNING):
            part, number = part + 1, "1"
        elif switch := _SWITCH.match(line):
            number = switch[1]
        else:
            draft = drafts.setdefault((part, number), _Draft())
            if line.startswith("("):
                draft.event += 1
            elif data := _DATA.match(line):
                draft.sent += _pieces(index, line.removesuffix("\r"), data, draft.event)
    return [draft.sent for draft in drafts.values()]


def _pieces(index: int, line: str, start: "re.Match[str]", event: int) -> Iterator[_Sent]:
    sender = Sender(start[1])
    if start[2]:
        yield sender, _Piece(index, event, 0, len(line), b64decode(line[start.end() :]), False)
        return
    at = start.end()
    for found in _MARK_OR_ESCAPE.finditer(line, at):
        if found[0].startswith("\\<"):
            yield from _piece(sender, index, event, line, at, found.start())
            yield sender, None
            at = found.end()
    yield from _piece(sender, index, event, line, at, len(line))


def _piece(
    sender: Sender, index: int, event: int, line: str, start: int, end: int
) -> Iterator[_Sent]:
    data = unescape(line[start:end])
    if data:
        yield sender, _Piece(index, event, start, end, data, True)


def _runs(sent: Iterable[_Sent]) -> Iterator[tuple[Sender, list[_Piece]]]:
    """Yield what one side has sent in a row, between marks."""
    for (sender, is_mark), group in groupby(sent, key=lambda it: (it[0], it[1] is None)):
        if not is_mark:
            yield sender, [piece for _, piece in group if piece is not None]


# Finding


@frozen
class _Span:
    """Bytes of a run that *written* replaces."""

    start: int
    end: int
    written: str


class _Marker:
    """
    Finds what differs in the runs of one conversation.

    :param counts: how many marks each pattern has made.
    """

    def __init__(self, ignore: Sequence[Ignored], counts: Counter[int]) -> None:
        self._ignore = ignore
        self._counts = counts
        self._names: dict[bytes, str] = {}  # of the values so far
        self._used: Counter[str] = Counter()

    def in_client(self, run: Sequence[_Piece]) -> list[_Span]:
        """Return the marks for what the patterns match in *run*."""
        data = b"".join(piece.data for piece in run)
        found = [
            (start, -end, number, name)
            for number, ignored in enumerate(self._ignore)
            for start, end, name in ignored.find(data)
        ]
        chosen: list[tuple[int, int, str]] = []
        for start, end, number, name in sorted(found):
            if not chosen or start >= chosen[-1][1]:
                chosen.append((start, -end, name))
                self._counts[number] += 1
        spans = []
        ends = _ends_of_events(run)
        starts = [start for start, _, _ in chosen]
        for (start, end, name), after in zip(chosen, [*starts[1:], len(data)], strict=False):
            value = data[start:end]
            limit = min(after, next(it for it in ends if it > start))  # it stands where it begins
            mark = Mark(self._name(value, name), _size(value, data[end:limit]))
            spans.append(_Span(start, end, _written(mark)))
        return spans

    def in_server(self, run: Sequence[_Piece]) -> list[_Span]:
        """Return the marks for the values of clients in *run*."""
        values = [it for it in [*self._names][-MAX_ECHOES:] if len(it) >= MIN_ECHO_BYTES]
        if not values:
            return []
        values.sort(key=len, reverse=True)
        pattern = re.compile(b"|".join(map(re.escape, values)))
        return [
            _Span(*match.span(), _written(Mark(self._names[match[0]])))
            for match in pattern.finditer(b"".join(piece.data for piece in run))
        ]

    def _name(self, value: bytes, name: str) -> str:
        """Return the name of the mark for *value*: another value has another one."""
        if value not in self._names:
            self._used[name] += 1
            number = self._used[name]
            self._names[value] = name if number == 1 else f"{name}-{number}"
        return self._names[value]


def _ends_of_events(run: Sequence[_Piece]) -> list[int]:
    """Return where each event of *run* ends in its bytes."""
    ends, at = [], 0
    for piece, following in zip(run, [*run[1:], None], strict=True):
        at += len(piece.data)
        if following is None or following.event != piece.event:
            ends.append(at)
    return ends


def _size(value: bytes, following: bytes) -> int | None:
    """Return the size that the mark for *value* needs; None: what follows ends it."""
    end = following[:_END_BYTES]
    end = end[: end.find(b"\n") + 1] or end
    is_text = all(32 <= byte < 127 for byte in value)
    has_end = bool(end) and (value + end).find(end) == len(value)
    return None if is_text and has_end else len(value)


def _written(mark: Mark) -> str:
    return rf"\<{mark.name}>" if mark.size is None else rf"\<{mark.name}:{mark.size}>"


# Writing


@frozen
class _Edit:
    """Bytes of *piece* that *written* replaces."""

    piece: _Piece
    start: int
    end: int
    written: str


def _edits(run: Sequence[_Piece], spans: Sequence[_Span]) -> Iterator[_Edit]:
    """Yield the edits for *spans*; of one over several pieces, the first gets the mark."""
    at = 0
    left = [*spans]
    for piece in run:
        size = len(piece.data)
        while left and left[0].start < at + size:
            span = left[0]
            start, end = max(span.start - at, 0), min(span.end - at, size)
            yield _Edit(piece, start, end, span.written if span.start >= at else "")
            if span.end > at + size:
                break
            del left[0]
        at += size


def _edited(line: str, edits: Sequence[_Edit]) -> str:
    """Return *line* with *edits*, which are in order; a line of base64 can become several."""
    ending = "\r" if line.endswith("\r") else ""
    start = line[0]
    if not edits[0].piece.is_text:
        return "\n".join(f"{it}{ending}" for it in _base64_lines(start, edits))
    line = line.removesuffix("\r")
    for piece, group in groupby(reversed(edits), key=lambda it: it.piece):
        text = line[piece.start : piece.end]
        for edit in group:
            left, right = _split(text, edit.start)[0], _split(text, edit.end)[1]
            text = left + edit.written + right
        line = line[: piece.start] + text + line[piece.end :]
    if line == f"{start} ":
        return ending
    return (line[:-1] + r"\x20" if line.endswith(" ") else line) + ending


def _split(text: str, at: int) -> tuple[str, str]:
    """Return the texts of the bytes of *text* before *at*, and from there on."""
    size = 0
    for found in _ONE.finditer(text):
        if size == at:
            return text[: found.start()], text[found.start() :]
        data = unescape(found[0])
        size += len(data)
        if size > at:  # within a character
            left, right = (
                "".join(f"\\x{byte:02x}" for byte in half)
                for half in (data[: at - size], data[at - size :])
            )
            return text[: found.start()] + left, right + text[found.end() :]
    return text, ""


def _base64_lines(start: str, edits: Sequence[_Edit]) -> Iterator[str]:
    at = 0
    data = edits[0].piece.data
    for edit in edits:
        if at < edit.start:
            yield _base64_line(start, data[at : edit.start])
        if edit.written:
            yield f"{start} {edit.written}"
        at = edit.end
    if at < len(data):
        yield _base64_line(start, data[at:])


def _base64_line(start: str, data: bytes) -> str:
    return f"{start}base64 {b64encode(data).decode()}"
