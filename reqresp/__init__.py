"""
reqresp: a TCP request/response server for Twisted.

Its public names, each imported when it is first asked for: Twisted loads every plugin of every
installed package, ours too, whenever it looks for one, and must not load a whole server with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # under their own names: type checkers take that for public
    from reqresp.behaviour import Behaviour as Behaviour
    from reqresp.behaviour import Plan as Plan
    from reqresp.commands import Command as Command
    from reqresp.decoders import Decoder as Decoder
    from reqresp.decoders import FrameError as FrameError
    from reqresp.entries import Answered as Answered
    from reqresp.entries import Connected as Connected
    from reqresp.entries import Disconnected as Disconnected
    from reqresp.entries import Entry as Entry
    from reqresp.entries import Failed as Failed
    from reqresp.entries import Refused as Refused
    from reqresp.entries import Unanswered as Unanswered
    from reqresp.entries import as_json as as_json
    from reqresp.factory import ReqRespFactory as ReqRespFactory
    from reqresp.faults import Bandwidth as Bandwidth
    from reqresp.faults import Corrupt as Corrupt
    from reqresp.faults import Deaf as Deaf
    from reqresp.faults import Fault as Fault
    from reqresp.faults import Latency as Latency
    from reqresp.faults import LimitData as LimitData
    from reqresp.faults import Placed as Placed
    from reqresp.faults import ResetPeer as ResetPeer
    from reqresp.faults import Slicer as Slicer
    from reqresp.faults import SlowClose as SlowClose
    from reqresp.faults import Timeout as Timeout
    from reqresp.framing import Chunk as Chunk
    from reqresp.framing import Delimiter as Delimiter
    from reqresp.framing import Fixed as Fixed
    from reqresp.framing import Framing as Framing
    from reqresp.framing import LengthPrefix as LengthPrefix
    from reqresp.framing import Line as Line
    from reqresp.framing import Mixed as Mixed
    from reqresp.framing import Netstring as Netstring
    from reqresp.framing import parse_framing as parse_framing
    from reqresp.headed import Headed as Headed
    from reqresp.journal import Journal as Journal
    from reqresp.journal_file import JournalFile as JournalFile
    from reqresp.length import Length as Length
    from reqresp.limits import Limits as Limits
    from reqresp.messages import Abort as Abort
    from reqresp.messages import Chosen as Chosen
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
    from reqresp.meter import Meter as Meter
    from reqresp.networks import Access as Access
    from reqresp.networks import Networks as Networks
    from reqresp.networks import parse_networks as parse_networks
    from reqresp.observer import Observer as Observer
    from reqresp.preamble import PreambleFactory as PreambleFactory
    from reqresp.protocol import ReqResp as ReqResp
    from reqresp.resp import Resp as Resp
    from reqresp.responders import Connection as Connection
    from reqresp.responders import Reply as Reply
    from reqresp.responders import Responder as Responder
    from reqresp.responders import Table as Table
    from reqresp.responders import fixed as fixed
    from reqresp.script import Script as Script
    from reqresp.script import ScriptError as ScriptError
    from reqresp.tables import Problem as Problem
    from reqresp.transcript import Transcript as Transcript
    from reqresp.transport import EagerPort as EagerPort
    from reqresp.transport import EagerServer as EagerServer
    from reqresp.transport import EagerServerEndpoint as EagerServerEndpoint

__version__ = "0.1.0"

_ROOMS = {
    "Abort": "messages",
    "Access": "networks",
    "Answered": "entries",
    "Bandwidth": "faults",
    "Behaviour": "behaviour",
    "Chosen": "messages",
    "Chunk": "framing",
    "Close": "messages",
    "Command": "commands",
    "Connected": "entries",
    "Connection": "responders",
    "Corrupt": "faults",
    "Deaf": "faults",
    "Decoder": "decoders",
    "Delimiter": "framing",
    "Disconnected": "entries",
    "EagerPort": "transport",
    "EagerServer": "transport",
    "EagerServerEndpoint": "transport",
    "Entry": "entries",
    "Exchange": "messages",
    "Exchanges": "messages",
    "Failed": "entries",
    "Fault": "faults",
    "Fixed": "framing",
    "FrameError": "decoders",
    "Framing": "framing",
    "HalfClose": "messages",
    "Hang": "messages",
    "Headed": "headed",
    "Journal": "journal",
    "JournalFile": "journal_file",
    "Latency": "faults",
    "Length": "length",
    "LengthPrefix": "framing",
    "LimitData": "faults",
    "Limits": "limits",
    "Line": "framing",
    "Meter": "meter",
    "Mixed": "framing",
    "Netstring": "framing",
    "Networks": "networks",
    "Observer": "observer",
    "Placed": "faults",
    "Plan": "behaviour",
    "PreambleFactory": "preamble",
    "Problem": "tables",
    "Refused": "entries",
    "Reply": "responders",
    "ReqResp": "protocol",
    "ReqRespFactory": "factory",
    "Request": "messages",
    "ResetPeer": "faults",
    "Resp": "resp",
    "Responder": "responders",
    "Script": "script",
    "ScriptError": "script",
    "Send": "messages",
    "Slicer": "faults",
    "SlowClose": "faults",
    "Step": "messages",
    "Steps": "messages",
    "StopReading": "messages",
    "Table": "responders",
    "Timeout": "faults",
    "Transcript": "transcript",
    "Unanswered": "entries",
    "Wait": "messages",
    "as_json": "entries",
    "fixed": "responders",
    "parse_framing": "framing",
    "parse_networks": "networks",
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
