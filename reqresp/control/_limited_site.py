"""
LimitedSite: a site of Twisted that limits its clients, and logs nothing about them.

Knows connections.  It must not know pages.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from inspect import signature
from io import BytesIO
from typing import Any, BinaryIO

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Site

from reqresp.control._channel import OneRequestChannel
from reqresp.transport.access import client_key

#: The most connections at a time.  A further one takes the place of the oldest one.
MAX_CLIENTS = 64

_FORMS = "parsePOSTFormSubmission"
#: Forms are not parsed, except by a Twisted that always does so: older than this argument.
_NO_FORMS: dict[str, Any] = {_FORMS: False} if _FORMS in signature(Site).parameters else {}


class LimitedSite(Site):
    """
    A site with at most `MAX_CLIENTS` connections, which are for one request each.

    :param max_body: how many bytes of a body are read; 0: none.
    :param reads_body: returns whether the body of a request is read, whose headers are complete.
    """

    noisy = False
    protocol = OneRequestChannel  # type: ignore[assignment]  # Twisted's wrapper selects HTTP/2

    def __init__(
        self,
        resource: Resource,
        reactor: Any,
        max_body: int = 0,
        reads_body: Callable[[http.Request], bool] = lambda _: True,
    ) -> None:
        # No timeout: a channel has its own.
        super().__init__(resource, timeout=None, reactor=reactor, **_NO_FORMS)
        self._max_body = max_body
        self._reads_body = reads_body
        #: What identifies the client of each connection, the oldest one first.
        self._clients: dict[OneRequestChannel, Hashable] = {}
        #: The connections on which events are sent.
        self._streams: set[OneRequestChannel] = set()

    def max_body_of(self, request: http.Request) -> int:
        """Return how many bytes are read of the body of *request*."""
        return self._max_body if self._reads_body(request) else 0

    def connected(self, channel: OneRequestChannel) -> None:
        """Count a new connection; reset another one if there are too many."""
        if len(self._clients) >= MAX_CLIENTS:
            self._reset_one()
        self._clients[channel] = client_key(channel.transport.getPeer())

    def disconnected(self, channel: OneRequestChannel) -> None:
        """Count a connection no more."""
        self._clients.pop(channel, None)
        self._streams.discard(channel)

    def begins_stream(self, channel: OneRequestChannel) -> None:
        """Count a connection on which events are sent apart: others do not take its place."""
        self._clients.pop(channel, None)
        self._streams.add(channel)

    def _reset_one(self) -> None:
        # Neither many silent clients nor one address can keep a load balancer out.
        [(busiest, _)] = Counter(self._clients.values()).most_common(1)
        oldest = next(channel for channel, key in self._clients.items() if key == busiest)
        del self._clients[oldest]
        oldest.stream.reset()

    def getContentFile(self, _length: int | None) -> BinaryIO:
        """Return where a body is kept, which is never a file."""
        return BytesIO()

    def startFactory(self) -> None:
        """Open no access log, and start no timer for it."""

    def stopFactory(self) -> None:
        """Reset all connections: a client must not keep the server from stopping."""
        for channel in [*self._clients, *self._streams]:
            channel.stream.reset()

    def log(self, request: http.Request) -> None:
        """Log nothing."""
