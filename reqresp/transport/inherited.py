"""
Inherited sockets: listening on a socket that another process made and that several accept from.

Knows descriptors and Twisted's ports.  It must not know which process made a socket, or what
connects to it.
"""

import errno
import os
from socket import AF_INET6, AF_UNIX, socket
from typing import Any, cast

from attrs import define
from twisted.internet import fdesc, tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from reqresp.transport.eager import EagerPort


class SharedPort(EagerPort):
    """
    A TCP port on a socket that other processes accept from, too.

    It accepts one client at a time, so that many clients are spread over the processes.  A process
    that accepted all at once would take every client that waits.
    """

    def doRead(self) -> None:
        """Accept one client, unless another process has accepted it."""
        self.numberAccepts = 1
        super().doRead()


class SharedUNIXPort(unix.Port):
    """The same for a UNIX socket.  Its path and mode belong to the process that made it."""

    def startListening(self) -> None:
        """Start to accept clients, without changing the socket's mode or backlog."""
        tcp._reservedFD.reserve()
        cast(Factory, self.factory).doStart()
        self.socket, self._preexistingSocket = cast(socket, self._preexistingSocket), None
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as Twisted's ports do
        self._shouldShutdown = False  # the other processes keep listening
        self.connected = True
        self.startReading()

    def doRead(self) -> None:
        """Accept one client, unless another process has accepted it."""
        self.numberAccepts = 1
        super().doRead()

    def connectionLost(self, reason: Any) -> None:
        """Close the descriptor, and keep the path."""
        tcp.Port.connectionLost(self, reason)


@implementer(IStreamServerEndpoint)
@define(eq=False)
class SharedEndpoint:
    """
    Listens on an inherited listening socket.

    :param descriptor: the socket's; `listen` closes it and uses a duplicate.  None: it was closed.
    :param family: of the socket: ``AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
    :param name: the socket's address, for messages.
    """

    reactor: Any
    descriptor: int | None
    family: int
    name: str

    def listen(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803, the interface names it
    ) -> Deferred[IListeningPort]:
        """
        Listen for connections for *protocolFactory*.  Call it once.

        :return: the port; fails with OSError if the descriptor is not a socket any more.
        """
        return execute(self._listen, protocolFactory)

    def close(self) -> None:
        """Close the descriptor, unless `listen` has done so: nothing listens with it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        if self.descriptor is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        fdesc.setNonBlocking(self.descriptor)
        if self.family == AF_UNIX:
            port: Any = SharedUNIXPort._fromListeningDescriptor(
                self.reactor, self.descriptor, factory
            )
        else:
            port = SharedPort._fromListeningDescriptor(
                self.reactor, self.descriptor, self.family, factory
            )
        self.close()
        port.startListening()
        listening: IListeningPort = port
        return listening


def inherited_endpoint(reactor: Any, descriptor: int) -> SharedEndpoint:
    """
    Return an endpoint for the listening socket with this *descriptor*.

    :raises OSError: it is not a socket.
    """
    with socket(fileno=os.dup(descriptor)) as it:
        family, address = it.family, it.getsockname()
    if family == AF_UNIX:
        return SharedEndpoint(reactor, descriptor, family, f"unix:{os.fsdecode(address)}")
    host, port = address[:2]
    shown = f"[{host}]" if family == AF_INET6 else host
    return SharedEndpoint(reactor, descriptor, family, f"{shown}:{port}")
