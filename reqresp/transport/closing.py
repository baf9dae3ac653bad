"""
Closing: ending a transport without losing what was written to it.

Knows Twisted's transports and nothing of requests.  Three facts are behind it: a socket closed
while input is unread sends a reset, which makes the peer's kernel throw away what it had received;
``abortConnection`` drops what the transport still buffers; and a reset drops what the kernel does.
"""

from collections.abc import Callable
from fcntl import ioctl
from sys import byteorder
from termios import TIOCOUTQ
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


def undelivered(transport: Any) -> int:
    """Count the bytes written to *transport* that its peer has not got, as far as can be known."""
    descriptor = _descriptor(transport)
    if not can_half_close(descriptor) or not descriptor.connected:
        return 0
    buffered: int = len(descriptor.dataBuffer) - descriptor.offset + descriptor._tempDataLen
    try:
        # What TCP has sent and not seen acknowledged; other sockets may not tell.
        in_kernel = ioctl(descriptor.fileno(), TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return buffered
    return buffered + int.from_bytes(in_kernel, byteorder)


def when_sent(transport: Any, call: Callable[[], None]) -> None:
    """
    Call *call* once nothing is buffered any more by *transport*, which has no producer registered.

    What a TLS layer has not encrypted is not counted; a transport that is no descriptor is believed
    to have sent everything.
    """
    descriptor = _descriptor(transport)
    if not can_half_close(descriptor):
        call()
        return
    producer = _CallWhenAsked(descriptor, call)
    descriptor.registerProducer(producer, streaming=False)
    producer.registered = True
    if descriptor.connected:
        # Nothing may be buffered: have the transport ask all the same.
        descriptor.startWriting()


def _descriptor(transport: Any) -> Any:
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


@implementer(IPullProducer)
class _CallWhenAsked:
    """A producer that is asked for more when all was sent, and at its registration."""

    registered = False

    def __init__(self, descriptor: Any, call: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._call = call

    def resumeProducing(self) -> None:
        if self.registered:
            self._descriptor.unregisterProducer()
            self._call()

    def stopProducing(self) -> None:
        """The connection is lost already."""
