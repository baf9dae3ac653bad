"""reqresp: a TCP request/response server for Twisted."""

from reqresp.decoders import Decoder, FrameError
from reqresp.factory import ReqRespFactory
from reqresp.framing import (
    Chunk,
    Delimiter,
    Fixed,
    Framing,
    LengthPrefix,
    Line,
    Netstring,
    parse_framing,
)
from reqresp.limits import Limits
from reqresp.messages import (
    Abort,
    Close,
    Exchange,
    Exchanges,
    HalfClose,
    Hang,
    Request,
    Send,
    Step,
    Steps,
    Wait,
)
from reqresp.observer import Observer
from reqresp.protocol import ReqResp
from reqresp.responders import Connection, Reply, Responder, Table, fixed
from reqresp.transcript import Transcript

__version__ = "0.1.0"

__all__ = [
    "Abort",
    "Chunk",
    "Close",
    "Connection",
    "Decoder",
    "Delimiter",
    "Exchange",
    "Exchanges",
    "Fixed",
    "FrameError",
    "Framing",
    "HalfClose",
    "Hang",
    "LengthPrefix",
    "Limits",
    "Line",
    "Netstring",
    "Observer",
    "Reply",
    "ReqResp",
    "ReqRespFactory",
    "Request",
    "Responder",
    "Send",
    "Step",
    "Steps",
    "Table",
    "Transcript",
    "Wait",
    "__version__",
    "fixed",
    "parse_framing",
]
