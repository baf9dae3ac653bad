"""
Connecting: a client's connection to a service, as a relay and a server that forwards make it.

Sends the PROXY header, adds TLS, and reports that the service cannot be reached.  It must not know
what passes.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.relay.upstream import Unreachable, Upstream
from reqresp.server.host import ConnectionHost
from reqresp.transport.proxy_protocol import ProxyHeader
from reqresp.transport.stream import Stream, replace_protocol

_log = Logger()

#: Seconds to deliver what one side has sent before its end; then the other side is reset.
DELIVERY_SECONDS = 5.0


def connect(
    upstream: Upstream, peer: IAddress, client: Stream, protocol: IProtocol
) -> "Deferred[Any]":
    """
    Connect *protocol* to *upstream* for a client.

    :param peer: the client's address.
    :param client: the stream of its connection.
    :returns: fires once the connection is made, perhaps before TLS.
    """

    def begin(transport: Any) -> None:
        if upstream.encode_header is not None:
            header = ProxyHeader(peer, client.transport.getHost())
            transport.write(upstream.encode_header(header))
        wrapped = protocol if upstream.tls is None else upstream.tls.wrap(protocol)
        replace_protocol(transport, wrapped)

    return upstream.endpoint.connect(_HandOvers(begin))


def report_failure(
    host: ConnectionHost,
    peer: IAddress,
    number: int,
    upstream: Upstream,
    failure: Failure,
    unreachable: Unreachable,
) -> None:
    """Log and report that *upstream* cannot be reached for a client, the end of which follows."""
    host.events.before_log_line()
    _log.warn(
        "{peer}: upstream {upstream} {reason}; {action}",
        peer=host.label(peer),
        upstream=upstream.name,
        reason=upstream.explain(failure),
        action=unreachable.participle,
    )
    if host.counters is not None:
        host.counters.upstream_failures[upstream.reason(failure)] += 1
    host.events.upstream_failed(peer, number, failure)


def why_lost(stream: Stream, reason: Failure) -> Failure:
    """
    Return why the connection of *stream* was lost; *reason* is what it was told.

    TLS reports ConnectionLost for a peer that leaves without close_notify; TCP, only for a reset.
    """
    if not reason.check(ConnectionLost):
        return reason
    return getattr(stream.transport, "tcp_reason", None) or reason


def report_end(
    host: ConnectionHost, peer: IAddress, number: int, upstream: Upstream, reason: Failure
) -> None:
    """Report the end of a client's connection to *upstream*; log an error of TLS, which ends it."""
    words = None if upstream.tls is None else upstream.tls.explain_end(reason)
    if words is not None:
        host.events.before_log_line()
        _log.warn(
            "{peer}: upstream {upstream} {reason}; resetting",
            peer=host.label(peer),
            upstream=upstream.name,
            reason=words,
        )
    host.events.upstream_ended(peer, number, reason)


class _HandOver(Protocol):
    """
    Passes a connection that an endpoint has made to *begin*.

    An endpoint wraps the protocol.  Its wrapper passes on no half-close of a protocol that is a
    handshake listener, too, and costs a call for each read.

    :source: twisted.internet.endpoints._WrappingProtocol
    """

    def __init__(self, begin: Callable[[Any], None]) -> None:
        self._begin = begin

    def connectionMade(self) -> None:
        self._begin(self.transport)


class _HandOvers(Factory):
    """
    Builds the `_HandOver` of an attempt; unlike ``connectProtocol``, it logs nothing.

    A connector keeps its factory until the connection ends: what the factory no longer needs would
    take 450 bytes of each idle connection.
    """

    noisy = False

    def __init__(self, begin: Callable[[Any], None]) -> None:
        self._begin: Callable[[Any], None] | None = begin

    def buildProtocol(self, addr: Any) -> _HandOver | None:  # noqa: ARG002, Twisted's name
        begin, self._begin = self._begin, None
        return None if begin is None else _HandOver(begin)
