r"""
Notation: how a recording is written as text, and what is read from it.

::

    # reqresp recording 1 at=2026-11-28T09:30:00Z of=127.0.0.1:6379
    -- 1 127.0.0.1:50000
    > PING\r\n
    (0.2 s)
    < +PONG\r\n
    >eof
    <eof

A time counts from the line before *of the same conversation*, and ``-- N`` turns to conversation
*N*.  So a conversation can be cut out without changing another.

Reads it; `writing` writes it.  It must not know where the text comes from, or who uses it.
"""

import binascii
import os
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from attrs import define, evolve, field

from reqresp._errors import MAX_FLOAT, MAX_PROBLEMS, Problem, ProblemsError
from reqresp._files import open_regular, read_regular
from reqresp._text import printable, quote, unescape
from reqresp.recording.conversations import (
    MARK_NAME,
    Conversation,
    End,
    Event,
    Header,
    Mark,
    Places,
    Recording,
    Sender,
    extent,
    join_data,
)

#: The version of the notation.
VERSION = 1
#: How every recording begins.
BEGINNING = "# reqresp recording"
#: The line after one that a crash has left incomplete, where recording went on.
TORN = b"# the line before is incomplete\n"
#: Bytes that a recording may have to be read: it is held in memory.
MAX_RECORDING_BYTES = 256 * 1024 * 1024

_BYTE_ORDER_MARK = "\ufeff".encode()  # some editors write one


class RecordingError(ProblemsError):
    """A recording has *problems*; the text has one line for each."""


def is_recording(path: str | Path) -> bool:
    """Return whether the file at *path* can be read, and begins as a recording does."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            found = file.read(len(_BYTE_ORDER_MARK) + len(BEGINNING))
    except (OSError, ValueError):
        return False
    return found.removeprefix(_BYTE_ORDER_MARK).startswith(BEGINNING.encode())


def load(path: str | Path) -> Recording:
    """
    Return the recording in the file at *path*.

    :raises RecordingError: the file cannot be read, or has problems; it has all of them.
    """
    return parse(read_text(path), str(path))


def read_text(path: str | Path) -> str:
    """
    Return the text of the file at *path*, which may be no recording.

    :raises RecordingError: the file cannot be read.
    """
    try:
        return os.fsdecode(read_regular(path, MAX_RECORDING_BYTES))
    except ValueError as error:
        raise RecordingError(Problem(str(path), None, "", str(error))) from None


def parse(text: str, name: str = "recording", numbers: Sequence[int] = ()) -> Recording:
    """
    Return the recording in *text*.

    A line that a crash has left incomplete is left out, with a warning: the last one, if it does
    not end with LF, and one before the line `TORN`.

    :param name: the name in messages.
    :param numbers: of the lines in the file, if *text* has others; empty: it has the same.
    :raises RecordingError: *text* has problems; it has all of them, or the first of very many.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    numbers = numbers or range(1, len(lines) + 1)
    torn = lines.pop()
    reader = _Reader(name)
    try:
        reader.read(lines, numbers)
    except _TooManyProblemsError:
        more = f"more than {MAX_PROBLEMS} problems; some are not shown"
        raise RecordingError(*reader.problems, Problem(name, None, "", more)) from None
    if reader.problems:
        raise RecordingError(*sorted(reader.problems, key=lambda it: it.line or 0))
    if torn:
        reader.warn(numbers[-1])
    return Recording(reader.header, reader.conversations(), name, tuple(reader.warnings))


class _TooManyProblemsError(Exception):
    """There are more than `MAX_PROBLEMS`."""


class _LineError(ValueError):
    """What is wrong with a line."""


_HEADER = re.compile(rf"{BEGINNING} ([0-9]{{1,9}})((?: [^ ]+)*)")
_NEXT_HEADER = re.compile(rf"{BEGINNING} [0-9]")
_TORN = TORN.decode().rstrip("\n")
_SWITCH = re.compile(r"-- ([1-9][0-9]{0,17})(?: (.*))?")
_TIME = re.compile(r"\(([0-9]{1,10}(?:\.[0-9]{1,9})?) s\)")
_WORD = re.compile(r"([<>])(eof|reset)")
#: What bytes in base64 begin with, after the sign of who sends them.
BASE64 = "base64 "
#: A mark, or any other escape.
_ESCAPE = re.compile(r"\\(?:<([^<>\\]*)>|.?)")
_MARK = re.compile(rf"({MARK_NAME.pattern})(?::([1-9][0-9]{{0,8}}))?")


