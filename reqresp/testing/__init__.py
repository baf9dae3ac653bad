"""Servers to test clients against: in a thread, on the running reactor, or in memory."""

from reqresp.steps import Wait
from reqresp.testing._expectation import Expectation
from reqresp.testing._in_memory import MemoryServer
from reqresp.testing._on_reactor import LocalServer
from reqresp.testing._threaded import Server, StartServer, serve

__all__ = [
    "Expectation",
    "LocalServer",
    "MemoryServer",
    "Server",
    "StartServer",
    "Wait",
    "serve",
]
