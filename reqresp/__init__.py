"""
reqresp: a TCP request/response server for Twisted.

Its public names, each imported when it is first asked for: Twisted loads every plugin of every
installed package, ours too, whenever it looks for one, and must not load a whole server with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # under their own names: type checkers take that for public
    from reqresp.decoders import Decoder as Decoder
    from reqresp.decoders import FrameError as FrameError
    from reqresp.factory import ReqRespFactory as ReqRespFactory
    from reqresp.framing import Chunk as Chunk
    from reqresp.framing import Delimiter as Delimiter
    from reqresp.framing import Fixed as Fixed
    from reqresp.framing import Framing as Framing
    from reqresp.framing import LengthPrefix as LengthPrefix
    from reqresp.framing import Line as Line
    from reqresp.framing import Netstring as Netstring
    from reqresp.framing import parse_framing as parse_framing
    from reqresp.limits import Limits as Limits
    from reqresp.messages import Abort as Abort
    from reqresp.messages import Close as Close
    from reqresp.messages import Exchange as Exchange
    from reqresp.messages import Exchanges as Exchanges
    from reqresp.messages import HalfClose as HalfClose
    from reqresp.messages import Hang as Hang
    from reqresp.messages import Request as Request
    from reqresp.messages import Send as Send
    from reqresp.messages import Step as Step
    from reqresp.messages import Steps as Steps
    from reqresp.messages import StopReading as StopReading
    from reqresp.messages import Wait as Wait
    from reqresp.observer import Observer as Observer
    from reqresp.protocol import ReqResp as ReqResp
    from reqresp.responders import Connection as Connection
    from reqresp.responders import Reply as Reply
    from reqresp.responders import Responder as Responder
    from reqresp.responders import Table as Table
    from reqresp.responders import fixed as fixed
    from reqresp.transcript import Transcript as Transcript
    from reqresp.transport import EagerPort as EagerPort
    from reqresp.transport import EagerServer as EagerServer
    from reqresp.transport import EagerServerEndpoint as EagerServerEndpoint

__version__ = "0.1.0"

_ROOMS = {
    "Abort": "messages",
    "Chunk": "framing",
    "Close": "messages",
    "Connection": "responders",
    "Decoder": "decoders",
    "Delimiter": "framing",
    "EagerPort": "transport",
    "EagerServer": "transport",
    "EagerServerEndpoint": "transport",
    "Exchange": "messages",
    "Exchanges": "messages",
    "Fixed": "framing",
    "FrameError": "decoders",
    "Framing": "framing",
    "HalfClose": "messages",
    "Hang": "messages",
    "LengthPrefix": "framing",
    "Limits": "limits",
    "Line": "framing",
    "Netstring": "framing",
    "Observer": "observer",
    "Reply": "responders",
    "ReqResp": "protocol",
    "ReqRespFactory": "factory",
    "Request": "messages",
    "Responder": "responders",
    "Send": "messages",
    "Step": "messages",
    "Steps": "messages",
    "StopReading": "messages",
    "Table": "responders",
    "Transcript": "transcript",
    "Wait": "messages",
    "fixed": "responders",
    "parse_framing": "framing",
}

__all__ = [
    *_ROOMS,
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"reqresp.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
