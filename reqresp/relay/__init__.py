"""
Relay: a server in front of a real service.

It passes all bytes between each client and a connection of its own to the service.
"""

from reqresp.relay.factory import RelayFactory
from reqresp.relay.forwarding import Forwarding
from reqresp.relay.upstream import Unreachable, Upstream, tcp_upstream, unix_upstream

__all__ = ["Forwarding", "RelayFactory", "Unreachable", "Upstream", "tcp_upstream", "unix_upstream"]
