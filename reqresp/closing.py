"""
Closing: ending a transport without losing what was written to it.

Knows Twisted's transports and nothing of requests.  Two facts are behind it: a socket closed while
input is unread sends a reset, which makes the peer's kernel throw away what it had received; and
``abortConnection`` drops what the transport still buffers.
"""

from typing import Any

from twisted.internet.interfaces import IHalfCloseableDescriptor, IPullProducer
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import implementer


def can_half_close(transport: Any) -> bool:
    """
    Tell whether *transport* can end its sending side alone, and says so to its protocol.

    TLS and ``haproxy:`` are protocols that wrap a transport: they claim all that it can do, but
    hand on no half-close.
    """
    return IHalfCloseableDescriptor.providedBy(transport) and not isinstance(
        transport, ProtocolWrapper
    )


def abort_when_sent(transport: Any) -> None:
    """
    Reset *transport*, which has no producer registered, once all it buffers has left.

    What a TLS layer has not encrypted yet is lost; a transport that is no descriptor is reset now.
    """
    descriptor: Any = transport
    while isinstance(descriptor, ProtocolWrapper):
        descriptor = descriptor.transport
    if not can_half_close(descriptor):
        transport.abortConnection()
        return
    producer = _AbortWhenAsked(transport)
    descriptor.registerProducer(producer, streaming=False)
    producer.registered = True
    # Nothing may be buffered: have the transport ask all the same.
    descriptor.writeSequence([b""])


@implementer(IPullProducer)
class _AbortWhenAsked:
    """A producer that is asked for more when all was sent, and at its registration."""

    registered = False

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def resumeProducing(self) -> None:
        if self.registered:
            self._transport.abortConnection()

    def stopProducing(self) -> None:
        """The connection is lost already."""
