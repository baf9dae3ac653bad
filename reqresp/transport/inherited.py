"""
Shared: listening on sockets that other processes listen on too, and that somebody else has made.

Knows descriptors and Twisted's ports; neither who made the sockets nor what comes in there.
"""

import os
from socket import AF_INET6, AF_UNIX, socket
from typing import Any, cast

from attrs import frozen
from twisted.internet import fdesc, tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from reqresp.transport.eager import EagerPort


class SharedPort(EagerPort):
    """
    A TCP port whose socket is accepted from by other processes as well.

    It takes one client at a time, so that a crowd spreads: each process that wakes up for it would
    otherwise take all that it finds.
    """

    def doRead(self) -> None:
        """Accept a client, unless somebody else has."""
        self.numberAccepts = 1
        super().doRead()


class SharedUNIXPort(unix.Port):
    """The same on a UNIX socket; its path and mode are left to whoever made it."""

    def startListening(self) -> None:
        """Listen, without giving the socket a mode or a backlog of our own."""
        tcp._reservedFD.reserve()
        cast(Factory, self.factory).doStart()
        self.socket, self._preexistingSocket = cast(socket, self._preexistingSocket), None
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as stock ports do
        self._shouldShutdown = False  # the others go on
        self.connected = True
        self.startReading()

    def doRead(self) -> None:
        """Accept a client, unless somebody else has."""
        self.numberAccepts = 1
        super().doRead()

    def connectionLost(self, reason: Any) -> None:
        """Close, without removing the path."""
        tcp.Port.connectionLost(self, reason)


@implementer(IStreamServerEndpoint)
@frozen
class SharedEndpoint:
    """
    Listens on the listening socket with this *descriptor*, which it closes in favour of its own.

    :param family: of the socket: ``AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
    :param name: what the socket is called in messages.
    """

    reactor: Any
    descriptor: int
    family: int
    name: str

    def listen(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803, the interface names it
    ) -> Deferred[IListeningPort]:
        """
        Listen for connections for *protocolFactory*; once.

        :return: the port; fails with OSError where there is no such socket any more.
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        fdesc.setNonBlocking(self.descriptor)
        if self.family == AF_UNIX:
            port: Any = SharedUNIXPort._fromListeningDescriptor(
                self.reactor, self.descriptor, factory
            )
        else:
            port = SharedPort._fromListeningDescriptor(
                self.reactor, self.descriptor, self.family, factory
            )
        os.close(self.descriptor)
        port.startListening()
        listening: IListeningPort = port
        return listening


def inherited(reactor: Any, descriptor: int) -> SharedEndpoint:
    """
    Make the endpoint of the listening socket with this *descriptor*.

    :raises OSError: it is no socket.
    """
    with socket(fileno=os.dup(descriptor)) as it:
        family, address = it.family, it.getsockname()
    if family == AF_UNIX:
        return SharedEndpoint(reactor, descriptor, family, f"unix:{os.fsdecode(address)}")
    host, port = address[:2]
    shown = f"[{host}]" if family == AF_INET6 else host
    return SharedEndpoint(reactor, descriptor, family, f"{shown}:{port}")
