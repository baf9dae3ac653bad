"""
Pushes: bytes that are sent to a client without a request, because somebody says so.

They leave between replies, and are bounded, since no request of the client asks for them.  This
module must not know requests.
"""

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import IAddress

from reqresp.server._state import Ended, Hold, Lost, State, Waiting
from reqresp.server.host import ConnectionHost
from reqresp.server.observers import Unasked
from reqresp.transport.stream import Stream

#: Bytes that may wait for a client to receive them if some of them are pushed.
MAX_PUSHED_BYTES = 1024 * 1024


class PushError(Exception):
    """Bytes cannot be pushed to a connection; the message says why."""


class Pushed(Protocol):
    """What pushes need of a connection."""

    hold: Hold | None
    host: ConnectionHost
    number: int
    peer: IAddress
    #: Waits for the end of the reply under way.
    pushed: Sequence[bytes]
    sent: int
    stream: Stream


def check_room(number: int, waiting: int, data: bytes) -> None:
    """
    Check that *data* can wait for the client of connection *number*, besides *waiting* bytes.

    :raises PushError: it is too much.
    """
    if waiting + len(data) > MAX_PUSHED_BYTES:
        raise PushError(
            f"connection {number}: {len(data)} bytes and the {waiting} that its client has not"
            f" received are more than {MAX_PUSHED_BYTES}"
        )


def put(connection: Pushed, data: bytes) -> None:
    """
    Have *data* wait until *connection* can send it.

    :raises PushError: it sends no more, or too much waits for its client.
    """
    if isinstance(connection.hold, Ended | Lost) or connection.stream.drops_writes:
        raise PushError(f"connection {connection.number}: it sends no more")
    waiting = connection.stream.undelivered + sum(map(len, connection.pushed))
    check_room(connection.number, waiting, data)
    connection.pushed = (*connection.pushed, data)


def can_send(connection: Pushed, *, is_replying: bool) -> bool:
    """
    Return whether what was pushed can be sent now.

    :param is_replying: whether a reply is under way, perhaps one that hangs.
    """
    hold = connection.hold
    if isinstance(hold, Ended | Lost) or connection.stream.is_shaking_hands:
        return False
    is_hanging = isinstance(hold, Waiting) and hold.state is State.HANGING
    return is_hanging or not is_replying


def send(connection: Pushed) -> None:
    """Send and report what was pushed."""
    pushed, connection.pushed = connection.pushed, ()
    host = connection.host
    for data in pushed:
        connection.stream.write(data)
        connection.sent += len(data)
        if host.counters is not None:
            host.counters.sent += len(data)
        host.events.sent(connection.peer, connection.number, data, Unasked.PUSH)
