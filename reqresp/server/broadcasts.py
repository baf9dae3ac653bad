"""
Broadcasts: bytes that are sent to several connections, for one of them or without one.

It leaves between the frames of each.  A client that does not receive what was sent before is left
out, so that little waits.  This module must not know what causes a broadcast.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.logger import Logger

from reqresp._errors import FieldError
from reqresp._text import quote
from reqresp.framing import Framing
from reqresp.server import pushes
from reqresp.server.observers import Unasked
from reqresp.steps import STATE_PREFIX, Broadcast, Send, is_addressee

_log = Logger()


def check_unasked(to: str) -> None:
    """:raises FieldError: *to* is not whom a broadcast without a sender can be for."""
    if to == "others" or not (isinstance(to, str) and is_addressee(to)):
        found = quote(to) if isinstance(to, str) else repr(to)
        raise FieldError("to", f'expected "all" or "state:NAME", found {found}')


def framed(steps: Iterable[Send | Broadcast], framing: Framing) -> bytes:
    """
    Return the data of *steps* as it is sent in *framing*.

    :raises FrameError: *framing* cannot express it.
    """
    return b"".join(it.data if it.raw else framing.encode(it.data) for it in steps)


def broadcast(
    connections: Iterable[Any], to: str, steps: Sequence[Send | Broadcast], sender: Any = None
) -> int:
    """
    Send the data of *steps* to clients, or none of it; return how many these are.

    :param connections: of a server that answers requests.
    :param to: for which of *connections* it is, as of a `Broadcast`.
    :param sender: the connection that performs *steps*; None: there is none.
    :raises FrameError: the framing of one of these clients cannot express the data.
    """
    wanted = [it for it in connections if _is_for(it, to, sender)]
    frames = [framed(steps, it.framing) for it in wanted]
    count = 0
    for connection, data in zip(wanted, frames, strict=True):
        if connection is sender:  # in its place among the steps of the reply
            pushes.send_now(connection, data, Unasked.BROADCAST)
            count += 1
            continue
        try:
            pushes.put(connection, data, Unasked.BROADCAST)
        except pushes.PushError as error:
            _log.debug(
                "{peer}: missed a broadcast: {reason}",
                peer=connection.host.label(connection.peer),
                reason=str(error),
            )
            continue
        connection.go_on()
        count += 1
    return count


def _is_for(connection: Any, to: str, sender: Any) -> bool:
    if not to.startswith(STATE_PREFIX):
        return to == "all" or connection is not sender
    state: str = connection.config.responder.state(connection)
    return state == to.removeprefix(STATE_PREFIX)
