"""
Preamble: who a client is, before its first byte is anybody's.

Reads the PROXY header that a balancer sends in front of all else (of TLS, too), then gives its
place to the protocol that is built for the client: nothing is left between that and the transport.
It knows nothing of requests.
"""

from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    ILoggingContext,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from reqresp._text import format_address
from reqresp.server.admission import UNTRUSTED, Refusal
from reqresp.server.factory import ReqRespFactory
from reqresp.transport.access import Networks
from reqresp.transport.proxy_protocol import ProxyDecoder, ProxyError

# Stands for a client of whom nothing is known: only what holds for all can turn it away.
_NOBODY = UNIXAddress(None)


class ProxiedFactory(Factory):
    """
    Has the protocols of another factory built for the clients that PROXY headers name.

    :param inner: builds them: *server*, or what speaks TLS in front of it.
    :param server: counts the connections, those that have not told yet included, and refuses.
    :param trusted: who may connect and send a header; for UNIX sockets the file system says so.
    :param timeout: seconds until the header has to be complete, by the clock of *server*; three
        cover a segment that is lost.
    """

    noisy = False

    def __init__(
        self,
        inner: IProtocolFactory,
        *,
        server: ReqRespFactory,
        trusted: Networks,
        timeout: float = 5.0,
    ) -> None:
        self.inner = inner
        self.server = server
        self.timeout = timeout
        self._trusted = trusted

    def logPrefix(self) -> str:
        """Name both factories, as Twisted's factory for TLS does."""
        inner: Any = self.inner
        known = ILoggingContext.providedBy(inner)
        return f"{inner.logPrefix() if known else type(inner).__name__} (PROXY)"

    def doStart(self) -> None:
        self.inner.doStart()
        super().doStart()

    def doStop(self) -> None:
        self.inner.doStop()
        super().doStop()

    def buildProtocol(self, addr: Any) -> Protocol:
        refusal = self._why_refuse(addr)
        if refusal is not None:
            return self.server.refuse(addr, refusal)
        return Preamble(self, addr)

    def _why_refuse(self, peer: IAddress) -> Refusal | None:
        if isinstance(peer, UNIXAddress) or peer in self._trusted:
            return self.server.why_refuse(_NOBODY)
        return UNTRUSTED


class Preamble(Protocol):
    """Reads the header of one connection, from *peer*."""

    _log = Logger()

    factory: ProxiedFactory
    transport: Any

    def __init__(self, factory: ProxiedFactory, peer: IAddress) -> None:
        self.factory = factory
        self.peer = peer
        self._decoder = ProxyDecoder()
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        factory = self.factory
        factory.server.arrived(self)
        self._deadline = factory.server.clock.callLater(factory.timeout, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        try:
            found = self._decoder.feed(data)
        except ProxyError as error:
            self._end(str(error))
            return
        if found is not None:
            header, rest = found
            self._hand_over(header.source or self.peer, rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._stop_waiting():
            self._tell_lost(reason)
        with self.factory.server.settling(self):
            pass

    def finish(self) -> None:
        """End: the server stops, and nobody's request has come."""
        self._stop_waiting()
        self.transport.abortConnection()

    def _hand_over(self, client: IAddress, rest: bytes) -> None:
        """Let the protocol that is built for *client* have the connection, and the *rest*."""
        factory, transport = self.factory, self.transport
        self._stop_waiting()
        with factory.server.settling(self):
            protocol = factory.inner.buildProtocol(client)
            if protocol is None:
                transport.abortConnection()
                return
            # Nothing wraps it: it half-closes, aborts and produces as it would without a header.
            if isinstance(transport, ProtocolWrapper):
                transport.wrappedProtocol = protocol
            else:
                transport.protocol = protocol
            protocol.makeConnection(transport)
        if rest and _delivers(transport):
            protocol.dataReceived(rest)

    def _too_late(self) -> None:
        self._end(f"no PROXY header came within {self.factory.timeout:g} s")

    def _end(self, reason: str) -> None:
        self._stop_waiting()
        self._log.warn("{peer}: {reason}; closing", peer=format_address(self.peer), reason=reason)
        self.transport.abortConnection()

    def _tell_lost(self, reason: Failure) -> None:
        size = len(self._decoder)
        # Balancers look whether a port is open by connecting to it; and the server may have ended.
        if not size or reason.check(ConnectionAborted):
            self._log.debug("{peer}: gone before any PROXY header", peer=format_address(self.peer))
            return
        self._log.warn(
            "{peer}: its end came within the PROXY header, behind {size} bytes of it; closing",
            peer=format_address(self.peer),
            size=size,
        )

    def _stop_waiting(self) -> bool:
        """Wait no more for the header; tell whether it was waited for."""
        deadline, self._deadline = self._deadline, None
        if deadline is None:
            return False
        if deadline.active():
            deadline.cancel()
        return True


def _delivers(transport: Any) -> bool:
    """Whether *transport* would still give its protocol what arrives."""
    return bool(
        transport.connected
        and not transport.disconnecting
        and not getattr(transport, "_aborting", False)
    )
