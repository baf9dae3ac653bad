"""
ConnectionTable: the open connections of a server, for people and programs that look at them.

Knows what all connections have in common.  It must not know what a connection carries, and costs
nothing while nobody looks.
"""

from collections.abc import Iterator
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IAddress

from reqresp._text import format_address
from reqresp.server.connections import Connections
from reqresp.server.host import HostedConnection


@frozen
class ConnectionInfo:
    """
    An open connection as it is now.

    :param number: its number, which no other connection of the server has.
    :param peer: the address of the client.
    :param since: when it was opened, in seconds since the epoch.
    :param requests: how many requests were taken up; 0 for a relay, which knows none.
    :param received: bytes received from the client; 0 if the server has no counters.
    :param sent: bytes handed to its transport, likewise.
    """

    number: int
    peer: IAddress
    since: float
    requests: int
    received: int
    sent: int

    def as_json(self) -> dict[str, Any]:
        """Return it as a dict that `json` accepts."""
        return {
            "number": self.number,
            "peer": format_address(self.peer),
            "since": self.since,
            "requests": self.requests,
            "received": self.received,
            "sent": self.sent,
        }


class ConnectionTable:
    """The connections of *front* that are open, by their numbers."""

    def __init__(self, front: Connections) -> None:
        self._front = front

    def __len__(self) -> int:
        return len(self._front)

    def __iter__(self) -> Iterator[ConnectionInfo]:
        """Iterate over the connections as they are now, by their numbers."""
        return map(self._info, sorted(self._front, key=lambda it: it.number))

    def push(self, number: int, data: bytes) -> None:
        """
        Send *data*, as it is, to the client of a connection, after the reply that is under way.

        :raises KeyError: no connection with this *number* is open.
        :raises PushError: it sends no more, or its client does not receive what was sent before.
        """
        self._find(number).push(data)

    def close(self, number: int) -> None:
        """
        Close a connection after what was sent is delivered; answer no more of its requests.

        :raises KeyError: no connection with this *number* is open.
        """
        self._find(number).close()

    def reset(self, number: int) -> None:
        """
        Reset a connection now.

        :raises KeyError: no connection with this *number* is open.
        """
        self._find(number).reset()

    def _find(self, number: int) -> HostedConnection:
        found = next((it for it in self._front if it.number == number), None)
        if found is None:
            raise KeyError(number)
        return found

    def _info(self, connection: HostedConnection) -> ConnectionInfo:
        return ConnectionInfo(
            connection.number,
            connection.peer,
            self._front.since(connection),
            connection.taken,
            connection.received,
            connection.sent,
        )
