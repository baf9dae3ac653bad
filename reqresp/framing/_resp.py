r"""
The framing of Redis: commands from clients, and values of RESP2 and RESP3 from servers.

Knows bytes only, and no command's meaning, but which replies belong to subscriptions.
"""

import re

from attrs import frozen

from reqresp.framing._base import BaseFraming, Decoder, FrameError
from reqresp.framing._decoders import check_limit
from reqresp.framing._resp_commands import CommandDecoder, words
from reqresp.framing._resp_values import ValueDecoder, read

#: The names of commands that are confirmed with their own name, once for each channel.
_CONFIRMED = frozenset(
    f"{kind}{action}subscribe".encode() for kind in ("", "p", "s") for action in ("", "un")
)
_MESSAGES = frozenset((b"message", b"pmessage", b"smessage"))
#: What a client of RESP2 may send while it is subscribed.
_WHILE_SUBSCRIBED = _CONFIRMED | {b"ping", b"quit", b"reset"}
_PUSH_MARKS = frozenset(b">*")
#: The first element of an array or of a push.
_FIRST = re.compile(rb"[*>][0-9]+\r\n(?:\$[0-9]+\r\n|\+)([a-z]+)\r\n")
#: The last element of a confirmation: the number of channels.
_COUNT = re.compile(rb"\r\n:[0-9]+\r\n\Z")


@frozen
class Resp(BaseFraming):
    r"""
    A request is an array of bulk strings, or a line of words as a person types it.

    Its data is a `Command`: the arguments joined by one space, with the bytes as they came in
    ``raw``.  A limit counts the bytes as they came.  An empty line and an empty array are skipped.

    A reply is one value as it is sent; its last CRLF can be left out.  Examples: ``+OK``, ``:1``,
    ``$3\r\nabc``, ``*-1``, ``%1\r\n+proto\r\n:3``, ``>2\r\n+message\r\n+hi``.  Attributes can
    precede each.  Streamed strings and aggregates are not supported, as in Redis.

    :source: https://redis.io/docs/latest/develop/reference/protocol-spec/
    """

    name = "resp"

    def decoder(self, limit: int) -> Decoder:
        check_limit(limit, len(b"x\n"))
        return CommandDecoder(limit)

    def encode(self, payload: bytes) -> bytes:
        for frame in (payload, payload + b"\r\n"):
            end, missing = read(frame)
            if end == len(frame) and not missing:
                return frame
        found = payload[end : end + 40]
        if not missing:
            raise FrameError(f"expected nothing after a complete reply, found {found!r}")
        if not found:
            raise FrameError(
                f"expected another value at the end of a reply, found {payload[:40]!r}"
            )
        raise FrameError(f"expected a RESP value such as b'+OK' in a reply, found {found!r}")

    def encode_request(self, payload: bytes) -> bytes:
        found = words(payload)
        if not found:
            raise FrameError("expected a command, found no words")
        arguments = (b"$%d\r\n%b\r\n" % (len(word), word) for word in found)
        return b"*%d\r\n%b" % (len(found), b"".join(arguments))

    def reply_decoder(self, limit: int) -> Decoder:
        return ValueDecoder(limit)

    @property
    def push_marks(self) -> frozenset[int]:
        return _PUSH_MARKS

    def answers(self, request: bytes, reply: bytes) -> bool:
        if reply[0] not in _PUSH_MARKS:
            return True
        first = _FIRST.match(reply)
        word = b"" if first is None else first[1]
        command = request.split(b" ", 1)[0].lower()
        if reply.startswith(b">") or (word in _CONFIRMED and _COUNT.search(reply)):
            return command == word and command in _CONFIRMED
        return word not in _MESSAGES or command not in _WHILE_SUBSCRIBED
