"""
Service: what a connection needs of the real service that it forwards requests to.

Protocols, so that a server depends on no relay.  `reqresp.relay.Forwarding` is a `Service`.
"""

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IAddress

from reqresp.server.host import ConnectionHost
from reqresp.transport.stream import Stream


class ServiceUser(Protocol):
    """A client's connection, as its connection to the service sees it."""

    @property
    def host(self) -> ConnectionHost:
        """The server."""

    @property
    def peer(self) -> IAddress:
        """The client's address."""

    @property
    def number(self) -> int:
        """The number of the client's connection."""

    @property
    def stream(self) -> Stream:
        """The stream of the client's connection."""

    def service_sent(self, data: bytes) -> None:
        """Handle *data*, which has arrived from the service."""

    def service_resumed(self) -> None:
        """Handle that the service accepts bytes again."""

    def service_ended(self, *, is_reset: bool) -> None:
        """Handle that the service has ended its side, or has reset the connection."""

    def service_failed(self, end: Callable[[Stream], None]) -> None:
        """Handle that the service cannot be reached: *end* the client's connection."""


class ServiceConnection(Protocol):
    """The connection of one client to the service; it may still be in the making."""

    @property
    def is_blocked(self) -> bool:
        """Whether the service does not read: write no more for now."""

    @property
    def undelivered(self) -> int:
        """How many bytes were written that the service has not received, as far as is known."""

    def write(self, data: bytes) -> None:
        """Write *data*, now or as soon as the service is connected."""

    def pause(self) -> None:
        """Read no more until `resume` is called."""

    def resume(self) -> None:
        """Read again."""

    def end(self, *, is_reset: bool) -> None:
        """End the connection: the client's has ended, or was reset."""


class Service(Protocol):
    """A real service."""

    @property
    def name(self) -> str:
        """What log lines call it."""

    def connect(self, user: ServiceUser) -> ServiceConnection:
        """Begin to connect *user* to the service."""
