"""
Crowd: many connections at once, which are opened, written to and reset.

Knows sockets and the kernel's limits.  It must not know a server's replies.
"""

import errno
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ssl import SSLWantWriteError

from tests.support.live import PATIENCE

#: How many connections use one client address: fewer than Linux has ephemeral ports.
_PORTS = 20_000
#: After so many connections, pause for the server to accept them.
_PACE = 256
_RESET = "ECONNRESET"
_NARROW_SEGMENT = 1448
_NARROW_BUFFER = 16 * 1024


class Crowded(socket.socket):
    """A client's socket."""

    #: Whether it was reset while it connected.  The kernel reports that once, and then EOF.
    was_reset = False


def connect(port: int, number: int = 0, *, narrow: bool = False) -> socket.socket:
    """
    Return a connected client.

    :param number: its number in the crowd, which may need more than one address.
    :param narrow: use segments as on Ethernet, and a small buffer.  Otherwise the kernel buffers
        megabytes for each client that does not read, since loopback has segments of 64 KiB.
    """
    sock = Crowded()
    try:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if narrow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _NARROW_SEGMENT)
        if number >= _PORTS:
            sock.bind((f"127.0.1.{number // _PORTS}", 0))
        try:
            sock.connect(("127.0.0.1", port))
        except ConnectionResetError:  # by the server, right after accept
            sock.was_reset = True
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def crowd(port: int, count: int, *, narrow: bool = False) -> Iterator[list[socket.socket]]:
    """Hold *count* connections, and reset them at the end."""
    sockets: list[socket.socket] = []
    try:
        for number in range(count):
            sockets.append(connect(port, number, narrow=narrow))
            if number % _PACE == _PACE - 1:
                time.sleep(0.001)
        yield sockets
    finally:
        for sock in sockets:
            reset(sock)


def reset(sock: socket.socket) -> None:
    """Reset *sock* if it is open.  A reset leaves no state in the kernel."""
    if sock.fileno() < 0:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def send(sock: socket.socket, data: bytes) -> bool:
    """Send as much of *data* as possible; return whether the connection is open."""
    sock.setblocking(False)
    try:
        sock.send(data)
    except (BlockingIOError, SSLWantWriteError):
        return True
    except OSError:
        return False
    return True


class Fate:
    """The result of a connection: the bytes *received*, and how it *ended*, or None."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended: str | None = None


def listen_to(
    sockets: Iterable[socket.socket], size: int | None, patience: float = PATIENCE
) -> list[Fate]:
    """
    Receive from each of *sockets* until it has *size* bytes; None: until its end.

    An end is ``EOF`` or the name of an error, such as ``ECONNRESET``.  Stop when no socket has
    received anything for *patience* seconds.
    """
    fates: list[Fate] = []
    waiting = 0
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.setblocking(False)
            fates.append(Fate())
            selector.register(sock, selectors.EVENT_READ, fates[-1])
            waiting += 1
        while waiting and (events := selector.select(patience)):
            for key, _ in events:
                fate = key.data
                _receive(key.fileobj, fate)  # type: ignore[arg-type]  # a socket was registered
                if fate.ended or (size is not None and len(fate.received) >= size):
                    selector.unregister(key.fileobj)
                    waiting -= 1
    return fates


def _receive(sock: socket.socket, fate: Fate) -> None:
    if isinstance(sock, Crowded) and sock.was_reset:
        fate.ended = _RESET
        return
    try:
        data = sock.recv(64 * 1024)
    except BlockingIOError:
        return
    except OSError as error:
        fate.ended = errno.errorcode.get(error.errno or 0)
        return
    fate.received += data
    if not data:
        fate.ended = "EOF"


def ask_all(sockets: list[socket.socket], request: bytes, reply: bytes) -> int:
    """Send *request* on all *sockets*; return how many received exactly *reply*."""
    asked = [sock for sock in sockets if send(sock, request)]
    return sum(fate.received == reply for fate in listen_to(asked, len(reply)))
