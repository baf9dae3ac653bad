r"""
Resp: the protocol of Redis, commands in and values of RESP2 and RESP3 out.

Knows bytes and nothing else: no command's meaning.  `commands` finds the requests; whether a reply
is something that a client can read is found out here.
"""

import re

from attrs import frozen

from reqresp.commands import CommandDecoder
from reqresp.decoders import Decoder, FrameError

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


@frozen
class Resp:
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

    def decoder(self, limit: int) -> Decoder:
        if limit < len(b"x\n"):
            raise ValueError(f"requests of 2 bytes or more, where {limit} are allowed")
        return CommandDecoder(limit)

    def encode(self, payload: bytes) -> bytes:
        for frame in (payload, payload + b"\r\n"):
            end, missing = _read(frame)
            if end == len(frame) and not missing:
                return frame
        found = payload[end : end + 40]
        if not missing:
            raise FrameError(f"{found!r} behind a reply that is complete")
        if not found:
            raise FrameError(f"a reply that lacks a value at its end: {payload[:40]!r}")
        raise FrameError(f"{found!r} in a reply, where a value of RESP belongs, such as b'+OK'")


def _read(data: bytes) -> tuple[int, int]:
    """Read one value of *data*: where it ends or goes wrong, and how many values it lacks there."""
    at, missing = 0, 1  # a count is enough, however deep they are nested
    while missing and (head := _HEAD.match(data, at)):
        kind = head.lastgroup
        size = int(head[kind]) if kind else 0
        end = head.end()
        if kind in ("bytes", "verbatim"):
            end += size + 2
            if data[end - 2 : end] != b"\r\n":
                break
        at = end
        missing += size * _FACTORS[kind] - (kind != "attributes")
    return at, missing
