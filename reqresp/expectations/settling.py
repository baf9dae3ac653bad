"""
Settling: whether a server has done all that a verdict is about.

Knows open connections.  Must not know how long somebody waits for them.
"""

from time import time

from reqresp.expectations.results import Results
from reqresp.journal import Entry, Incomplete
from reqresp.server.connections import Connections


def unfinished(connections: Connections) -> list[Entry]:
    """Return the requests that clients have begun and not finished."""
    return [
        Incomplete(time(), it.peer, it.number, it.unfinished.data, it.unfinished.missing)
        for it in connections
        if it.unfinished is not None
    ]


def is_settled(
    results: Results, connections: Connections, *, waits_for_clients: bool, strict: bool
) -> bool:
    """
    Return whether nothing more will happen that a verdict should wait for.

    :param waits_for_clients: whether a client that is not connected can still connect.
    :param strict: whether an unfinished request is a problem.
    """
    if not len(connections) and not waits_for_clients:
        return True
    return results.is_met and not any(
        it.is_busy or (strict and it.unfinished is not None) for it in connections
    )