@define
class _Sent:
    """What one side sends at one time, from one line or more."""

    parts: list[bytes | Mark] = field(factory=list)
    places: list[tuple[int, int]] = field(factory=list)
    size: int = 0

    def add(self, parts: list[bytes | Mark], line: int) -> None:
        """Add the *parts* of a line."""
        self.places.append((self.size, line))
        self.parts += parts
        self.size += sum(map(extent, parts))


@define
class _Draft:
    """A conversation that is being read."""

    number: int
    line: int
    peer: str = ""
    happened: list[tuple[Sender, _Sent | End, float, int]] = field(factory=list)
    gap: float = 0.0  # since the event before
    ended: dict[Sender, int] = field(factory=dict)  # the line of each EOF
    reset: int = 0  # its line
    seen: set[str] = field(factory=set)  # marks of the client

    def add(self, sender: Sender, what: list[bytes | Mark] | End, line: int) -> None:
        """
        Add what *sender* does.

        :raises _LineError: it has ended before.
        """
        if self.reset:
            raise _LineError(f"the connection was reset in line {self.reset}")
        if sender in self.ended and what is not End.RESET:
            raise _LineError(f"this side has sent EOF in line {self.ended[sender]}")
        if isinstance(what, list):
            self._sent(sender, line).add(what, line)
            return
        self.happened.append((sender, what, self.gap, line))
        self.gap = 0.0
        self.ended[sender] = line
        self.reset = line if what is End.RESET else 0

    def _sent(self, sender: Sender, line: int) -> _Sent:
        """Return what the data of *line* is added to: what was sent just before, if there is."""
        if self.happened and not self.gap:
            last, before, *_ = self.happened[-1]
            if last is sender and isinstance(before, _Sent):
                return before
        sent = _Sent()
        self.happened.append((sender, sent, self.gap, line))
        self.gap = 0.0
        return sent

    def events(self) -> Iterator[Event]:
        """Yield what was read."""
        for sender, what, after, line in self.happened:
            if isinstance(what, End):
                yield Event(sender, what, after, line)
            else:
                yield Event(sender, join_data(what.parts), after, line, tuple(what.places))


@define
class _Reader:
    """Reads the lines of the file *name*, and collects `problems` and `warnings`."""

    name: str
    problems: list[Problem] = field(factory=list)
    warnings: list[Problem] = field(factory=list)
    header: Header = field(factory=Header)
    _all: list[_Draft] = field(factory=list)
    #: Those since the last header, by the numbers that the lines have.
    _here: dict[int, _Draft] = field(factory=dict)
    _now: _Draft | None = None
    _used: set[int] = field(factory=set)
    _highest: int = 0

    def read(self, lines: list[str], numbers: Sequence[int]) -> None:
        """
        Read *lines*; without a header of this version, only the first of them.

        :param numbers: of the lines, at least as many.
        """
        try:
            self.header = read_header(lines[0] if lines else "")
        except ValueError as error:
            self.report(1, str(error))
            return
        for index, line in enumerate(lines[1:], 1):
            number = numbers[index]
            if index + 1 < len(lines) and lines[index + 1] == _TORN:
                self.warn(number)
                continue
            try:
                self._read(line.removesuffix("\r"), number)
            except ValueError as error:
                self.report(number, str(error))
        for draft in self._all:
            for event in draft.events():
                if event.sender is Sender.CLIENT:
                    self._check_marks([*event.located()])

    def _check_marks(self, parts: Sequence[tuple[bytes | Mark, Places]]) -> None:
        for (part, [(_, line), *_]), after in zip(parts, [*parts, None][1:], strict=True):
            has_end = after is not None and isinstance(after[0], bytes)
            if isinstance(part, Mark) and part.size is None and not has_end:
                self.report(
                    line,
                    rf"\<{part.name}> has no end: expected bytes after it, or a size as in"
                    rf" \<{part.name}:4>",
                )

    def conversations(self) -> tuple[Conversation, ...]:
        """Return what was read."""
        return tuple(
            Conversation(draft.number, draft.peer, tuple(draft.events()), draft.line)
            for draft in self._all
        )

    def report(self, line: int, message: str) -> None:
        """
        Add a problem.

        :raises _TooManyProblemsError: there are `MAX_PROBLEMS` already.
        """
        if len(self.problems) == MAX_PROBLEMS:
            raise _TooManyProblemsError
        self.problems.append(Problem(self.name, line, "", message))

    def warn(self, line: int) -> None:
        """Add a warning that *line* is incomplete, unless there are very many."""
        if len(self.warnings) < MAX_PROBLEMS:
            why = "an incomplete line, as a crash leaves it; leaving it out"
            self.warnings.append(Problem(self.name, line, "", why))

    def _read(self, line: str, number: int) -> None:
        if line.startswith(("> ", "< ")):
            self._data(line, number)
        elif line.startswith("#"):
            self._comment(line)
        elif line.startswith("--"):
            self._turn(line, number)
        elif line.startswith("("):
            self._draft(number).gap += read_time(line)
        elif word := _WORD.fullmatch(line):
            self._draft(number).add(Sender(word[1]), End(word[2]), number)
        elif line[1:].startswith(BASE64) and line[0] in "<>":
            data = _base64(line[1 + len(BASE64) :])
            self._draft(number).add(Sender(line[0]), [data] if data else [], number)
        elif line.strip():
            raise _LineError(
                "expected '> ' or '< ' and data, >base64, >eof, >reset, '-- N', '(0.2 s)' or '#';"
                f" found {quote(line)}"
            )

    def _data(self, line: str, number: int) -> None:
        draft, sender = self._draft(number), Sender(line[0])
        parts = _parts(line[2:])
        draft.add(sender, parts, number)
        names = {it.name for it in parts if isinstance(it, Mark)}
        if sender is Sender.CLIENT:
            draft.seen |= names
        elif not names <= draft.seen:
            name = min(names - draft.seen)
            raise _LineError(rf"the client has sent no \<{name}> before")

    def _comment(self, line: str) -> None:
        """Begin with new numbers if *line* is a header: another recording was appended."""
        if _NEXT_HEADER.match(line):
            header = read_header(line)
            names = dict.fromkeys((*self.header.redacted, *header.redacted))
            self.header = evolve(self.header, redacted=tuple(names))
            self._here, self._now = {}, None

    def _turn(self, line: str, number: int) -> None:
        found = _SWITCH.fullmatch(line)
        if found is None:
            raise _LineError(f"expected '-- N' with a number from 1; found {quote(line)}")
        self._now = self._named(int(found[1]), number)
        self._now.peer = self._now.peer or printable((found[2] or "").strip())

    def _draft(self, line: int) -> _Draft:
        """Return the conversation of *line*; before any ``-- N``, it is the first."""
        if self._now is None:
            self._now = self._named(1, line)
        return self._now

    def _named(self, number: int, line: int) -> _Draft:
        draft = self._here.get(number)
        if draft is None:
            # Numbers can be used again after another header.
            free = self._highest + 1 if number in self._used else number
            draft = self._here[number] = _Draft(free, line)
            self._highest = max(self._highest, free)
            self._used.add(free)
            self._all.append(draft)
        return draft


