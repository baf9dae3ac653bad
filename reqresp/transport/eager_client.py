"""
The eager client transport: connections that are made write eagerly, as accepted ones do.

It must not know requests, replies or protocols.
"""

from typing import Any

from twisted.internet import tcp
from twisted.internet.posixbase import PosixReactorBase
from zope.interface import directlyProvides, providedBy

from reqresp.transport.eager import EagerWrites


class EagerClient(EagerWrites, tcp.Client):
    """The transport of a connection that was made, with eager writes."""

    def __init__(
        self,
        host: str,
        port: int,
        bindAddress: Any,  # noqa: N803, Twisted's name
        connector: tcp.Connector,
        reactor: Any = None,
    ) -> None:
        # As in EagerServer, for the same reasons.
        self.dataBuffer = b""
        self.offset = 0
        self.producer = None
        self.streamingProducer = self.producerPaused = False
        self.TLS = self._aborting = self._writeDisconnected = self._is_plain = False
        # Twisted sets these when it connects.  With twelve transports made by then, CPython has no
        # room for them in the shared layout, and each connection costs 600 bytes more.
        self.realAddress = (host, port)
        self.connected = 0
        self.logstr = tcp.Client.logstr
        # Twisted replaces these, too, until the transport is connected.
        self.doRead = self.doWrite = self.doConnect  # type: ignore[method-assign]
        super().__init__(host, port, bindAddress, connector, reactor)


class EagerConnector(tcp.Connector):
    """Makes connections whose writes are eager."""

    def _makeTransport(self) -> EagerClient:  # noqa: N802, Twisted's name
        return EagerClient(self.host, self.port, self.bindAddress, self, self.reactor)


class EagerConnects:
    """
    A reactor whose ``connectTCP`` makes eager connections; everything else is *reactor*'s.

    Pass it to a client endpoint.  Reactors without sockets (those for tests) connect as usual.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(  # noqa: N802, Twisted's name
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,  # noqa: N803, Twisted's name
    ) -> Any:
        """Connect *factory* to a host and port, and return the connector."""
        reactor = self._reactor
        if not isinstance(reactor, PosixReactorBase):
            return reactor.connectTCP(host, port, factory, timeout, bindAddress)
        connector = EagerConnector(host, port, factory, timeout, bindAddress, reactor)
        connector.connect()
        return connector
