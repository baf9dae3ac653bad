"""
Transports: how bytes travel, and how a connection ends.

Knows Twisted's transports and sockets; it must not know requests.  Importing it needs no OpenSSL:
TLS is in `reqresp.transport.tls`.
"""

from reqresp.transport.eager import EagerPort, EagerServer, EagerServerEndpoint
from reqresp.transport.stream import Owner, Phase, Reading, Stream, Writing

__all__ = [
    "EagerPort",
    "EagerServer",
    "EagerServerEndpoint",
    "Owner",
    "Phase",
    "Reading",
    "Stream",
    "Writing",
]
