"""
InMemoryReactor: a reactor whose connections lead to each other, without a kernel or a thread.

Only sockets and time are replaced.  Both ends of a connection have the TCP transports of Twisted's
reactors, with their buffering, producers, half-close and resets.  (``twisted.test.iosim`` replaces
the transports: there a half-close does nothing, a reset looks like an orderly end, and no buffer is
ever full.)  Must not know requests.
"""

from collections.abc import Callable
from errno import ECONNREFUSED
from functools import partial
from itertools import count
from operator import methodcaller
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
)
from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from reqresp.testing._memory_peer import MemoryPeer
from reqresp.testing._memory_socket import Accept, MemorySocket
from reqresp.transport.eager import EagerServer

#: The address that every name resolves to.
HOST = "127.0.0.1"
#: The number of turns after which `InMemoryReactor.advance` gives up.
MAX_TURNS = 100_000
#: The first port that `InMemoryReactor.free_port` returns.
_FIRST_PORT = 40000


class _Client(tcp.Client):
    def createInternetSocket(self) -> Any:  # noqa: N802, Twisted's name
        return self.connector.reactor.make_socket()


class _Connector(tcp.Connector):
    #: The protocol that the factory has built last.
    protocol: IProtocol | None = None

    def _makeTransport(self) -> tcp.Client:  # noqa: N802, Twisted's name
        return _Client(self.host, self.port, self.bindAddress, self, self.reactor)

    def buildProtocol(self, addr: Any) -> IProtocol | None:
        self.protocol = super().buildProtocol(addr)
        return self.protocol


@implementer(IHostResolution)
class _Resolution:
    """The search for one name, which has ended."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Do nothing: it has ended."""


@implementer(IHostnameResolver)
class _EveryName:
    """Finds `HOST` for every name, at once."""

    def resolveHostName(  # noqa: N802, Twisted's name
        self,
        resolutionReceiver: Any,  # noqa: N803, likewise
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Any = None,  # noqa: ARG002, N803
        transportSemantics: str = "TCP",  # noqa: ARG002, N803
    ) -> _Resolution:
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        resolutionReceiver.addressResolved(IPv4Address("TCP", HOST, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


# Older Twisteds have no resolver in a MemoryReactorClock: they would ask the system, in a thread.
@implementer(IReactorPluggableNameResolver)
class InMemoryReactor(MemoryReactorClock, _DisconnectSelectableMixin):
    """
    A ``MemoryReactorClock`` whose ``connectTCP`` connects to the factory of its ``listenTCP``.

    All names and addresses lead to the same place: only the port counts.  Nothing moves until
    `advance` is called; 0 seconds are enough.
    """

    def __init__(self) -> None:
        super().__init__()
        #: The class of the transports of accepted connections.
        self.server_transport: type[tcp.Server] = EagerServer
        #: The transport of the connection that was accepted last.
        self.accepted: tcp.Server | None = None
        self._numbers = count()
        self._ports = count(_FIRST_PORT)
        self._until = 0.0
        self._is_moving = False
        self.nameResolver: Any = _EveryName()

    # Connections

    def installNameResolver(self, resolver: Any) -> Any:  # noqa: N802, Twisted's name
        """Resolve names with *resolver*; return the one before."""
        previous, self.nameResolver = self.nameResolver, resolver
        return previous

    def connectTCP(  # noqa: N802, Twisted's name
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,  # noqa: N803, Twisted's name
    ) -> _Connector:
        """Connect to the factory that listens on *port*."""
        self.tcpClients.append((host, port, factory, int(timeout), bindAddress))
        connector = _Connector(host, port, factory, timeout, bindAddress, self)
        self.connectors.append(connector)
        connector.connect()
        return connector

    def resolve(self, name: str, timeout: Any = 10) -> Deferred[str]:  # noqa: ARG002, Twisted's
        """Return `HOST` for every *name*."""
        return succeed(HOST)

    def free_port(self) -> int:
        """Return a port that is not in use."""
        return next(self._ports)

    def make_socket(self) -> MemorySocket:
        """Return a socket that is not connected."""
        name = HOST, self.free_port()
        return MemorySocket(next(self._numbers), name, self._listener)

    def connect_peer(self, port: int, address: tuple[str, int] = (HOST, 0)) -> MemoryPeer:
        """
        Connect a client that is controlled byte by byte, and return it.

        :param address: the address and port of the client; port 0: any.
        :raises ConnectionRefusedError: nothing listens on *port*.
        """
        socket = self.make_socket()
        socket.bind(address)
        while error := socket.connect_ex((HOST, port)):
            if error == ECONNREFUSED:
                raise ConnectionRefusedError(error, f"nothing listens on port {port}")
        return MemoryPeer(self, socket)

    def _listener(self, port: int) -> Accept | None:
        for at, factory, *_ in reversed(self.tcpServers):
            if at == port:
                return partial(self.callLater, 0, self._accept, factory)
        return None

    def _accept(self, factory: IProtocolFactory, accepted: MemorySocket) -> None:
        assert accepted.peer is not None  # noqa: S101, it was connected to
        client = accepted.peer.name
        protocol = factory.buildProtocol(IPv4Address("TCP", *client))
        if protocol is None:
            accepted.close()
            return
        transport = self.server_transport(
            cast(Any, accepted),
            protocol,
            client,
            cast(Any, None),
            accepted.number,
            cast(Any, self),
        )
        self.accepted = transport
        transport.repstr = f"<{type(protocol).__name__} #{accepted.number} on {accepted.name[1]}>"
        protocol.makeConnection(transport)

    # Time

    def advance(self, amount: float) -> None:
        """
        Let *amount* seconds pass, and do everything that is due, in order.

        Called by something that is due, it returns at once; the time passes afterwards.

        :raises RuntimeError: there is always something left to do.
        :raises BaseException: a protocol or a delayed call raised it.  The connection of the
            protocol is lost, as in any reactor.
        """
        self._until += amount
        if self._is_moving:
            return
        self._is_moving = True
        try:
            self._settle()
            while self.calls and (at := min(map(_time, self.calls))) <= self._until:
                self.rightNow = max(self.rightNow, at)
                self._settle()
            self.rightNow = self._until
        finally:
            self._is_moving = False

    def _settle(self) -> None:
        for _ in range(MAX_TURNS):
            if not self._turn():
                return
        raise RuntimeError(f"calls or data are still waiting after {MAX_TURNS} turns")

    def _turn(self) -> bool:
        """Make the calls that are due, then read and write; return whether anything was done."""
        due = [it for it in self.calls if it.getTime() <= self.rightNow]
        for call in sorted(due, key=_time):
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        moved = bool(due)
        for transport in sorted(self.readers | self.writers, key=_order):
            if transport in self.readers and transport.socket.is_readable:
                self._serve(transport, transport.doRead, is_read=True)
                moved = True
            if transport in self.writers and transport.socket.is_writable:
                self._serve(transport, transport.doWrite, is_read=False)
                moved = True
        return moved

    def _serve(self, transport: Any, operation: Callable[[], Any], *, is_read: bool) -> None:
        try:
            reason = operation()
        except BaseException as error:
            self._disconnectSelectable(transport, error, False)
            raise
        if reason:
            self._disconnectSelectable(transport, reason, is_read)


_time = methodcaller("getTime")


def _order(transport: Any) -> tuple[int, bool]:
    """Return the place of *transport* in a turn: by connection, the client before the server."""
    return transport.socket.number, isinstance(transport, tcp.Server)
