"""
Channel: one connection of an HTTP client, for one request.

Knows Twisted's HTTP server and our `Stream`.  It must not know pages.  It trusts no client: its
time is limited, a body is dropped, and nothing that it sends is logged.
"""

from typing import Protocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from reqresp.transport.stream import Stream

#: The time for a client to request a page and to receive it, in seconds.
REQUEST_TIMEOUT = 20.0


class ChannelOwner(Protocol):
    """What a channel needs of its site."""

    reactor: IReactorTime

    def connected(self, channel: "OneRequestChannel") -> None:
        """Handle that *channel* is connected."""

    def disconnected(self, channel: "OneRequestChannel") -> None:
        """Handle that *channel* is no longer connected."""


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class OneRequestChannel(http.HTTPChannel):
    """
    A connection that answers one request as soon as its headers are complete, and closes.

    What follows the headers is dropped: a body, or further requests, whose pages would all have to
    be made in one turn of the reactor.
    """

    site: ChannelOwner
    transport: ITCPTransport
    # A header costs time to read, and browsers send about twenty.
    maxHeaders = 100  # noqa: N815, Twisted's name
    totalHeadersSize = 8192  # noqa: N815, Twisted's name
    MAX_LENGTH = 8192
    _deadline: IDelayedCall | None = None

    @property
    def clock(self) -> IReactorTime:
        """The clock of the site."""
        return self.site.reactor

    def connectionMade(self) -> None:
        # Not Twisted's: the stream is the producer of the transport, and the deadline is fixed.
        self.stream = Stream(self)
        self.stream.attach(self.transport)
        self._deadline = self.clock.callLater(REQUEST_TIMEOUT, self._end)
        self.site.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.stream.lost()
        if self._deadline is not None:
            self._deadline.cancel()
        self.site.disconnected(self)
        super().connectionLost(reason)

    def _end(self) -> None:
        self._deadline = None
        self.stream.reset()

    # One request

    def checkPersistence(self, request: http.Request, _version: bytes) -> bool:  # noqa: N802, Twisted's name
        """Return False: this request is the last one."""
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def allHeadersReceived(self) -> None:
        """Begin to answer, without waiting for a body."""
        self.length = 0
        self.requests[-1].requestHeaders.removeHeader(b"Expect")  # no 100 before the reply
        super().allHeadersReceived()

    def rawDataReceived(self, _data: bytes) -> None:
        """Drop what follows the request."""

    def lineLengthExceeded(self, _line: bytes) -> None:  # noqa: N802, Twisted's name
        """Close without a reply."""
        self.loseConnection()

    def requestDone(self, _request: http.Request) -> None:  # noqa: N802, Twisted's name
        """Close the connection: it is for one request."""
        self.requests.clear()
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close once everything is delivered; drop what still arrives."""
        self.setRawMode()
        self.stream.close()

    # What the transport reports

    def resetTimeout(self) -> None:  # noqa: N802, Twisted's name
        """Do nothing: received bytes must not extend the time."""

    def readConnectionLost(self) -> None:
        self.stream.read_lost()

    def writeConnectionLost(self) -> None:
        self.stream.write_lost()

    def handshakeCompleted(self) -> None:  # noqa: N802, Twisted's name
        self.stream.handshake_completed()

    # What the stream reports

    def peer_ended(self) -> None:
        """Close: no complete request can follow."""
        self.stream.close()

    def filled(self) -> None:
        """Do nothing: the one page is written already."""

    def resumed(self) -> None:
        """Do nothing: the one page is written already."""
