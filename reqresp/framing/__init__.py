"""Framings: where one request ends and the next begins; sans-I/O."""

from reqresp.framing._base import (
    ChunkDecoder,
    Decoder,
    DelimiterDecoder,
    FrameDecoder,
    FrameError,
    Header,
    SizedDecoder,
    check_end,
    too_large,
)
from reqresp.framing._delimited import (
    SPECIFICATIONS,
    Chunk,
    Delimiter,
    Fixed,
    Framing,
    LengthPrefix,
    Line,
    Mixed,
    Netstring,
    parse_framing,
)
from reqresp.framing._header_body import HeaderBody
from reqresp.framing._length_field import ByteOrder, Length
from reqresp.framing._resp import Resp
from reqresp.framing._resp_commands import Command, words
from reqresp.framing._resp_values import ValueDecoder

__all__ = [
    "SPECIFICATIONS",
    "ByteOrder",
    "Chunk",
    "ChunkDecoder",
    "Command",
    "Decoder",
    "Delimiter",
    "DelimiterDecoder",
    "Fixed",
    "FrameDecoder",
    "FrameError",
    "Framing",
    "Header",
    "HeaderBody",
    "Length",
    "LengthPrefix",
    "Line",
    "Mixed",
    "Netstring",
    "Resp",
    "SizedDecoder",
    "ValueDecoder",
    "check_end",
    "parse_framing",
    "too_large",
    "words",
]
