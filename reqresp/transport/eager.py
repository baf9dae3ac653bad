"""
The eager transport: a write leaves at once when nothing is waiting before it.

Knows Twisted's TCP transports and nothing of ours: no request, no reply, no protocol.  What
is decided here is only whether a write may go straight to the socket; everything else, and
every doubtful case, is left to the stock transport that the classes derive from.
"""

from errno import ENOBUFS, EWOULDBLOCK
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from typing import Self, cast

from twisted.internet import tcp
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IListeningPort,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IReactorFDSet,
    IReactorTCP,
    IStreamServerEndpoint,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.posixbase import PosixReactorBase
from zope.interface import implementer

# The most that stock Twisted passes to one send.  A longer write is left to it whole: it keeps
# such a write as the one object it is, where sending the head here would copy all of the tail.
_MOST_AT_ONCE = tcp.Server.SEND_LIMIT
# The most that are accepted in one go.  Stock Twisted begins with as many, and takes more and more
# while a crowd lasts: those among them who are turned away, a turn later, need descriptors until
# then, and in the end there would be none.
_MOST_ACCEPTED = 100


class EagerWrites(tcp.Connection):
    """
    Mix in before a TCP transport class, to make its writes eager.

    Stock Twisted buffers each write, asks the reactor to be told when the socket is writable,
    and sends a turn of the reactor later.

    :source: https://github.com/twisted/twisted/issues/5303
    """

    def write(self, data: bytes) -> None:
        """
        Send *data* (bytes) now if nothing is waiting before it; buffer what the kernel refuses.

        Never raises for the state of the connection, and never calls ``connectionLost``: the
        protocol that is writing hears of a broken connection from the reactor, as always.

        :raises TypeError: *data* is not bytes.
        """
        if (
            self._tempDataBuffer
            or self.dataBuffer
            or not self.connected
            or self._writeDisconnected
            or self._aborting
            or self.TLS
            # A pull producer is asked for more when the buffer runs empty: let it be used.
            or not (self.producer is None or self.streamingProducer)
            or not isinstance(data, bytes)
            or not 0 < (length := len(data)) <= _MOST_AT_ONCE
        ):
            super().write(data)
            return
        try:
            sent = self.socket.send(data)
        except OSError as error:
            if error.errno not in (EWOULDBLOCK, ENOBUFS):
                self._remember_failure()
            sent = 0
        if sent < length:
            super().write(data[sent:])

    @property
    def drained(self) -> bool:
        """Whether all that was written has left."""
        return not (self._tempDataBuffer or self.dataBuffer)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Register *producer*; a pull producer (not *streaming*) is asked for more as ever.

        :raises RuntimeError: there is a producer already.
        """
        super().registerProducer(producer, streaming)
        if not streaming and self.connected:
            # In stock whatever was written before still waits, and asks for more when it is sent.
            self.startWriting()

    def _remember_failure(self) -> None:
        """
        Report at the reactor's next call the error that a send has just met.

        The kernel tells of a reset once: the next recv would look like an orderly close.
        """
        # On the instance, as abortConnection does it: no other connection pays for the test.
        self.doRead = self._read_rest  # type: ignore[method-assign]
        self.doWrite = _report_lost  # type: ignore[method-assign]

    def _read_rest(self) -> ConnectionLost | ConnectionDone | None:
        """Deliver what came before the reset, as stock does; after it, the connection is lost."""
        return super().doRead() and CONNECTION_LOST


def _report_lost() -> ConnectionLost:
    """Stand in for ``doWrite``: the connection is lost."""
    return CONNECTION_LOST


class EagerServer(EagerWrites, tcp.Server):
    """The transport of an accepted connection, with eager writes."""

    def __init__(
        self,
        sock: socket,
        protocol: IProtocol,
        client: tuple[object, ...],
        server: tcp.Port,
        sessionno: int,
        reactor: IReactorFDSet,
    ) -> None:
        # The class has these very values.  On the instance they are cheaper for write to test, and
        # CPython keeps sharing one dict layout among connections when they change: an attribute
        # first set in the midst of a life (by a partial send, say) costs each one 650 bytes more.
        self.dataBuffer = b""
        self.offset = 0
        self.producer = None
        self.streamingProducer = self.producerPaused = False
        self.TLS = self._aborting = self._writeDisconnected = False
        super().__init__(sock, protocol, client, server, sessionno, reactor)


class EagerPort(tcp.Port):
    """
    A listening port whose connections write eagerly.

    They have ``TCP_NODELAY`` set: with it unset the kernel holds back a small write until the
    one before it is acknowledged, which eager writes meet more often than gathered ones.
    """

    transport = EagerServer

    def doRead(self) -> None:
        """Accept those who wait, as many as may be accepted in one go."""
        super().doRead()
        self.numberAccepts = min(self.numberAccepts, _MOST_ACCEPTED)

    def createInternetSocket(self) -> socket:  # noqa: N802, Twisted's name
        """
        Make the socket to listen on.

        :raises OSError: the system gives no socket.
        """
        made: socket = super().createInternetSocket()
        _inherit_nodelay(made)
        return made

    @classmethod
    def _fromListeningDescriptor(  # noqa: N802, Twisted's name
        cls, reactor: IReactorFDSet, fd: int, family: int, factory: IProtocolFactory
    ) -> Self:
        """
        Listen on a socket that was made elsewhere; *fd* stays the caller's to close.

        :raises OSError: *fd* is no socket.
        :source: twisted.internet.tcp.Port._fromListeningDescriptor
        """
        made: Self = super()._fromListeningDescriptor(reactor, fd, family, factory)
        _inherit_nodelay(cast(socket, made._preexistingSocket))
        return made


def _inherit_nodelay(listening: socket) -> None:
    """Set ``TCP_NODELAY`` for all that *listening* accepts, without a call for each."""
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


@implementer(IStreamServerEndpoint)
class EagerServerEndpoint:
    """
    A TCP server endpoint whose connections write eagerly.

    The arguments are those of ``TCP4ServerEndpoint``; an IPv6 literal makes it listen on IPv6.
    """

    def __init__(
        self, reactor: IReactorTCP, port: int, backlog: int = 50, interface: str = ""
    ) -> None:
        """
        Prepare to listen; nothing is bound yet.

        :param port: the number to listen on, 0 for any that is free.
        :param backlog: how many connections may wait to be accepted.
        :param interface: the IPv4 or IPv6 address to listen on, empty for every IPv4 one.
        """
        self._reactor = reactor
        self._port = port
        self._backlog = backlog
        self._interface = interface

    def listen(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803, the interface names it
    ) -> Deferred[IListeningPort]:
        """
        Listen for connections for *protocolFactory*.

        :return: the port; fails with CannotListenError (a port that is taken or not permitted)
            or OverflowError (no such port number).
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        # Not IReactorFDSet, which is what the transport needs: MemoryReactor claims that too,
        # and a real socket would be bound in the midst of a test that asked for none.
        if not isinstance(self._reactor, PosixReactorBase):
            return self._reactor.listenTCP(
                self._port,
                factory,  # type: ignore[arg-type]  # narrower there than an endpoint may be
                backlog=self._backlog,
                interface=self._interface,
            )
        port = EagerPort(self._port, factory, self._backlog, self._interface, self._reactor)
        port.startListening()
        return port
