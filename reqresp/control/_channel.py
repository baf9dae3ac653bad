"""
Channel: one connection of an HTTP client, for one request.

Knows Twisted's HTTP server and our `Stream`.  It must not know pages.  It trusts no client: its
time and its body are limited, and nothing that it sends is logged.
"""

from http import HTTPStatus
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

#: The most bytes of a request's head, and the most headers: each costs time to read, and browsers
#: send about twenty.
MAX_HEAD_BYTES = 8192
MAX_HEADERS = 100

#: The time for a client to request a page and to receive it, in seconds.
REQUEST_TIMEOUT = 20.0


class ChannelOwner(Protocol):
    """What a channel needs of its site."""

    reactor: IReactorTime

    def max_body_of(self, request: http.Request) -> int:
        """
        Return how many bytes are read of the body of *request*, whose headers are complete.

        0: none; it is answered before its body.
        """

    def connected(self, channel: "OneRequestChannel") -> None:
        """Handle that *channel* is connected."""

    def disconnected(self, channel: "OneRequestChannel") -> None:
        """Handle that *channel* is no longer connected."""

    def begins_stream(self, channel: "OneRequestChannel") -> None:
        """Handle that *channel* has no end of its own from now on."""


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class OneRequestChannel(http.HTTPChannel):
    """
    A connection that answers one request as soon as it is complete, and closes.

    A request is complete with its headers, or with a body that the site reads.  What follows is
    dropped: a larger body, or further requests, whose pages would all have to be made in one turn
    of the reactor.
    """

    site: ChannelOwner
    transport: ITCPTransport
    MAX_LENGTH = MAX_HEAD_BYTES
    _deadline: IDelayedCall | None = None
    _head_bytes = 0
    _headers = 0
    _reads_body = False
    _max_body = 0

    @property
    def clock(self) -> IReactorTime:
        """The clock of the site."""
        return self.site.reactor

    def connectionMade(self) -> None:
        # Not Twisted's: the stream is the producer of the transport, and the deadline is fixed.
        self.stream = Stream(self)
        self.stream.attach(self.transport)
        self.allow_time(REQUEST_TIMEOUT)
        self.site.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.stream.lost()
        self.allow_time(None)
        self.site.disconnected(self)
        super().connectionLost(reason)

    def allow_time(self, seconds: float | None) -> None:
        """Let the connection end in *seconds*, whatever it has been allowed before; None: never."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.clock.callLater(seconds, self._end)

    def begin_stream(self) -> None:
        """Let the connection go on until one side ends it."""
        self.allow_time(None)
        self.site.begins_stream(self)

    def _end(self) -> None:
        self._deadline = None
        self.stream.reset()

    # One request

    def checkPersistence(self, request: http.Request, _version: bytes) -> bool:  # noqa: N802, Twisted's name
        """Return False: this request is the last one."""
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def lineReceived(self, line: bytes) -> None:
        """Read a line of the head."""
        self._head_bytes += len(line)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.lineLengthExceeded(line)
            return
        super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        """Read a header; return whether it is valid."""
        self._headers += 1
        if self._headers > MAX_HEADERS:
            self.lineLengthExceeded(line)
            return False
        try:
            return bool(super().headerReceived(line))
        except ValueError:  # a length with more digits than Python reads
            self._respondToBadRequestAndDisconnect()
            return False

    def allHeadersReceived(self) -> None:
        """Begin to read the body, or to answer without it."""
        most = self._max_body = self.site.max_body_of(self.requests[-1])
        self._reads_body = self.length is None or 0 < self.length <= most
        if not most or not self._reads_body:
            self._reads_body = False
            self.length = 0
            self.requests[-1].requestHeaders.removeHeader(b"Expect")  # no 100 before the reply
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Read more of the body, or drop what follows the request."""
        if not self._reads_body:
            return
        super().rawDataReceived(data)
        # A body in chunks has no announced length: what is too long is answered as it is by now.
        if self._reads_body and self.requests[-1].content.tell() > self._max_body:
            self.allContentReceived()

    def allContentReceived(self) -> None:
        """Answer the request."""
        self._reads_body = False
        super().allContentReceived()

    def lineLengthExceeded(self, _line: bytes) -> None:  # noqa: N802, Twisted's name
        """Say that the head is too large, and close."""
        status = HTTPStatus.REQUEST_URI_TOO_LONG
        if self.requests:  # the first line was read
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        headers = "Connection: close\r\nContent-Length: 0\r\n"
        self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{headers}\r\n".encode())
        self.loseConnection()

    def requestDone(self, _request: http.Request) -> None:  # noqa: N802, Twisted's name
        """Close the connection: it is for one request."""
        self.requests.clear()
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close once everything is delivered; drop what still arrives."""
        self._reads_body = False
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
        """Close: no complete request can follow, and no reply is awaited."""
        self.stream.close()

    def filled(self) -> None:
        """Do nothing: one page is written already, and a stream of events asks `Stream`."""

    def resumed(self) -> None:
        """Do nothing: one page is written already, and a stream of events asks `Stream`."""
