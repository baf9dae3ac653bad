"""
Loopback: a reactor whose connections lead to each other, without a kernel, a thread, or real time.

Knows Twisted and its transports, and nothing of requests.  Only sockets and time are made up: both
ends have the TCP transports of Twisted's own reactors, and so its buffering, producers, half-close
and resets.  (``twisted.test.iosim`` stands in for the transports themselves: there a half-close
does nothing, a reset looks like an orderly end, and nobody's buffer is ever full.)
"""

from functools import partial
from itertools import count
from operator import methodcaller
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.internet.testing import MemoryReactorClock

from reqresp.testing._memory_socket import Accept, MemorySocket
from reqresp.transport.eager import EagerServer

#: What every name resolves to.
HOST = "127.0.0.1"
#: Turns without a pause after which it seems that there will be none.
TURNS = 100_000
#: The first port that is given to who asks for none.
_FIRST_PORT = 40000


class _Client(tcp.Client):
    def createInternetSocket(self) -> Any:  # noqa: N802, Twisted's name
        return self.connector.reactor.make_socket()


class _Connector(tcp.Connector):
    #: What the factory built last.
    protocol: IProtocol | None = None

    def _makeTransport(self) -> tcp.Client:  # noqa: N802, Twisted's name
        return _Client(self.host, self.port, self.bindAddress, self, self.reactor)

    def buildProtocol(self, addr: Any) -> IProtocol | None:
        self.protocol = super().buildProtocol(addr)
        return self.protocol


class LoopbackReactor(MemoryReactorClock, _DisconnectSelectableMixin):
    """
    A ``MemoryReactorClock`` whose ``connectTCP`` reaches what was given to its ``listenTCP``.

    All names and addresses lead to it; only the port counts.  Nothing moves until `advance` is
    called, if only by 0 seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count()
        self._ports = count(_FIRST_PORT)
        self._until = 0.0
        self._is_moving = False

    # Connections

    def connectTCP(  # noqa: N802, Twisted's name
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,  # noqa: N803, Twisted's name
    ) -> _Connector:
        """Connect to who listens on *port*."""
        self.tcpClients.append((host, port, factory, int(timeout), bindAddress))
        connector = _Connector(host, port, factory, timeout, bindAddress, self)
        self.connectors.append(connector)
        connector.connect()
        return connector

    def resolve(self, name: str, timeout: Any = 10) -> Deferred[str]:  # noqa: ARG002, Twisted's
        """Resolve any *name*."""
        return succeed(HOST)

    def free_port(self) -> int:
        """Give a port that nobody has."""
        return next(self._ports)

    def make_socket(self) -> MemorySocket:
        """Give a socket that can connect."""
        name = HOST, self.free_port()
        return MemorySocket(next(self._numbers), name, self._listener)

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
        transport = EagerServer(
            cast(Any, accepted), protocol, client, cast(Any, None), accepted.number, self
        )
        transport.repstr = f"<{type(protocol).__name__} #{accepted.number} on {accepted.name[1]}>"
        protocol.makeConnection(transport)

    # Time

    def advance(self, amount: float) -> None:
        """
        Let *amount* seconds pass, in which everybody does what they can, in order.

        Called from within, it returns at once, and the time passes when that is done.

        :raises RuntimeError: they seem never to come to rest.
        :raises BaseException: what a protocol or a delayed call raises; as in any reactor, that
            protocol's connection is lost.
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
        for _ in range(TURNS):
            if not self._turn():
                return
        raise RuntimeError(f"after {TURNS} turns there is still something to do at once")

    def _turn(self) -> bool:
        """Make the calls that are due, then read and write; tell whether there was anything."""
        due = [it for it in self.calls if it.getTime() <= self.rightNow]
        for call in sorted(due, key=_time):
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        moved = bool(due)
        for transport in sorted(self.readers | self.writers, key=_order):
            moved |= self._let(transport, self.readers, "is_readable", "doRead")
            moved |= self._let(transport, self.writers, "is_writable", "doWrite")
        return moved

    def _let(self, transport: Any, who: set[Any], can: str, do: str) -> bool:
        if transport not in who or not getattr(transport.socket, can):
            return False
        try:
            why = getattr(transport, do)()
        except BaseException as error:
            self._disconnectSelectable(transport, error, False)
            raise
        if why:
            self._disconnectSelectable(transport, why, do == "doRead")
        return True


_time = methodcaller("getTime")


def _order(transport: Any) -> tuple[int, bool]:
    """Let those who connected first be first, and clients before their servers."""
    return transport.socket.number, isinstance(transport, tcp.Server)
