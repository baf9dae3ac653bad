"""
Broadcasts: bytes that are sent to several connections, for one of them or without one.

It leaves between the frames of each.  A client that does not receive what was sent before is left
out, so that little waits.  This module must not know what causes a broadcast.
"""

from collections.abc import Iterable
from typing import Any

from twisted.logger import Logger

from reqresp.server import pushes
from reqresp.server.observers import Unasked
from reqresp.steps import STATE_PREFIX, Broadcast

_log = Logger()


def broadcast(connections: Iterable[Any], step: Broadcast, sender: Any = None) -> int:
    """
    Send the data of *step* to those of *connections* that it is for; return how many these are.

    :param connections: of a server that answers requests.
    :param sender: the connection that performs *step*; None: there is none.
    :raises FrameError: the framing cannot express the data.
    """
    wanted = [it for it in connections if _is_for(it, step.to, sender)]
    frames = [step.data if step.raw else it.framing.encode(step.data) for it in wanted]
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
