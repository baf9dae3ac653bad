r"""
Resp: the protocol of Redis, commands in and values of RESP2 and RESP3 out.

Knows bytes and nothing else: no command's meaning.  `commands` finds the requests; whether a reply
is something that a client can read is found out here, by what `values` knows.
"""

from attrs import frozen

from reqresp.framing._base import BaseFraming, Decoder, FrameError
from reqresp.framing._resp_commands import CommandDecoder, words
from reqresp.framing._resp_values import ValueDecoder, read


@frozen
class Resp(BaseFraming):
    r"""
    A request is an array of bulk strings, or a line of words, as a person types it.

    What is matched is its arguments joined by one space; it is a `Command`, which keeps the bytes
    as they came in ``raw``.  A limit counts these.  An empty line and an array of nothing are
    passed over: there is no request in them.

    A reply is one value as it goes over the wire, less its last CRLF if you like: ``+OK``, ``:1``,
    ``$3\r\nabc``, ``*-1``, ``%1\r\n+proto\r\n:3``, ``>2\r\n+message\r\n+hi``, and attributes before
    any of them.  Strings and aggregates in chunks are left out, as in Redis.

    :source: https://redis.io/docs/latest/develop/reference/protocol-spec/
    """

    name = "resp"

    def decoder(self, limit: int) -> Decoder:
        if limit < len(b"x\n"):
            raise ValueError(f"requests of 2 bytes or more, where {limit} are allowed")
        return CommandDecoder(limit)

    def encode(self, payload: bytes) -> bytes:
        for frame in (payload, payload + b"\r\n"):
            end, missing = read(frame)
            if end == len(frame) and not missing:
                return frame
        found = payload[end : end + 40]
        if not missing:
            raise FrameError(f"{found!r} behind a reply that is complete")
        if not found:
            raise FrameError(f"a reply that lacks a value at its end: {payload[:40]!r}")
        raise FrameError(f"{found!r} in a reply, where a value of RESP belongs, such as b'+OK'")

    def encode_request(self, payload: bytes) -> bytes:
        found = words(payload)
        if not found:
            raise FrameError("a command without a word")
        arguments = (b"$%d\r\n%b\r\n" % (len(word), word) for word in found)
        return b"*%d\r\n%b" % (len(found), b"".join(arguments))

    def reply_decoder(self, limit: int) -> Decoder:
        return ValueDecoder(limit)
