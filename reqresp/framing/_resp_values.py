r"""
Values: what servers of Redis answer, in RESP2 and RESP3, found in a stream or in a reply.

Knows bytes and nothing else: no value's meaning, and no command, which is for `commands`.  Strings
and aggregates in chunks are left out, as in Redis.

:source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import re

from reqresp.framing._base import FrameDecoder, FrameError, check_end, too_large

_CRLF = b"\r\n"
#: The bytes of the shortest value, which is null.
_LEAST = len(b"_\r\n")
#: What a value may begin with.
_KINDS = b"+-:$*_#,(!=%~>|"

#: The first line of a value: all of it, or a number of bytes or of values that follow.
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

#: How many values follow for each that a first line counts, by what it counts.
_FACTORS = {None: 0, "bytes": 0, "verbatim": 0, "values": 1, "pairs": 2, "attributes": 2}


def _announced(head: "re.Match[bytes]") -> tuple[int, int]:
    """What *head* tells: where its string ends, if it has one, and how many more values follow."""
    kind = head.lastgroup
    size = int(head[kind]) if kind else 0
    end = head.end()
    if kind in ("bytes", "verbatim"):
        end += size + len(_CRLF)
    return end, size * _FACTORS[kind] - (kind != "attributes")


def read(data: bytes) -> tuple[int, int]:
    """Read one value of *data*: where it ends or goes wrong, and how many values it lacks there."""
    at, missing = 0, 1  # a count is enough, however deep they are nested
    while missing and (head := _HEAD.match(data, at)):
        end, more = _announced(head)
        if end > head.end() and data[end - 2 : end] != _CRLF:
            break
        at = end
        missing += more
    return at, missing


class ValueDecoder(FrameDecoder):
    """
    What is found are values, with all their attributes and less their last CRLF.

    A limit counts that CRLF, too, and strikes when more is announced.
    """

    __slots__ = ("_missing", "_read", "_searched")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._read = 0  # so many bytes of the unfinished value are dealt with
        self._missing = 1  # so many values within it are not
        self._searched = 0  # so many bytes behind those hold no line's end

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
        """Read the next first line and its string in the value at *at*, if all of it is there."""
        head = self._head(at, at + self._read)
        if head is None:
            return False
        buffer = self._buffer
        end, more = _announced(head)
        missing = self._missing + more
        self._check_size(end - at + missing * _LEAST)
        if len(buffer) < end:
            self._needed = end - at
            return False
        if end > head.end():
            check_end(buffer, end - len(_CRLF), _CRLF)
        self._missing = missing
        self._read = end - at
        return True

    def _head(self, at: int, start: int) -> "re.Match[bytes] | None":
        """Match the first line that starts at *start*, in the value at *at*, if it is there."""
        buffer = self._buffer
        end = buffer.find(b"\n", start + self._searched) + 1
        if end and (head := _HEAD.match(buffer, start)):
            self._searched = 0
            return head
        seen = bytes(buffer[start : start + 40])
        # What kind of text a verbatim string holds is seen together with its first line.
        is_whole = end and (seen[:1] != b"=" or len(buffer) >= end + len(b"txt:"))
        if is_whole or (seen and seen[0] not in _KINDS):
            raise FrameError(f"{seen!r} where a value of RESP belongs, such as b'+OK'")
        self._searched = 0 if end else len(buffer) - start
        self._check_size(len(buffer) - at + 1 + (self._missing - 1) * _LEAST)
        self._needed = len(buffer) - at + 1
        return None

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise too_large(size, self._limit)
