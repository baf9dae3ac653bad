"""Servers to test clients against: in a thread, on the running reactor, or in memory."""

from reqresp.steps import Wait
from reqresp.testing._base import BaseServer, ServerArguments
from reqresp.testing._expectation import Expectation
from reqresp.testing._in_memory import MemoryServer
from reqresp.testing._memory_peer import MemoryPeer
from reqresp.testing._memory_reactor import InMemoryReactor
from reqresp.testing._memory_socket import MemorySocket
from reqresp.testing._on_reactor import LocalServer
from reqresp.testing._reactor_thread import ThreadedReactor
from reqresp.testing._serve import serve
from reqresp.testing._threaded import Server, StartServer

__all__ = [
    "BaseServer",
    "Expectation",
    "InMemoryReactor",
    "LocalServer",
    "MemoryPeer",
    "MemoryServer",
    "MemorySocket",
    "Server",
    "ServerArguments",
    "StartServer",
    "ThreadedReactor",
    "Wait",
    "serve",
]
