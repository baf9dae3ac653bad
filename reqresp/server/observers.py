"""
Observers: what a server tells of itself while it runs.

Knows the events and nothing of who causes or hears them.  Each is told once for each read, not for
each request: what is told often must be cheap.
"""

from collections.abc import Sequence

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.exchanges import Exchanges


class Observer:
    """
    Hears what happens on all connections of a factory: subclass it and override what you need.

    Events that nobody overrides cost nothing.  An exception raised here is logged and changes
    nothing for the client.  *connection* is the connection's number, as in `Request`.
    """

    def connected(self, peer: IAddress, connection: int) -> None:
        """A client connected."""

    def refused(self, peer: IAddress, reason: str) -> None:
        """A client was turned away; *reason* names the limit."""

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        """The responder was asked to answer *requests*, each when its turn came."""

    def answered(self, exchanges: Exchanges) -> None:
        """The last step of each of *exchanges* was performed."""

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        """The connection is being ended over a `FrameError`, or over what a responder raised."""

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        """The connection is gone; *reason* is Twisted's."""
