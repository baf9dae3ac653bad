"""
PROXY headers: which client a connection that a balancer forwards comes from.

Reads the header that a balancer sends before everything else, TLS included, then replaces itself by
the protocol that is built for the client: nothing remains between that and the transport.  This
module must not know requests.
"""

from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    ILoggingContext,
    INegotiated,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.server.admission import UNTRUSTED, Refusal
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.transport.access import Networks
from reqresp.transport.proxy_protocol import ProxyDecoder, ProxyError
from reqresp.transport.stream import protocol_of, replace_protocol

# Stands for a client of which nothing is known: only limits that apply to all can refuse it.
_UNKNOWN = UNIXAddress(None)


class ProxiedFactory(Factory):
    """
    Has another factory build protocols for the clients that PROXY headers name.

    :param inner: builds them: *server*, or a factory that wraps it in TLS.
    :param server: admits clients, and counts connections whose header has not come yet, too.
    :param trusted: the networks of the balancers that may connect and send a header.  For UNIX
        sockets the permissions of the file decide.
    :param timeout: seconds until the header must be complete, by the clock of *server*; three cover
        the loss of a segment.
    """

    noisy = False

    def __init__(
        self,
        inner: IProtocolFactory,
        *,
        server: FrontFactory,
        trusted: Networks,
        timeout: float = 5.0,
    ) -> None:
        self.inner = inner
        #: The front of the server.
        self.front = front_of(server)
        self.timeout = timeout
        self._trusted = trusted

    def logPrefix(self) -> str:
        """Return the names of both factories, as Twisted's factory for TLS does."""
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
            refused: Protocol = self.front.refuse(addr, refusal)
            return refused
        return HeaderReader(self, addr)

    def _why_refuse(self, peer: IAddress) -> Refusal | None:
        if isinstance(peer, UNIXAddress) or peer in self._trusted:
            return self.front.why_refuse(_UNKNOWN)
        return UNTRUSTED


class HeaderReader(Protocol):
    """Reads the header of one connection, which *peer* has opened."""

    _log = Logger()

    factory: ProxiedFactory
    transport: Any

    def __init__(self, factory: ProxiedFactory, peer: IAddress) -> None:
        self.factory = factory
        self.peer = peer
        self._decoder = ProxyDecoder()
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        front = self.factory.front
        front.arrived(self)
        self._deadline = front.clock.callLater(self.factory.timeout, self._expire)

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
            self._log_lost(reason)
        with self.factory.front.settling(self):
            pass

    def finish(self) -> None:
        """Reset the connection: the server stops, and no request has come."""
        self.reset()

    def reset(self) -> None:
        """Reset the connection now."""
        self._stop_waiting()
        self.transport.abortConnection()

    def _hand_over(self, client: IAddress, rest: bytes) -> None:
        """Pass the connection, and the *rest* of the data, to the protocol built for *client*."""
        factory, transport = self.factory, self.transport
        self._stop_waiting()
        with factory.front.settling(self):
            protocol = factory.inner.buildProtocol(client)
            if protocol is None:
                transport.abortConnection()
                return
            # Without a wrapper, it half-closes, aborts and produces as it would without a header.
            replace_protocol(transport, protocol)
            # Within TLS the header is the first data: the handshake was completed before it.
            is_tls = INegotiated.implementedBy(type(transport))
            if is_tls and IHandshakeListener.providedBy(protocol):
                protocol.handshakeCompleted()
        if rest and _delivers(transport):
            protocol_of(transport).dataReceived(rest)

    def _expire(self) -> None:
        self._end(f"no PROXY header within {self.factory.timeout:g} s")

    def _end(self, reason: str) -> None:
        self._stop_waiting()
        self._report(reason)
        self.transport.abortConnection()

    def _log_lost(self, reason: Failure) -> None:
        size = len(self._decoder)
        # Balancers connect to find out whether a port is open; or the server has ended.
        if not size or reason.check(ConnectionAborted):
            self._log.debug(
                "{peer}: disconnected before a PROXY header",
                peer=self.factory.front.label(self.peer),
            )
            return
        self._report(f"disconnected within the PROXY header, after {size} bytes of it")

    def _report(self, reason: str) -> None:
        self.factory.front.malformed("proxy_header", self.peer, reason)

    def _stop_waiting(self) -> bool:
        """Stop waiting for the header; return whether it was awaited."""
        deadline, self._deadline = self._deadline, None
        if deadline is None:
            return False
        if deadline.active():
            deadline.cancel()
        return True


def _delivers(transport: Any) -> bool:
    """Return whether *transport* would still pass what arrives to its protocol."""
    return bool(
        transport.connected
        and not transport.disconnecting
        and not getattr(transport, "_aborting", False)
    )
