"""
A framing whose requests have a head that can announce a body, as in HTTP and memcached.

Knows bytes and RE2 patterns, which take linear time for any input.  It knows nothing of a protocol
but what the patterns find in a head.
"""

from typing import Any

from attrs import field, frozen, validators

from reqresp._errors import FieldError
from reqresp.framing._base import BaseFraming, Decoder, FrameError, Unfinished
from reqresp.framing._bodies import Body, ChunkedBody, CountedBody, EndedBody
from reqresp.framing._decoders import FrameDecoder, no_delimiter, too_large
from reqresp.framing._delimited import Delimited


def _compiled(pattern: bytes | None) -> Any:
    # Imported late: other framings need no patterns, and the command starts faster.
    from reqresp._re2 import compile_pattern

    return None if pattern is None else compile_pattern(pattern)


@frozen
class HeaderBody(BaseFraming):
    r"""
    A request is a head, and the body that it announces, if any.

    *head* is the framing of heads.  The pattern *body* is searched for in a head, without its
    terminator, so that it can stand in any line.  If the first group of the pattern matches, it has
    the size of the body in decimal: the body follows the terminator, and *body_end* follows the
    body.  Otherwise there is no body, unless *always_body* or *chunked* says so.

    A request without a body is only the head, as in `Line` and `Delimiter`.  A request with a body
    is the head, its terminator and the body as they came, without *body_end*; this holds for an
    empty body, too.  Of a body in chunks, a request has the data of the chunks.  A limit counts
    these bytes, and what chunks add; it applies when the body is announced.

    After a `Delimiter` a reply is sent as it is: it has its own head and body.  After a `Line` the
    line ending is added to every reply.

    =============  ==========================  ==================================================
    memcached      ``Line()``                  ``rb"^(?:set|add|cas) \S+ \d+ -?\d+ (\d+)"``, with
                                               ``body_end=b"\r\n"``
    HTTP, LSP      ``Delimiter(b"\r\n\r\n")``  ``rb"(?im)^Content-Length:[ \t]*(\d+)"``, with
                                               ``chunked=rb"(?im)^Transfer-Encoding:.*chunked"``
    SIP            ``Delimiter(b"\r\n\r\n")``  ``rb"(?im)^(?:Content-Length|l)[ \t]*:[ \t]*(\d+)"``
    STOMP          ``Delimiter(b"\n\n")``      ``rb"(?m)^content-length:(\d+)"``, with
                                               ``body_end=b"\0"``, ``always_body=True``,
                                               ``skip=b"\r\n"``
    FIX            ``Delimiter(b"\x0135=")``   ``rb"\x019=(\d+)$"``, with ``adjust=4``: ``35=`` is
                                               counted, and ``10=nnn`` with its SOH is not
    =============  ==========================  ==================================================

    :param head: a `Line` or a `Delimiter`.
    :param body: an RE2 pattern with a group, over bytes.
    :param body_end: bytes that follow a body.
    :param always_body: each head has a body; without a size it ends at the first *body_end*.
    :param adjust: bytes that follow a head and that the size does not count; negative: bytes of the
        head that it counts.
    :param chunked: an RE2 pattern; if it is found in a head, the body comes in chunks as in HTTP.
    :param head_first: an RE2 pattern; if it is found in a head that announces a body, the head is a
        request of its own, before the request that has the body.  The reply to it can say that the
        client may send the body: ``rb"(?im)^Expect:[ \t]*100-continue"``.
    :param skip: bytes that are dropped before a head.
    :raises ValueError: *body* is not an RE2 pattern, or has no group.
    :source: RFC 9112, 6.3
    :source: https://github.com/memcached/memcached/blob/master/doc/protocol.txt
    :source: https://microsoft.github.io/language-server-protocol, Base Protocol
    :source: https://stomp.github.io/stomp-specification-1.2.html
    :source: RFC 3261, 18.3
    :source: FIX Session Layer, Message structure
    """

    name = "head and body"

    head: Delimited = field(
        validator=validators.instance_of(Delimited)  # type: ignore[type-abstract]  # none is made
    )
    body: bytes = field()
    body_end: bytes = field(default=b"")
    always_body: bool = field(default=False, kw_only=True)
    adjust: int = field(default=0, kw_only=True)
    chunked: bytes | None = field(default=None, kw_only=True)
    head_first: bytes | None = field(default=None, kw_only=True)
    skip: bytes = field(default=b"", kw_only=True)
    #: The patterns by name, compiled.
    _patterns: dict[str, Any] = field(init=False, repr=False, eq=False)

    @_patterns.default
    def _compile_patterns(self) -> dict[str, Any]:
        patterns = {}
        for name in ("body", "chunked", "head_first"):
            try:
                patterns[name] = _compiled(getattr(self, name))
            except ValueError as error:
                raise FieldError(name, str(error)) from None
        if not patterns["body"].groups:
            problem = "expected a pattern with a group for the size of the body, found"
            raise FieldError("body", f"{problem} {self.body!r}")
        return patterns

    @always_body.validator
    def _check_end(self, _attribute: object, always_body: bool) -> None:
        if always_body and not self.body_end:
            raise FieldError("body_end", "expected what ends a body without a size, found nothing")

    def decoder(self, limit: int) -> Decoder:
        return HeaderBodyDecoder(limit, self)

    def encode(self, payload: bytes) -> bytes:
        return payload + self.head.after_body

    def find_body(self, head: bytes, limit: int, room: int) -> Body | None:
        """
        Return the body that *head* announces, which has not begun; None: there is none.

        :param limit: the most bytes of a request.
        :param room: how many of these the head has left.
        :raises FrameError: the body has no room, or its size is not a number.
        """
        chunked = self._patterns["chunked"]
        if chunked is not None and chunked.search(head):
            return ChunkedBody(limit, room)
        match = self._patterns["body"].search(head)
        digits: bytes | None = match and match[1]
        if digits is None:
            return EndedBody(limit, room, self.body_end) if self.always_body else None
        if not digits.isdigit():
            raise FrameError(f"expected the size of a body, found {digits[:40]!r}")
        # One digit more than the limit has is enough; Python refuses to convert very many digits.
        counted = int(digits.lstrip(b"0")[: len(str(limit)) + 1] or b"0")
        size = counted + self.adjust
        if size < 0:
            raise FrameError(
                f"expected a size of at least {-self.adjust} (it counts bytes of the head), found"
                f" {counted}"
            )
        return CountedBody(limit, room, size, self.body_end)

    def comes_first(self, head: bytes) -> bool:
        """Return whether *head*, which announces a body, is a request of its own, too."""
        pattern = self._patterns["head_first"]
        return pattern is not None and pattern.search(head) is not None


