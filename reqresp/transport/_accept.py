"""
Accepting: the clients that wait at a listening socket.

Does what Twisted's ports do, with less work for each client.  It must not know what serves them.
"""

from collections.abc import Iterator
from socket import socket
from typing import Any

from twisted.internet import tcp

#: The socket of a client, and its address as the system returns it.
Client = tuple[socket, tuple[Any, ...]]


def can_accept(listening: object) -> bool:
    """Return whether `accept_clients` knows how *listening* accepts: as Python's sockets do."""
    return getattr(type(listening), "accept", None) is socket.accept


def accept_clients(port: tcp.Port, most: int) -> Iterator[Client]:
    """
    Accept up to *most* clients that wait at *port*; call `can_accept` for its socket first.

    ``socket.accept`` finds out the family and the type of the socket anew for each client, which
    takes a third of its time.

    :raises OSError: for an unknown error of the system.
    """
    listening: Any = port.socket
    family, kind, protocol = port.addressFamily, port.socketType, listening.proto
    for left in range(most, 0, -1):
        try:
            descriptor, address = listening._accept()
        except BlockingIOError:
            return
        except OSError as error:
            yield from _accept_after(error, port, left)
            return
        yield socket(family, kind, protocol, descriptor), address


def _accept_after(error: OSError, port: tcp.Port, most: int) -> Iterator[Client]:
    """Go on as Twisted does after *error*: it frees a descriptor, logs or continues."""
    listening: Any = _Failed(error, port.socket)
    logger = port._logger
    with tcp._BuffersLogs(logger.namespace, logger.observer) as buffered:
        yield from tcp._accept(buffered, range(most), listening, tcp._reservedFD)


class _Failed:
    """The socket *listening*, which has failed with *error*: the first ``accept`` raises it."""

    def __init__(self, error: OSError, listening: socket) -> None:
        self._error: OSError | None = error
        self._listening = listening

    def accept(self) -> Client:
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._listening.accept()
