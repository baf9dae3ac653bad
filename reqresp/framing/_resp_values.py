r"""
Values of RESP2 and RESP3, which Redis servers send, found in a stream or in a reply.

Knows bytes only: no value's meaning, and no command.  Streamed strings and aggregates are not
supported, as in Redis.

:source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import re

from reqresp.framing._base import FrameError
from reqresp.framing._decoders import (
    FrameDecoder,
    check_end,
    missing_bytes,
    no_delimiter,
    too_large,
)

_CRLF = b"\r\n"
#: The size of the shortest value, which is null.
_MIN_VALUE = len(b"_\r\n")
#: The first bytes of values.
_KINDS = b"+-:$*_#,(!=%~>|"

#: The first line of a value: a whole value, or the number of bytes or values that follow.
_HEAD = re.compile(
    rb"""
    (?: [+-] [^\r\n]*
      | :  [+-]? [0-9]{1,19}
      | \( [+-]? [0-9]+
      | ,  (?: [+-]? [0-9]+ (?: \.[0-9]+ )? (?: [eE] [+-]? [0-9]+ )? | -? inf | nan )
      | \# [tf]
      | _
      | [$*] -1
      | [$!] (?P<bytes> 0 | [1-9][0-9]{0,17} )
      | =  (?P<verbatim> [4-9] | [1-9][0-9]{1,17} ) (?= \r\n [^\r\n]{3}: )
      | [*~>] (?P<values> 0 | [1-9][0-9]{0,17} )
      | %  (?P<pairs> 0 | [1-9][0-9]{0,17} )
      | \| (?P<attributes> 0 | [1-9][0-9]{0,17} )
    )
    \r\n
    """,
    re.VERBOSE,
)

#: The values that servers send most: a line, or the number of bytes that follow.
_COMMON = re.compile(
    rb"(?: [+-] [^\r\n]* | : [+-]? [0-9]{1,19} | \$ (?P<bytes> 0 | [1-9][0-9]{0,17} ) ) \r\n",
    re.VERBOSE,
)

#: How many values follow for each that a first line counts, by the name of its group.
_FACTORS = {None: 0, "bytes": 0, "verbatim": 0, "values": 1, "pairs": 2, "attributes": 2}


def _announced(head: "re.Match[bytes]") -> tuple[int, int]:
    """Return where the value of *head* ends, and how many more values are missing after it."""
    kind = head.lastgroup
    size = int(head[kind]) if kind else 0
    end = head.end()
    if kind in ("bytes", "verbatim"):
        end += size + len(_CRLF)
    return end, size * _FACTORS[kind] - (kind != "attributes")


def read(data: bytes) -> tuple[int, int]:
    """Read one value; return where it ends or is wrong, and how many values are missing there."""
    at, missing = 0, 1  # a count is enough for any depth of nesting
    while missing and (head := _HEAD.match(data, at)):
        end, more = _announced(head)
        if end > head.end() and data[end - 2 : end] != _CRLF:
            break
        at = end
        missing += more
    return at, missing


#: The first lines of bulk strings that `_bulk_strings` reads without a pattern.
_SIZES = {size: b"$%d" % size for size in range(512)}


def _bulk_strings(data: bytes, limit: int) -> list[bytes]:
    """Return the short bulk strings that *data* consists of; none if it has anything else."""
    lines = data.split(_CRLF)
    stop = len(lines) - 1  # the last one is not followed by CRLF
    heads, bodies = lines[0:stop:2], lines[1:stop:2]
    if not bodies or stop % 2 or heads != [*map(_SIZES.get, map(len, bodies))]:
        return []  # a body that contains CRLF is longer than its line
    frames = [*map(b"%b\r\n%b\r\n".__mod__, zip(heads, bodies, strict=True))]
    return frames if max(map(len, frames)) <= limit else []


class ValueDecoder(FrameDecoder):
    """
    Finds values with their attributes, and returns them without their last CRLF.

    A limit counts that CRLF, too, and applies when a value announces more bytes.
    """

    __slots__ = ("_missing", "_read", "_searched")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._read = 0  # bytes of the unfinished value that have been read
        self._missing = 1  # values in it that have not been read
        self._searched = 0  # bytes after those that contain no line end

    def feed_raw(self, data: bytes, raws: list[bytes]) -> list[bytes]:
        if self._buffer:
            return super().feed_raw(data, raws)
        size = len(data)
        at, before = 0, len(raws)
        if data.startswith(b"$"):
            raws += _bulk_strings(data, self._limit)
            at = sum(map(len, raws[before:]))
        while head := _COMMON.match(data, at):  # with few steps for each, as long as it can
            end, digits = head.end(), head[1]
            if digits is not None:
                end += int(digits) + len(_CRLF)
                if end > size or data[end - 2 : end] != _CRLF:
                    break
            if end - at > self._limit:
                break
            raws.append(data[at:end])
            at = end
        values = [raw[: -len(_CRLF)] for raw in raws[before:]]
        if at == size:
            return values
        more: list[bytes] = []
        try:
            return values + super().feed_raw(data[at:], more)
        except FrameError as error:
            error.requests = [*values, *error.requests]
            raise
        finally:
            raws += more

    def _lacks(self) -> str:
        head = _HEAD.match(self._buffer, self._read)
        if head:
            size = int(head[head.lastgroup or 0])
            return missing_bytes(len(self._buffer) - head.end(), size, _CRLF, "a value")
        if self._read == len(self._buffer):
            return f"{self._missing} more value{'s' * (self._missing > 1)}"
        return no_delimiter(b"\n")

    def _take(self, at: int, requests: list[bytes]) -> int:
        while self._missing:
            if not self._value(at):
                return at
        end = at + self._read
        requests.append(bytes(self._buffer[at : end - len(_CRLF)]))
        self._read = 0
        self._missing = 1
        self._needed = 1
        return end

    def _value(self, at: int) -> bool:
        """Read the next part of the value at *at*; return False if it is incomplete."""
        head = self._head(at, at + self._read)
        if head is None:
            return False
        buffer = self._buffer
        end, more = _announced(head)
        missing = self._missing + more
        self._check_size(end - at + missing * _MIN_VALUE)
        if len(buffer) < end:
            self._needed = end - at
            return False
        if end > head.end():
            check_end(buffer, end - len(_CRLF), _CRLF)
        self._missing = missing
        self._read = end - at
        return True

    def _head(self, at: int, start: int) -> "re.Match[bytes] | None":
        """Match the first line at *start*, in the value at *at*; return None if incomplete."""
        buffer = self._buffer
        end = buffer.find(b"\n", start + self._searched) + 1
        if end and (head := _HEAD.match(buffer, start)):
            self._searched = 0
            return head
        seen = bytes(buffer[start : start + 40])
        # The kind of text in a verbatim string is matched together with its first line.
        is_whole = end and (seen[:1] != b"=" or len(buffer) >= end + len(b"txt:"))
        if is_whole or (seen and seen[0] not in _KINDS):
            raise FrameError(f"expected a RESP value such as b'+OK', found {seen!r}")
        self._searched = 0 if end else len(buffer) - start
        self._check_size(len(buffer) - at + 1 + (self._missing - 1) * _MIN_VALUE)
        self._needed = len(buffer) - at + 1
        return None

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise too_large(size, self._limit)
