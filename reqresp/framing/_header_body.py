"""
HeaderBody: requests whose head may announce a body, as in HTTP and memcached.

Knows bytes and RE2 patterns, which take linear time whatever a client sends; what a pattern finds
in a head is the only thing that is known of a protocol.
"""

from typing import Any

from attrs import field, frozen, validators

from reqresp.framing._base import (
    BaseFraming,
    Decoder,
    FrameDecoder,
    FrameError,
    check_end,
    too_large,
)
from reqresp.framing._delimited import Delimited


@frozen
class HeaderBody(BaseFraming):
    r"""
    A request is a head, told apart by a line's end or a delimiter, and the body it announces.

    *body* is searched for in the head, which its delimiter is no part of.  Where it is found, its
    first group is the size of the body behind the delimiter, in decimal, and *body_end* must
    follow that.  Where it is not, or where that group took no part in it, there is no body.

    The request is the bytes as they came, less what ends them: a head alone, as in `Line` and
    `Delimiter`, or the head, its delimiter and the body, be it empty, without *body_end*.
    A limit counts the same, and refuses a body when it is announced.

    A reply is sent as it is where the head ends with a delimiter: what holds its own head and body
    needs no end.  Behind a line the line's ending is sent, whatever the reply holds.

    =============  ==========================  ==================================================
    memcached      ``Line()``                  ``rb"^(?:set|add|cas) \S+ \d+ -?\d+ (\d+)"``, with
                                               ``body_end=b"\r\n"``
    HTTP, LSP      ``Delimiter(b"\r\n\r\n")``  ``rb"(?im)^Content-Length:[ \t]*(\d+)"``
    =============  ==========================  ==================================================

    :param body: an RE2 pattern with a group, matched byte by byte.
    :raises ValueError: *body* is no pattern of RE2, or has no group.
    :source: RFC 9112, 6.3, without transfer codings
    :source: https://github.com/memcached/memcached/blob/master/doc/protocol.txt
    :source: https://microsoft.github.io/language-server-protocol, Base Protocol
    """

    name = "head and body"

    head: Delimited = field(
        validator=validators.instance_of(Delimited)  # type: ignore[type-abstract]  # none is made
    )
    body: bytes = field()
    body_end: bytes = b""
    _pattern: Any = field(init=False, repr=False, eq=False)

    @_pattern.default
    def _compiled(self) -> Any:
        # Late: most framings need no patterns, and the command starts faster without them.
        from reqresp._re2 import compile_pattern

        pattern = compile_pattern(self.body)
        if not pattern.groups:
            raise ValueError(f"a pattern without a group for a body's size: {self.body!r}")
        return pattern

    def decoder(self, limit: int) -> Decoder:
        head = self.head
        return HeaderBodyDecoder(
            limit, head.terminator, head.optional, self._pattern, self.body_end
        )

    def encode(self, payload: bytes) -> bytes:
        return payload + self.head.after_body


class HeaderBodyDecoder(FrameDecoder):
    """A head ends with *delimiter*, or with *optional* and *delimiter*; *pattern* sizes a body."""

    __slots__ = ("_body_end", "_delimiter", "_frame", "_optional", "_pattern", "_searched")

    def __init__(
        self, limit: int, delimiter: bytes, optional: bytes, pattern: Any, body_end: bytes
    ) -> None:
        super().__init__(limit)
        self._delimiter = delimiter
        self._optional = optional
        self._pattern = pattern
        self._body_end = body_end
        self._searched = 0  # no delimiter starts before here in the head
        # What is known once the head is complete: the request's size, and what must follow it.
        self._frame: tuple[int, bytes] | None = None

    def _take(self, at: int, requests: list[bytes]) -> int:
        buffer = self._buffer
        frame = self._frame or self._read_head(at)
        if frame is None:
            return at
        size, trailer = frame
        stop = at + size
        end = stop + len(trailer)
        if len(buffer) < end:
            self._frame = frame
            self._needed = end - at
            return at
        check_end(buffer, stop, trailer)
        requests.append(bytes(buffer[at:stop]))
        self._frame = None
        self._needed = 1
        return end

    def _read_head(self, at: int) -> tuple[int, bytes] | None:
        """Size the request at *at*, and say what must follow it, if its head is complete."""
        buffer, delimiter, optional = self._buffer, self._delimiter, self._optional
        longest = self._limit + len(optional) + len(delimiter)
        found = buffer.find(delimiter, at + self._searched, at + longest)
        if found < 0:
            kept = len(buffer) - at
            if kept >= longest:
                raise too_large(kept, self._limit)
            self._searched = max(0, kept - len(delimiter) + 1)
            self._needed = kept + 1
            return None
        self._searched = 0
        behind = found + len(delimiter)
        end = optional + delimiter if buffer.endswith(optional, at, found) else delimiter
        head = bytes(buffer[at : behind - len(end)])
        size = self._body_size(head)
        frame = (len(head), end) if size is None else (behind - at + size, self._body_end)
        if frame[0] > self._limit:
            raise too_large(frame[0], self._limit)
        return frame

    def _body_size(self, head: bytes) -> int | None:
        match = self._pattern.search(head)
        digits: bytes | None = match and match[1]
        if digits is None:
            return None
        if not digits.isdigit():
            raise FrameError(f"{digits[:40]!r} where a body's size belongs")
        # More digits than a limit can have are not worth a number, which Python may refuse.
        return int(digits.lstrip(b"0")[: len(str(self._limit)) + 1] or b"0")
