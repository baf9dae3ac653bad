"""
Servers to test clients against: in a thread, on the running reactor, or in memory.

Servers in memory are imported when they are first used.  They need `twisted.internet.testing`,
which takes a twentieth of the instructions until the first server in a thread has started.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from reqresp.expectations.unused import UnusedRecordingWarning
from reqresp.steps import Wait
from reqresp.testing._arguments import ServerArguments
from reqresp.testing._base import BaseServer
from reqresp.testing._connections import ServerConnection, ServerConnections
from reqresp.testing._expectation import Expectation
from reqresp.testing._faults import ServerFault
from reqresp.testing._framings import check_framing
from reqresp.testing._held import HeldRequest
from reqresp.testing._memory_peer import MemoryPeer
from reqresp.testing._memory_socket import MemorySocket
from reqresp.testing._on_reactor import LocalServer
from reqresp.testing._reactor_thread import ThreadedReactor
from reqresp.testing._recording import MissingRecordingError
from reqresp.testing._serve import serve
from reqresp.testing._threaded import Server, StartServer

if TYPE_CHECKING:
    from reqresp.testing._in_memory import MemoryServer
    from reqresp.testing._memory_reactor import InMemoryReactor

__all__ = [
    "BaseServer",
    "Expectation",
    "HeldRequest",
    "InMemoryReactor",
    "LocalServer",
    "MemoryPeer",
    "MemoryServer",
    "MemorySocket",
    "MissingRecordingError",
    "Server",
    "ServerArguments",
    "ServerConnection",
    "ServerConnections",
    "ServerFault",
    "StartServer",
    "ThreadedReactor",
    "UnusedRecordingWarning",
    "Wait",
    "check_framing",
    "serve",
]

_LATE = {"InMemoryReactor": "_memory_reactor", "MemoryServer": "_in_memory"}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value
