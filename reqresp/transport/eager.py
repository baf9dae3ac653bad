"""
The eager transport: it sends a write at once if no earlier write is waiting.

Knows Twisted's TCP transports.  It must not know requests, replies or protocols.  It decides only
whether a write may go straight to the socket.  Everything else, and every doubtful case, is left to
the Twisted transport that the classes derive from.
"""

from collections.abc import Callable
from errno import ENOBUFS, EWOULDBLOCK
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from typing import Any, Self, cast

from twisted.internet import abstract, tcp
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IListeningPort,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IReactorFDSet,
    IReactorTCP,
    IStreamServerEndpoint,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.posixbase import PosixReactorBase
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.transport._accept import accept_clients, can_accept

# The most bytes that Twisted passes to one send.  A longer write is left to Twisted whole: it keeps
# the object, where sending the head here would copy all of the tail.
_MAX_EAGER_BYTES = tcp.Server.SEND_LIMIT
# The most bytes of a read, as in Twisted, where it is an attribute of a class of the transport:
# CPython 3.11 looks such an attribute up anew at each read.
_READ_BYTES = tcp.Server.bufferSize
# The most clients that are accepted in one turn.  Twisted starts with this number, and raises it
# while many clients wait.  Refused clients keep their descriptors until the next turn, so that a
# higher number would use up all descriptors.
_MAX_ACCEPTS = 100


