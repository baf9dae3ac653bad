"""
Commands of Redis clients: arrays of bulk strings, or lines of words.

Knows bytes only: no command's meaning, and no reply.  What Redis calls a protocol error is a
`FrameError`.
"""

import re
from collections.abc import Callable
from itertools import repeat

from reqresp.framing._base import Framed, FrameError
from reqresp.framing._decoders import (
    FrameDecoder,
    check_end,
    missing_bytes,
    no_delimiter,
    too_large,
)

_CRLF = b"\r\n"
#: The size of the shortest argument, which is empty.
_MIN_ARGUMENT = len(b"$0\r\n\r\n")
#: The start of an array, and of an argument.  An array of -1 is the null of RESP2, and skipped.
_ARRAY = re.compile(rb"\*(-1|0|[1-9][0-9]{0,17})\r\n")
_ARGUMENT = re.compile(rb"\$(0|[1-9][0-9]{0,17})\r\n")


#: The first lines of arrays, and of arguments, that `_whole_commands` reads without a pattern.
_COUNTS = {b"*%d" % count: count for count in range(1, 64)}
_SIZES = {size: b"$%d" % size for size in range(512)}


class Command(Framed):
    """The arguments of a request joined by one space; *raw* are the bytes as they came."""


def _whole_commands(data: bytes, limit: int) -> tuple[list[bytes], int]:
    """
    Return the short commands that *data* starts with, and how many bytes they have.

    It reads what clients send most, with few steps for each command, and stops at anything else.
    """
    lines = data.split(_CRLF)
    last = len(lines) - 1  # not followed by CRLF
    commands: list[bytes] = []
    at = size = 0
    while count := _COUNTS.get(lines[at]):
        stride = 1 + 2 * count
        # As many as follow with the same number of arguments; nearly always all of them.
        same = (last - at) // stride
        starts = lines[at : at + same * stride : stride]
        if starts.count(lines[at]) < same:
            same = next(place for place, start in enumerate(starts) if start != lines[at])
        stop = at + same * stride
        columns = [lines[first:stop:stride] for first in range(at + 2, at + stride, 2)]
        # An argument that contains CRLF is longer than its line.
        if not same or any(
            lines[first:stop:stride] != [*map(_SIZES.get, map(len, column))]
            for first, column in zip(range(at + 1, at + stride, 2), columns, strict=True)
        ):
            return commands, size
        raws = [_CRLF.join(lines[it : it + stride]) + _CRLF for it in range(at, stop, stride)]
        if max(map(len, raws)) > limit:
            return commands, size
        # As `Framed`, without a call of ours for each.
        found = [*map(_new, repeat(Command), map(b" ".join, zip(*columns, strict=True)))]
        for command, raw in zip(found, raws, strict=True):
            command.raw = raw
        commands += found
        at = stop
        size += sum(map(len, raws))
    return commands, size


_new: Callable[[type[Command], bytes], Command] = bytes.__new__


