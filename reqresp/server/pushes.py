"""
Pushes: bytes that are sent to a client without a request of its own.

They leave between replies, or between frames.  They are bounded, since no request asks for them.
This module must not know requests.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import length_hint
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IAddress

from reqresp.framing import Framing
from reqresp.server._frames import NO_REPLY, Progress, ReplyUnderWay
from reqresp.server._state import Ended, Hold, Lost, State, Waiting
from reqresp.server.host import ConnectionHost
from reqresp.server.observers import Unasked
from reqresp.transport.stream import Stream

#: Bytes that may wait for a client to receive them if some of them are pushed.
MAX_PUSHED_BYTES = 1024 * 1024


class PushError(Exception):
    """Bytes cannot be pushed to a connection; the message says why."""


class Unsent(NamedTuple):
    """
    Something that waits until it can be sent.

    :param size: of its bytes.
    :param perform: sends and reports them.
    :param between_frames: whether it waits for the end of a frame only, not of the reply.
    """

    size: int
    perform: Callable[[], None]
    between_frames: bool = False


class Timed(Protocol):
    """What pushes need of the timers of a connection."""

    @property
    def within(self) -> object:
        """Whose frame is sent in part; None: none's."""


class Replying(Protocol):
    """What `is_within_frame` needs of a connection."""

    #: In force for what is sent.
    framing: Framing
    #: The one that is being sent, perhaps one that hangs.
    reply: ReplyUnderWay

    @property
    def timers(self) -> Timed | None:
        """Those of the responder; None: there are none."""


class Pushed(Replying, Protocol):
    """What pushes need of a connection."""

    hold: Hold | None
    host: ConnectionHost
    number: int
    peer: IAddress
    #: Waits for the end of the reply, or of the frame, under way.
    pushed: Sequence[Unsent]
    sent: int
    stream: Stream

    def go_on(self) -> None:
        """Work until something holds the connection, or nothing is left to do."""


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


def put(connection: Pushed, data: bytes, by: Unasked = Unasked.PUSH) -> None:
    """
    Have *data* wait until *connection* can send it.

    :raises PushError: it sends no more, or too much waits for its client.
    """
    if isinstance(connection.hold, Ended | Lost) or connection.stream.drops_writes:
        raise PushError(f"connection {connection.number}: it sends no more")
    waiting = connection.stream.undelivered + sum(it.size for it in connection.pushed)
    check_room(connection.number, waiting, data)
    between_frames = by is Unasked.BROADCAST
    unsent = Unsent(len(data), partial(send_now, connection, data, by), between_frames)
    connection.pushed = (*connection.pushed, unsent)


def push(connection: Pushed, data: bytes) -> None:
    """
    Send *data* as it is, after the reply under way; what holds the connection still does.

    :raises PushError: it sends no more, or too much waits for its client.
    """
    put(connection, data)
    connection.go_on()


def push_frame(connection: Pushed, data: bytes) -> None:
    """
    Send *data* in a frame, after the reply under way; what holds the connection still does.

    :raises FrameError: the framing cannot express *data*.
    :raises PushError: it sends no more, or too much waits for its client.
    """
    push(connection, connection.framing.encode(data))


def can_send(connection: Pushed) -> bool:
    """Return whether something that was pushed can be sent now."""
    return _first(connection) is not None


def send(connection: Pushed) -> None:
    """Send and report what was pushed, as far as it can be sent now."""
    while (first := _first(connection)) is not None:
        connection.pushed = [it for it in connection.pushed if it is not first]
        first.perform()


def _first(connection: Pushed) -> Unsent | None:
    """Return the first that can be sent now; None: none can."""
    hold = connection.hold
    if isinstance(hold, Ended | Lost) or connection.stream.is_shaking_hands:
        return None
    if is_within_frame(connection):
        return None
    is_hanging = isinstance(hold, Waiting) and hold.state is State.HANGING
    is_free = is_hanging or connection.reply is NO_REPLY
    return next((it for it in connection.pushed if is_free or it.between_frames), None)


def is_within_frame(connection: Replying) -> bool:
    """Return whether a frame is sent in part: of a timer, or of the reply under way."""
    if connection.timers is not None and connection.timers.within is not None:
        return True
    left, request, reported, progress = connection.reply
    if not isinstance(progress, Progress):
        progress = Progress(reported, progress, connection.framing)
        connection.reply = left, request, reported, progress
    return progress.is_within(length_hint(left))


def write(connection: Pushed, data: bytes) -> None:
    """Write and count *data*."""
    connection.stream.write(data)
    connection.sent += len(data)
    if connection.host.counters is not None:
        connection.host.counters.sent += len(data)


def send_now(connection: Pushed, data: bytes, by: Unasked) -> None:
    """Send and report *data*."""
    write(connection, data)
    connection.host.events.sent(connection.peer, connection.number, data, by)
