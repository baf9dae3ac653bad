"""
Framings: where one request ends and the next begins, and how a reply is wrapped.

Sans-I/O: a framing knows bytes, and no connection, no clock and no meaning of a request.  A framing
is a frozen value that connections share.  Each connection has a decoder of its own.
"""

from reqresp.framing._base import (
    BaseFraming,
    Decoder,
    Framed,
    FrameError,
    Framing,
    Unfinished,
    complete_framing,
    is_framing,
    is_new,
    unfinished,
)
from reqresp.framing._decoders import SizedDecoder
from reqresp.framing._delimited import Chunk, Delimited, Delimiter, Fixed, Line, Mixed, Netstring
from reqresp.framing._enclosed import Enclosed
from reqresp.framing._header_body import HeaderBody
from reqresp.framing._length_field import ByteOrder, LengthField, LengthPrefix
from reqresp.framing._lengths import Encoding
from reqresp.framing._lines import AnyLine, Scpi
from reqresp.framing._raw import NO_END, RawFrames, feed_run, with_raw
from reqresp.framing._resp import Resp
from reqresp.framing._resp_commands import Command
from reqresp.framing._silence import Pause, SilenceDecoder, UntilEnd
from reqresp.framing._specifications import SPECIFICATIONS, parse_framing

__all__ = [
    "NO_END",
    "SPECIFICATIONS",
    "AnyLine",
    "BaseFraming",
    "ByteOrder",
    "Chunk",
    "Command",
    "Decoder",
    "Delimited",
    "Delimiter",
    "Enclosed",
    "Encoding",
    "Fixed",
    "FrameError",
    "Framed",
    "Framing",
    "HeaderBody",
    "LengthField",
    "LengthPrefix",
    "Line",
    "Mixed",
    "Netstring",
    "Pause",
    "RawFrames",
    "Resp",
    "Scpi",
    "SilenceDecoder",
    "SizedDecoder",
    "Unfinished",
    "UntilEnd",
    "complete_framing",
    "feed_run",
    "is_framing",
    "is_new",
    "parse_framing",
    "unfinished",
    "with_raw",
]
