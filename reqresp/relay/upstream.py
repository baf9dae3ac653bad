"""
Upstream: the service that a relay connects to, and why a connection to it fails.

It must not know clients.
"""

from collections.abc import Callable
from enum import Enum
from errno import EHOSTUNREACH
from typing import Any, Protocol

from attrs import frozen
from twisted.internet import error
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.python.failure import Failure

from reqresp._defaults import CONNECT_TIMEOUT, UNREACHABLE
from reqresp._text import format_host_port, printable
from reqresp.transport.eager_client import EagerConnects
from reqresp.transport.proxy_protocol import ProxyHeader
from reqresp.transport.stream import Stream

#: Seconds between attempts to connect to the addresses of one name; also after a failed one.
ATTEMPT_DELAY = 0.05

#: Errors of a connection: why it failed as `UPSTREAM_FAILURES` name it, and as a predicate.
_REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (error.ConnectionRefusedError, "refused", "refused the connection"),
    (error.DNSLookupError, "name", "has a name that does not resolve"),
    (error.UnknownHostError, "name", "has a name that does not resolve"),
    (error.TimeoutError, "timeout", "did not answer in time"),
    (error.TCPTimedOutError, "timeout", "did not answer in time"),
    (error.NoRouteError, "unreachable", "is unreachable"),
)


class Unreachable(Enum):
    """How a client's connection ends if upstream cannot be reached."""

    RESET, CLOSE = UNREACHABLE

    @property
    def participle(self) -> str:
        """The word for a log line."""
        return "closing" if self is Unreachable.CLOSE else "resetting"

    def end(self, stream: Stream) -> None:
        """End *stream*, the client's."""
        if self is Unreachable.CLOSE:
            stream.close()
        else:
            stream.reset()


class UpstreamTLS(Protocol):
    """TLS to a service, as `reqresp.relay.upstream_tls.ClientTLS` provides it."""

    def wrap(self, protocol: IProtocol) -> IProtocol:
        """Return a protocol that adds TLS between *protocol* and its transport."""

    def explain(self, failure: Failure) -> str | None:
        """Return the predicate for a handshake that failed; None: *failure* is not about TLS."""

    def explain_end(self, reason: Failure) -> str | None:
        """Return the predicate for an error of TLS that ended a connection; None: it is none."""


@frozen
class Upstream:
    """
    A service.

    :param endpoint: connects to it.
    :param name: what log lines call it, for example ``127.0.0.1:6379``.
    :param encode_header: writes the PROXY header that the service gets first; None: it gets none.
    :param tls: how TLS is added; None: bytes pass as they are.
    """

    endpoint: IStreamClientEndpoint
    name: str
    encode_header: Callable[[ProxyHeader], bytes] | None = None
    tls: UpstreamTLS | None = None

    def explain(self, failure: Failure) -> str:
        """Return why a connection has failed, as the predicate of a sentence."""
        return self._why(failure)[1]

    def reason(self, failure: Failure) -> str:
        """Return why a connection has failed, as metrics name it, or in another word."""
        return self._why(failure)[0]

    def _why(self, failure: Failure) -> tuple[str, str]:
        for kind, reason, words in _REASONS:
            if failure.check(kind):
                return reason, words
        if getattr(failure.value, "osError", None) == EHOSTUNREACH:  # of no class of Twisted's
            return "unreachable", "is unreachable"
        tls = None if self.tls is None else self.tls.explain(failure)
        if tls is not None:
            return "tls", tls
        return "other", f"failed: {printable(failure.getErrorMessage())}"


def tcp_upstream(reactor: Any, host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> Upstream:
    """
    Return the service at *host*, a name or an address, and *port*.

    :param timeout: seconds until a connection must be made.
    """
    eager = EagerConnects(reactor)
    endpoint: IStreamClientEndpoint
    if isIPAddress(host):
        endpoint = TCP4ClientEndpoint(eager, host, port, timeout)
    elif isIPv6Address(host):
        endpoint = TCP6ClientEndpoint(eager, host, port, timeout)
    else:
        endpoint = HostnameEndpoint(eager, host, port, timeout, attemptDelay=ATTEMPT_DELAY)
    return Upstream(endpoint, format_host_port(host, port))


def unix_upstream(reactor: Any, path: str, timeout: float = CONNECT_TIMEOUT) -> Upstream:
    """
    Return the service that listens on the UNIX socket *path*.

    :param timeout: seconds until a connection must be made.
    """
    return Upstream(UNIXClientEndpoint(reactor, path, timeout), f"unix:{path}")
