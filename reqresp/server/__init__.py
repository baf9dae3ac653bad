"""
The server: one connection's life, and what all connections of a server have in common.

A `ReqRespFactory` makes a `Connection` for each client, as its `ServerConfig` says; `Connections`
is the front of all of them.
"""

from reqresp.server.config import ConfigSource, ServerConfig
from reqresp.server.connection import Connection
from reqresp.server.connections import Connections
from reqresp.server.counters import Counters
from reqresp.server.factory import ReqRespFactory
from reqresp.server.host import ConnectionHost, HostedConnection
from reqresp.server.limits import Limits
from reqresp.server.observers import Events, Observer
from reqresp.server.proxied import ProxiedFactory
from reqresp.server.responders import ConnectionContext, Reply, Responder, Table, fixed

__all__ = [
    "ConfigSource",
    "Connection",
    "ConnectionContext",
    "ConnectionHost",
    "Connections",
    "Counters",
    "Events",
    "HostedConnection",
    "Limits",
    "Observer",
    "ProxiedFactory",
    "Reply",
    "ReqRespFactory",
    "Responder",
    "ServerConfig",
    "Table",
    "fixed",
]