def read_header(line: str) -> Header:
    """
    Return the header in *line*.

    :raises ValueError: it is not a header, or of another version.
    """
    found = _HEADER.fullmatch(line.removesuffix("\r"))
    if found is None:
        raise _LineError(f"expected the header '{BEGINNING} {VERSION}'; found {quote(line)}")
    if int(found[1]) != VERSION:
        raise _LineError(
            f"expected version {VERSION} of the notation of recordings, found version {found[1]}"
        )
    # Keys that a later reqresp adds are of no importance.
    values = dict(word.partition("=")[::2] for word in found[2].split())
    redacted = tuple(filter(None, values.get("redacted", "").split(",")))
    return Header(_value(values, "at"), _value(values, "of"), redacted)


def _value(values: dict[str, str], key: str) -> str:
    return os.fsdecode(unescape(values.get(key, "")))


def read_time(line: str) -> float:
    """
    Return the seconds in *line*, such as ``(0.2 s)``.

    :raises ValueError: it is not such a line.
    """
    found = _TIME.fullmatch(line)
    if found is None or (seconds := float(found[1])) > MAX_FLOAT:
        raise _LineError(f"expected a time such as '(0.2 s)', found {quote(line)}")
    return seconds


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _LineError(f"expected base64, found {quote(text)} ({error})") from None


def _parts(text: str) -> list[bytes | Mark]:
    if "\\<" not in text:
        return [unescape(text)] if text else []
    parts: list[bytes | Mark] = []
    at = 0
    for found in _ESCAPE.finditer(text):
        if found[1] is None:
            if found[0] == "\\<":
                _refuse_mark(found[0])
            continue
        parts += [unescape(text[at : found.start()]), _mark(found[1])]
        at = found.end()
    parts.append(unescape(text[at:]))
    return [part for part in parts if part != b""]


def _mark(text: str) -> Mark:
    found = _MARK.fullmatch(text)
    if found is None:
        _refuse_mark(f"\\<{text}>")
    return Mark(found[1], None if found[2] is None else int(found[2]))


def _refuse_mark(found: str) -> NoReturn:
    raise _LineError(rf"expected a mark such as \<name> or \<name:4>, found {quote(found)}")
