"""
Crowd: many connections at once, opened, written to and reset.

Knows sockets and the kernel's limits; nothing of what a server answers.
"""

import errno
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from tests.support.live import PATIENCE

#: Ports that a client address has, of those that Linux gives away.
_PORTS = 20_000
#: Every so many connections the server gets the time to accept them.
_PACE = 256
#: What is heard of a reset that `connect` has been told of.
_RESET_AT_ONCE = {errno.ENOTCONN: "ECONNRESET"}
_NARROW_SEGMENT = 1448
_NARROW_BUFFER = 16 * 1024


def connect(port: int, number: int = 0, *, narrow: bool = False) -> socket.socket:
    """
    Connect a client; *number* counts those of a crowd, which may need more than one address.

    :param narrow: over segments as on Ethernet and with a small buffer, or the kernel would hold
        megabytes for each that does not read: its buffers are as large as twenty segments.
    """
    sock = socket.socket()
    try:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if narrow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _NARROW_SEGMENT)
        if number >= _PORTS:
            sock.bind((f"127.0.1.{number // _PORTS}", 0))
        with suppress(ConnectionResetError):  # by a server that has accepted, and was quicker
            sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def crowd(port: int, count: int, *, narrow: bool = False) -> Iterator[list[socket.socket]]:
    """Hold *count* connections, and reset them in the end."""
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
    """Close *sock*, if it is open, with a reset, which leaves nothing behind in the kernel."""
    if sock.fileno() < 0:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def send(sock: socket.socket, data: bytes) -> bool:
    """Send *data*, all or as much as there is room for; tell whether the connection stands."""
    sock.setblocking(False)
    try:
        sock.send(data)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


class Fate:
    """What became of a connection: what it *received*, and how it *ended*, if it did."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended: str | None = None


def listen_to(
    sockets: Iterable[socket.socket], size: int | None, patience: float = PATIENCE
) -> list[Fate]:
    """
    Receive from each of *sockets* until it has *size* bytes, or, None, its end comes.

    An end is ``EOF`` or the name of an error, as ``ECONNRESET``.  Those of which nothing is heard
    for *patience* seconds are left as they are.
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
    try:
        data = sock.recv(64 * 1024)
    except BlockingIOError:
        return
    except OSError as error:
        fate.ended = _RESET_AT_ONCE.get(error.errno or 0) or errno.errorcode.get(error.errno or 0)
        return
    fate.received += data
    if not data:
        fate.ended = "EOF"


def ask_all(sockets: list[socket.socket], request: bytes, reply: bytes) -> int:
    """Have all *sockets* send *request*; count those that got *reply* and nothing else."""
    asked = [sock for sock in sockets if send(sock, request)]
    return sum(fate.received == reply for fate in listen_to(asked, len(reply)))