class HeaderBodyDecoder(FrameDecoder):
    """Finds the heads and bodies of *framing*."""

    __slots__ = ("_body", "_framing", "_head", "_head_size", "_searched")

    def __init__(self, limit: int, framing: HeaderBody) -> None:
        super().__init__(limit)
        self._framing = framing
        self._searched = 0  # no delimiter starts before here in the head
        # Set while a body is awaited: the body, and the bytes of its head in the buffer.
        self._body: Body | None = None
        self._head_size = 0
        self._head = b""  # the head, if it was a request of its own, and its terminator

    def __len__(self) -> int:
        return len(self._head) + len(self._buffer)

    def unfinished(self) -> Unfinished:
        return Unfinished(self._head + bytes(self._buffer), self._lacks())

    def _lacks(self) -> str:
        if self._body is None:
            return f"{no_delimiter(self._framing.head.terminator)} after the head"
        return self._body.lacks(len(self._buffer) - self._head_size)

    def _take(self, at: int, requests: list[bytes]) -> int:
        body = self._body
        if body is None:
            return self._take_head(at, requests)
        start = at + self._head_size
        found = body.take(self._buffer, start)
        if found is None:
            self._needed = self._head_size + body.needed
            return at
        data, end = found
        requests.append((self._head or bytes(self._buffer[at:start])) + data)
        self._body = None
        self._head = b""
        self._head_size = 0
        self._needed = 1
        self.is_open = False
        return end

    def _take_head(self, at: int, requests: list[bytes]) -> int:
        """As `_take`, for what does not belong to a body."""
        buffer, framing = self._buffer, self._framing
        start = at
        while framing.skip and start < len(buffer) and buffer[start] in framing.skip:
            start += 1
        if start > at:
            self._needed = 1
            return start
        delimiter, optional = framing.head.terminator, framing.head.optional
        longest = self._limit + len(optional) + len(delimiter)
        found = buffer.find(delimiter, at + self._searched, at + longest)
        if found < 0:
            kept = len(buffer) - at
            if kept >= longest:
                raise too_large(kept, self._limit)
            self._searched = max(0, kept - len(delimiter) + 1)
            self._needed = kept + 1
            return at
        self._searched = 0
        stop = found - len(optional) if buffer.endswith(optional, at, found) else found
        return self._read_head(at, bytes(buffer[at:stop]), found + len(delimiter), requests)

    def _read_head(self, at: int, head: bytes, after: int, requests: list[bytes]) -> int:
        """As `_take`, for a complete *head*, whose terminator ends at *after*."""
        room = self._limit - (after - at)
        body = self._framing.find_body(head, self._limit, room)
        if body is None:
            if len(head) > self._limit:
                raise too_large(len(head), self._limit)
            requests.append(head)
            self._needed = 1
            return after
        self._body = body
        if self._framing.comes_first(head):
            requests.append(head)
            self._head = bytes(self._buffer[at:after])
            self.is_open = True
            self._needed = body.needed
            return after
        self._head_size = after - at
        self._needed = self._head_size + body.needed
        return at