class EagerWrites(tcp.Connection):
    """
    A mixin for a TCP transport class that makes its writes eager.

    Twisted buffers each write, waits for the reactor to report that the socket is writable, and
    sends one reactor turn later.

    :source: https://github.com/twisted/twisted/issues/5303
    """

    #: Whether nothing is buffered and nothing but bytes of the protocol goes to the socket, as
    #: `_check_plain` has found.  What buffers, ends or wraps the connection clears it.
    _is_plain = False

    def write(self, data: bytes) -> None:
        """
        Send *data* now if no earlier write is waiting; buffer what the kernel does not accept.

        This never raises an error for the state of the connection, and never calls
        ``connectionLost``: the reactor reports a broken connection later, as with any transport.

        :raises TypeError: *data* is not bytes.
        """
        if not (self._is_plain or self._check_plain()) or data.__class__ is not bytes:
            super().write(data)
            return
        length = len(data)
        if length > _MAX_EAGER_BYTES or not length:
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

    def doRead(self) -> ConnectionLost | ConnectionDone | None:  # type: ignore[override]
        """
        Read once, as Twisted does, with a call less.

        :source: twisted.internet.tcp.Connection.doRead
        """
        try:
            data = self.socket.recv(_READ_BYTES)
        except OSError as error:
            return None if error.errno == EWOULDBLOCK else CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None

    def readConnectionLost(self, reason: Failure) -> None:
        """
        Tell the protocol, or lose the connection, as Twisted does.

        Twisted asks for an adapter first, which takes seven times as long.
        """
        protocol = self.protocol
        if not IHalfCloseableProtocol.providedBy(protocol):
            super().readConnectionLost(reason)
            return
        try:
            protocol.readConnectionLost()
        except BaseException:  # as in Twisted
            log.err()
            self.connectionLost(Failure())

    def _check_plain(self) -> bool:
        self._is_plain = (
            not (self._tempDataBuffer or self.dataBuffer)
            and bool(self.connected)
            and not (self._writeDisconnected or self._aborting or self.TLS)
            # A pull producer is asked for more when the buffer runs empty: use the buffer.
            and (self.producer is None or bool(self.streamingProducer))
        )
        return self._is_plain

    def startWriting(self) -> None:
        self._is_plain = False
        super().startWriting()

    def stopWriting(self) -> None:
        self._is_plain = False
        super().stopWriting()

    def startTLS(self, ctx: Any, normal: bool = True) -> None:
        self._is_plain = False
        super().startTLS(ctx, normal)

    def connectionLost(self, reason: Failure) -> None:
        self._is_plain = False
        super().connectionLost(reason)

    @property
    def drained(self) -> bool:
        """Whether the kernel has accepted everything that was written."""
        return not (self._tempDataBuffer or self.dataBuffer)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Register *producer*.  A pull producer (not *streaming*) is asked for more as in Twisted.

        :raises RuntimeError: a producer is registered already.
        """
        if streaming and self._is_plain and self.producer is None:  # as below, at no call
            self.producer, self.streamingProducer = producer, True
            return
        if not streaming:
            self._is_plain = False
        super().registerProducer(producer, streaming)
        if not streaming and self.connected:
            # In Twisted earlier writes still wait, and the producer is asked when they are sent.
            self.startWriting()

    def _remember_failure(self) -> None:
        """
        Report a failed send at the reactor's next call.

        The kernel reports a reset once: the next recv would look like an orderly close.
        """
        # On the instance, as abortConnection does: other connections pay nothing for this case.
        self.doRead = self._read_rest  # type: ignore[method-assign]
        self.doWrite = _report_lost  # type: ignore[method-assign]

    def _read_rest(self) -> ConnectionLost | ConnectionDone | None:
        """Deliver the bytes received before the reset, then report the connection as lost."""
        return super().doRead() and CONNECTION_LOST


def _report_lost() -> ConnectionLost:
    """Report the connection as lost, in place of ``doWrite``."""
    return CONNECTION_LOST


class _Made:
    """An attribute that *make* returns for an instance, unless the instance has one of its own."""

    def __init__(self, make: Callable[[Any], str]) -> None:
        self._make = make

    def __get__(self, instance: Any, owner: type) -> str:
        return "" if instance is None else self._make(instance)


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
        # The class has the same values.  On the instance they are faster for write to read, and
        # CPython keeps one shared dict layout for all connections.  An attribute that is first set
        # later (by a partial send, for example) costs each connection 650 bytes more.
        self.dataBuffer = b""
        self.offset = 0
        self.producer = None
        self.streamingProducer = self.producerPaused = False
        self.TLS = self._aborting = self._writeDisconnected = False
        # As in tcp.Server, which makes two texts for each connection that are seldom read.
        tcp.Connection.__init__(self, sock, protocol, reactor)
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server = server
        self.client = client
        self.sessionno = sessionno
        self.hostname = client[0]
        self._log_name = self._getLogPrefix(protocol)
        self._protocol_name = protocol.__class__.__name__
        self._port_number = None if server is None else server._realPortNumber
        self.startReading()
        self.connected = 1
        self._is_plain = True

    def connectionLost(self, reason: Failure) -> None:
        """
        Close the socket, then tell the protocol, as Twisted does with seven calls more.

        :source: twisted.internet.tcp.Connection.connectionLost
        """
        if not hasattr(self, "socket"):
            return  # it is lost already
        self._is_plain = False
        abstract.FileDescriptor.connectionLost(self, reason)
        self._closeSocket(not isinstance(reason.value, ConnectionAborted))
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        protocol.connectionLost(reason)

    logstr = _Made(lambda it: f"{it._log_name},{it.sessionno},{it.hostname}")
    repstr = _Made(lambda it: f"<{it._protocol_name} #{it.sessionno} on {it._port_number}>")


class EagerPort(tcp.Port):
    """
    A listening port whose connections write eagerly.

    They have ``TCP_NODELAY`` set.  Without it, the kernel holds back a small write until the write
    before it is acknowledged, which affects eager writes more often than gathered ones.
    """

    transport = EagerServer

    def doRead(self) -> None:
        """Accept waiting clients, up to the limit for one turn."""
        if can_accept(self.socket):
            self._accept()
        else:
            super().doRead()
        self.numberAccepts = min(self.numberAccepts, _MAX_ACCEPTS)

    def _accept(self) -> None:
        """
        Do what Twisted does, with less work for each client.

        :source: twisted.internet.tcp.Port.doRead
        """
        factory: Any = self.factory
        most, accepted = self.numberAccepts, 0
        try:
            for sock, address in accept_clients(self, most):
                accepted += 1
                if len(address) == 4:  # IPv6, to which the scope belongs
                    address = tcp._getrealname(address)
                protocol = factory.buildProtocol(self._buildAddr(address))
                if protocol is None:
                    sock.close()
                    continue
                number = self.sessionno
                self.sessionno = number + 1
                transport = self.transport(sock, protocol, address, self, number, self.reactor)
                protocol.makeConnection(transport)
        except BaseException:  # as in Twisted: the port goes on
            log.deferr()
        else:
            self.numberAccepts = most + 20 if accepted == most else max(1, accepted)

    def createInternetSocket(self) -> socket:  # noqa: N802, Twisted's name
        """
        Return a new socket to listen on.

        :raises OSError: the system cannot make one.
        """
        made: socket = super().createInternetSocket()
        _inherit_nodelay(made)
        return made

    @classmethod
    def _fromListeningDescriptor(  # noqa: N802, Twisted's name
        cls, reactor: IReactorFDSet, fd: int, family: int, factory: IProtocolFactory
    ) -> Self:
        """
        Listen on an existing socket.  The caller closes *fd*.

        :raises OSError: *fd* is not a socket.
        :source: twisted.internet.tcp.Port._fromListeningDescriptor
        """
        made: Self = super()._fromListeningDescriptor(reactor, fd, family, factory)
        _inherit_nodelay(cast(socket, made._preexistingSocket))
        return made


def _inherit_nodelay(listening: socket) -> None:
    """Set ``TCP_NODELAY`` on *listening*: accepted sockets inherit it, at no call each."""
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
        Prepare to listen; no socket is bound yet.

        :param port: the port number to listen on; 0: any free one.
        :param backlog: how many connections may wait to be accepted.
        :param interface: the IPv4 or IPv6 address to listen on; empty: all IPv4 addresses.
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

        :return: the port; fails with CannotListenError (the port is in use or not permitted) or
            OverflowError (the port number does not exist).
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        # Not IReactorFDSet, which is what the transport needs: MemoryReactor provides that, too,
        # and a test in memory would bind a real socket.
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
