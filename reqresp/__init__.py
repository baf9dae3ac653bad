"""
reqresp: a TCP request/response server for Twisted.

All public names can be imported from here.  Each is loaded when it is first used: Twisted imports
the plugin of reqresp whenever it looks for any plugin, and that must not load a whole server.
"""

from functools import cache
from importlib import import_module
from pkgutil import get_data
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `_modules` reads these lines, too; `X as X` makes a name public for checkers
    from reqresp._errors import FieldError as FieldError
    from reqresp.exchanges import Exchange as Exchange
    from reqresp.exchanges import Exchanges as Exchanges
    from reqresp.faults import Bandwidth as Bandwidth
    from reqresp.faults import Blackhole as Blackhole
    from reqresp.faults import Corrupt as Corrupt
    from reqresp.faults import DirectedFault as DirectedFault
    from reqresp.faults import Fault as Fault
    from reqresp.faults import Latency as Latency
    from reqresp.faults import LimitData as LimitData
    from reqresp.faults import PlacedFault as PlacedFault
    from reqresp.faults import ResetPeer as ResetPeer
    from reqresp.faults import Slicer as Slicer
    from reqresp.faults import SlowClose as SlowClose
    from reqresp.faults import StopReadingFault as StopReadingFault
    from reqresp.faults import Timeout as Timeout
    from reqresp.framing import AnyLine as AnyLine
    from reqresp.framing import BaseFraming as BaseFraming
    from reqresp.framing import Chunk as Chunk
    from reqresp.framing import Command as Command
    from reqresp.framing import Decoder as Decoder
    from reqresp.framing import Delimiter as Delimiter
    from reqresp.framing import Enclosed as Enclosed
    from reqresp.framing import Fixed as Fixed
    from reqresp.framing import FrameError as FrameError
    from reqresp.framing import Framing as Framing
    from reqresp.framing import HeaderBody as HeaderBody
    from reqresp.framing import LengthField as LengthField
    from reqresp.framing import LengthPrefix as LengthPrefix
    from reqresp.framing import Line as Line
    from reqresp.framing import Mixed as Mixed
    from reqresp.framing import Netstring as Netstring
    from reqresp.framing import Pause as Pause
    from reqresp.framing import Resp as Resp
    from reqresp.framing import Scpi as Scpi
    from reqresp.framing import SizedDecoder as SizedDecoder
    from reqresp.framing import Unfinished as Unfinished
    from reqresp.framing import UntilEnd as UntilEnd
    from reqresp.framing import parse_framing as parse_framing
    from reqresp.journal import Answered as Answered
    from reqresp.journal import Changed as Changed
    from reqresp.journal import Connected as Connected
    from reqresp.journal import Disconnected as Disconnected
    from reqresp.journal import Entry as Entry
    from reqresp.journal import Failed as Failed
    from reqresp.journal import Faulted as Faulted
    from reqresp.journal import Incomplete as Incomplete
    from reqresp.journal import Journal as Journal
    from reqresp.journal import JournalFile as JournalFile
    from reqresp.journal import Passed as Passed
    from reqresp.journal import Refused as Refused
    from reqresp.journal import RequestLog as RequestLog
    from reqresp.journal import Sent as Sent
    from reqresp.journal import Unanswered as Unanswered
    from reqresp.journal import UpstreamEnded as UpstreamEnded
    from reqresp.journal import UpstreamFailed as UpstreamFailed
    from reqresp.journal import UpstreamOpened as UpstreamOpened
    from reqresp.journal import as_json as as_json
    from reqresp.recording.replay import Replay as Replay
    from reqresp.relay import RelayFactory as RelayFactory
    from reqresp.relay import Unreachable as Unreachable
    from reqresp.relay import Upstream as Upstream
    from reqresp.relay import tcp_upstream as tcp_upstream
    from reqresp.relay import unix_upstream as unix_upstream
    from reqresp.script import Problem as Problem
    from reqresp.script import Script as Script
    from reqresp.script import ScriptError as ScriptError
    from reqresp.script.calls import Call as Call
    from reqresp.server.config import ConfigSource as ConfigSource
    from reqresp.server.config import ServerConfig as ServerConfig
    from reqresp.server.connection import Connection as Connection
    from reqresp.server.connection_table import ConnectionInfo as ConnectionInfo
    from reqresp.server.connection_table import ConnectionTable as ConnectionTable
    from reqresp.server.counters import Counters as Counters
    from reqresp.server.factory import ReqRespFactory as ReqRespFactory
    from reqresp.server.limits import Limits as Limits
    from reqresp.server.observers import Observer as Observer
    from reqresp.server.observers import Unasked as Unasked
    from reqresp.server.proxied import ProxiedFactory as ProxiedFactory
    from reqresp.server.pushes import PushError as PushError
    from reqresp.server.responders import ConnectionContext as ConnectionContext
    from reqresp.server.responders import Reply as Reply
    from reqresp.server.responders import Responder as Responder
    from reqresp.server.responders import Table as Table
    from reqresp.server.responders import fixed as fixed
    from reqresp.server.state_properties import StateProperties as StateProperties
    from reqresp.server.triggers import Timer as Timer
    from reqresp.server.triggers import Trigger as Trigger
    from reqresp.steps import Abort as Abort
    from reqresp.steps import Broadcast as Broadcast
    from reqresp.steps import Close as Close
    from reqresp.steps import Forward as Forward
    from reqresp.steps import HalfClose as HalfClose
    from reqresp.steps import Hang as Hang
    from reqresp.steps import Request as Request
    from reqresp.steps import RuleReply as RuleReply
    from reqresp.steps import Send as Send
    from reqresp.steps import StartTLS as StartTLS
    from reqresp.steps import Step as Step
    from reqresp.steps import Steps as Steps
    from reqresp.steps import StopReading as StopReading
    from reqresp.steps import Wait as Wait
    from reqresp.transport.accept_modes import Accept as Accept
    from reqresp.transport.accept_modes import AcceptAfter as AcceptAfter
    from reqresp.transport.accepting import Acceptance as Acceptance
    from reqresp.transport.access import Access as Access
    from reqresp.transport.access import Networks as Networks
    from reqresp.transport.access import parse_networks as parse_networks
    from reqresp.transport.eager import EagerPort as EagerPort
    from reqresp.transport.eager import EagerServer as EagerServer
    from reqresp.transport.eager import EagerServerEndpoint as EagerServerEndpoint

__version__ = "0.1.0"


@cache
def _modules() -> dict[str, str]:
    """Return the module of each public name, read from the imports above."""
    import ast  # late: importing a module of this package needs no parser

    source = get_data(__name__, "__init__.py") or b""  # works in a zip file, too
    return {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


def __getattr__(name: str) -> object:
    if name == "__all__":
        return [*_modules(), "__version__"]
    # Python itself looks up names such as __path__.
    module = None if name.startswith("__") else _modules().get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_modules()})
