r"""
The framing of Redis: commands from clients, and values of RESP2 and RESP3 from servers.

Knows bytes only, and no command's meaning.
"""

from attrs import frozen

from reqresp.framing._base import BaseFraming, Decoder, FrameError, check_limit
from reqresp.framing._resp_commands import CommandDecoder, words
from reqresp.framing._resp_values import ValueDecoder, read


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
