"""
ClientTLS: TLS between a relay and its service.

It must not know clients.
"""

from typing import cast

from attrs import frozen
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocol, IReactorTime
from twisted.python.failure import Failure

from reqresp._defaults import HANDSHAKE_TIMEOUT
from reqresp.transport.tls import describe, wrap_client

#: Predicates for reasons of OpenSSL that are about the service's certificate.
_REASONS = {
    "certificate verify failed": (
        "has a certificate that no trusted CA has signed, or that is not valid now"
    ),
}


@frozen
class ClientTLS:
    """
    TLS to a service.

    :param creator: makes the connections of OpenSSL, which check the service's certificate.
    :param clock: the reactor.
    :param timeout: seconds until a handshake must be complete.
    """

    creator: IOpenSSLClientConnectionCreator
    clock: IReactorTime
    timeout: float = HANDSHAKE_TIMEOUT

    def wrap(self, protocol: IProtocol) -> IProtocol:
        """Return a protocol that adds TLS between *protocol* and its transport."""
        return wrap_client(protocol, self.creator, self.clock, self.timeout)

    def explain(self, failure: Failure) -> str | None:
        """Return the predicate for a handshake that failed; None: *failure* is not about TLS."""
        if failure.check(ConnectionAborted):  # by the deadline
            return "did not complete TLS in time"
        if failure.check(ConnectionDone, ConnectionLost):
            return "ended the connection within the TLS handshake"
        if failure.check("service_identity.exceptions.VerificationError"):
            return "has a certificate for another name"
        return self.explain_end(failure)

    def explain_end(self, reason: Failure) -> str | None:
        """
        Return the predicate for an error of TLS that ended a connection; None: it is none.

        A service can refuse a client's certificate after the handshake.
        """
        if not reason.check("OpenSSL.SSL.Error"):
            return None
        words = describe(cast(Exception, reason.value))
        return _REASONS.get(words, f"refused TLS: {words}")
