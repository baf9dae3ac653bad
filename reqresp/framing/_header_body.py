"""
A framing whose requests have a head that can announce a body, as in HTTP and memcached.

Knows bytes and RE2 patterns, which take linear time for any input.  It knows nothing of a protocol
but what the pattern finds in a head.
"""

from typing import Any

from attrs import field, frozen, validators

from reqresp.framing._base import BaseFraming, Decoder, FrameError
from reqresp.framing._decoders import (
    FrameDecoder,
    check_end,
    missing_bytes,
    no_delimiter,
    too_large,
)
from reqresp.framing._delimited import Delimited


@frozen
class HeaderBody(BaseFraming):
    r"""
    A request is a head, and the body that it announces, if any.

    *head* is the framing of heads.  The pattern *body* is searched for in a head, without its
    terminator.  If the first group of the pattern matches, it has the size of the body in decimal:
    the body follows the terminator, and *body_end* follows the body.  Otherwise there is no body.

    A request without a body is only the head, as in `Line` and `Delimiter`.  A request with a body
    is the head, its terminator and the body as they came, without *body_end*; this holds for an
    empty body, too.  A limit counts these bytes, and applies when the body is announced.

    After a `Delimiter` a reply is sent as it is: it has its own head and body.  After a `Line` the
    line ending is added to every reply.

    =============  ==========================  ==================================================
    memcached      ``Line()``                  ``rb"^(?:set|add|cas) \S+ \d+ -?\d+ (\d+)"``, with
                                               ``body_end=b"\r\n"``
    HTTP, LSP      ``Delimiter(b"\r\n\r\n")``  ``rb"(?im)^Content-Length:[ \t]*(\d+)"``
    =============  ==========================  ==================================================

    :param head: a `Line` or a `Delimiter`.
    :param body: an RE2 pattern with a group, over bytes.
    :raises ValueError: *body* is not an RE2 pattern, or has no group.
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
        # Imported late: other framings need no patterns, and the command starts faster.
        from reqresp._re2 import compile_pattern

        pattern = compile_pattern(self.body)
        if not pattern.groups:
            raise ValueError(
                f"expected a pattern with a group for the size of the body, found {self.body!r}"
            )
        return pattern

    def decoder(self, limit: int) -> Decoder:
        head = self.head
        return HeaderBodyDecoder(
            limit, head.terminator, head.optional, self._pattern, self.body_end
        )

    def encode(self, payload: bytes) -> bytes:
        return payload + self.head.after_body


class HeaderBodyDecoder(FrameDecoder):
    """Finds heads that end with *delimiter* or *optional* and *delimiter*, and their bodies."""

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
        # Set when the head is complete: the size of the request, and what must follow it.
        self._frame: tuple[int, bytes] | None = None

    def _lacks(self) -> str:
        if self._frame is None:
            return f"{no_delimiter(self._delimiter)} after the head"
        size, trailer = self._frame
        head = self._buffer.find(self._delimiter) + len(self._delimiter)
        return missing_bytes(len(self._buffer) - head, size - head, trailer, "the body")

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
        """Return the size of the request at *at* and what must follow it; None: incomplete."""
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
        after = found + len(delimiter)
        end = optional + delimiter if buffer.endswith(optional, at, found) else delimiter
        head = bytes(buffer[at : after - len(end)])
        size = self._body_size(head)
        frame = (len(head), end) if size is None else (after - at + size, self._body_end)
        if frame[0] > self._limit:
            raise too_large(frame[0], self._limit)
        return frame

    def _body_size(self, head: bytes) -> int | None:
        match = self._pattern.search(head)
        digits: bytes | None = match and match[1]
        if digits is None:
            return None
        if not digits.isdigit():
            raise FrameError(f"expected the size of a body, found {digits[:40]!r}")
        # One digit more than the limit has is enough; Python refuses to convert very many digits.
        return int(digits.lstrip(b"0")[: len(str(self._limit)) + 1] or b"0")