class CommandDecoder(FrameDecoder):
    """
    Finds commands, and skips empty ones.  A limit counts their bytes as they came.

    :source: ``processMultibulkBuffer`` and ``processInlineBuffer`` in Redis's networking.c
    """

    __slots__ = ("_joined", "_missing", "_read")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._read = 0  # bytes of the unfinished command that have been read
        self._missing = 0  # its arguments that have not been read
        self._joined = bytearray()  # its arguments that have been read, a space before each

    def feed(self, data: bytes) -> list[bytes]:
        if self._buffer:
            return super().feed(data)
        commands, size = _whole_commands(data, self._limit)
        if size == len(data):
            return commands
        try:
            return commands + super().feed(data[size:])
        except FrameError as error:
            error.requests = [*commands, *error.requests]
            raise

    def feed_raw(self, data: bytes, raws: list[bytes]) -> list[bytes]:
        commands = self.feed(data)
        raws += (command.raw for command in commands if isinstance(command, Command))
        return commands

    def _lacks(self) -> str:
        buffer = self._buffer
        array = _ARRAY.match(buffer)
        if array is None:
            return no_delimiter(b"\n")
        count = int(array[1])
        read = count - self._missing
        argument = _ARGUMENT.match(buffer, self._read)
        if argument is None:
            return f"{read} of {count} arguments"
        kept = len(buffer) - argument.end()
        return missing_bytes(kept, int(argument[1]), _CRLF, f"argument {read + 1}")

    def _take(self, at: int, requests: list[bytes]) -> int:
        take = self._array if self._buffer[at] == ord("*") else self._line
        end = take(at, requests)
        if end > at:
            self._read = 0
            self._needed = 1
        return end

    def _line(self, at: int, requests: list[bytes]) -> int:
        buffer = self._buffer
        found = buffer.find(b"\n", at + self._read, at + self._limit)
        if found < 0:
            self._read = len(buffer) - at
            self._check_size(self._read + 1)
            return self._wait(at)
        line = bytes(buffer[at : found + 1])
        arguments = words(line)
        if arguments:
            requests.append(Command(b" ".join(arguments), line))
        return found + 1

    def _array(self, at: int, requests: list[bytes]) -> int:
        if not self._read:
            header = self._length(at, _ARRAY)
            if header is None:
                return self._wait(at)
            count, end = header
            self._check_size(end - at + max(0, count) * _MIN_ARGUMENT)
            if count <= 0:
                return end
            self._missing = count
            self._read = end - at
        while self._missing:
            if not self._argument(at):
                return at
        end = at + self._read
        requests.append(Command(bytes(self._joined[1:]), bytes(self._buffer[at:end])))
        self._joined.clear()
        return end

    def _argument(self, at: int) -> bool:
        """Read the next argument of the array at *at*; return False if it is incomplete."""
        buffer = self._buffer
        header = self._length(at + self._read, _ARGUMENT)
        if header is None:
            self._wait(at)
            return False
        size, start = header
        stop = start + size
        end = stop + len(_CRLF)
        self._check_size(end - at + (self._missing - 1) * _MIN_ARGUMENT)
        if len(buffer) < end:
            self._needed = end - at
            return False
        check_end(buffer, stop, _CRLF)
        self._joined += b" "
        self._joined += buffer[start:stop]
        self._missing -= 1
        self._read = end - at
        return True

    def _length(self, position: int, kind: re.Pattern[bytes]) -> tuple[int, int] | None:
        """Return the length at *position*, after the mark of *kind*, and where its data starts."""
        match = kind.match(self._buffer, position)
        if match:
            return int(match[1]), match.end()
        longest = max(len("*-1\r\n"), len(f"*{self._limit}0\r"))
        found = bytes(self._buffer[position : position + longest])
        mark = kind.pattern[1:2]
        if len(found) < longest and found[:1] in (b"", mark) and _CRLF not in found:
            return None
        raise FrameError(
            f"expected {mark!r} and a length of at most {self._limit} in a command, found {found!r}"
        )

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise too_large(size, self._limit)

    def _wait(self, at: int) -> int:
        self._needed = len(self._buffer) - at + 1
        return at


#: Bytes that `bytes.split` does not treat as Redis does: quotes, and other white space.
_SPECIAL = re.compile(rb"""["'\v\f]""")
# Possessive quantifiers: an open quote is found without backtracking.  The last group, which has
# captures, is not possessive: Python 3.11.2 then skips a quote that is not closed.
_WORD = re.compile(
    rb"""
    (?P<plain>[^ \t\r\n"']*+)
    (?: "(?P<double>(?:[^"\\]|\\.)*+)" | '(?P<single>(?:[^'\\]|\\'?+)*+)' )?
    (?:\s++|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def words(line: bytes) -> list[bytes]:
    r"""
    Split *line* at white space outside of quotes.

    Double quotes can contain ``\n``, ``\r``, ``\t``, ``\b``, ``\a``, ``\xNN``, and a backslash
    before any other character.  Single quotes can contain ``\'``.

    :raises FrameError: a quote is not closed, or is followed by something else than white space.
    :source: ``sdssplitargs`` in Redis's sds.c
    """
    if not _SPECIAL.search(line):
        return line.split()
    line = line.lstrip()
    found: list[bytes] = []
    at = 0
    while at < len(line):
        word = _WORD.match(line, at)
        if word is None:
            raise FrameError(f"expected balanced quotes in a line, found {line[:40]!r}")
        double = _ESCAPE.sub(_unescaped, word["double"] or b"")
        single = (word["single"] or b"").replace(rb"\'", b"'")
        found.append(word["plain"] + double + single)
        at = word.end()
    return found


def _unescaped(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    if len(code) > 1:
        return bytes.fromhex(code[1:].decode())
    return _NAMED.get(code, code)
