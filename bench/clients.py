"""
Clients: loads that load generators do not have, such as many keys, or idle connections.

Knows sockets.  Only the server's CPU and memory are measured, so these clients need not be fast.
"""

import random
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, cycle, islice

from bench.values import UnavailableError

_TIMEOUT = 10.0
# One of so many idle connections sends a request and waits for the reply.  By then the server has
# accepted the earlier ones, so the backlog never overflows.
_PACE = 32


class BadReplyError(Exception):
    """A server closed the connection, or sent a wrong reply."""


def key(number: int) -> bytes:
    """Return the request with that number.  All have the same length."""
    return b"key%06d" % number


def value(number: int) -> bytes:
    """Return the reply to that request, without the line end."""
    return b"+value%06d" % number


def blocks(keys: int, depth: int) -> list[tuple[bytes, bytes]]:
    """
    Return requests and their replies, *depth* in a block, with each key equally often.

    There are about 20,000 requests for any number of keys, so that the client uses the same amount
    of memory.
    """
    chance = random.Random(1)  # noqa: S311  # the same order in every run, no secret
    rounds = (chance.sample(range(keys), keys) for _ in range(max(1, 20_000 // keys)))
    numbers = list(chain.from_iterable(rounds))
    return [
        (
            b"".join(key(n) + b"\r\n" for n in numbers[start : start + depth]),
            b"".join(value(n) + b"\r\n" for n in numbers[start : start + depth]),
        )
        for start in range(0, len(numbers) - depth + 1, depth)
    ]


def ask_keys(port: int, keys: int, depth: int, connections: int, requests: int) -> int:
    """
    Send at least *requests*, *depth* at a time on each connection, and check every reply.

    :return: how many requests were answered.
    :raises BadReplyError: a reply is wrong or missing.
    """
    supply = cycle(blocks(keys, depth))
    asked = 0
    with ExitStack() as stack:
        sockets = [stack.enter_context(_connect(port)) for _ in range(connections)]
        while asked < requests:
            batch = list(islice(supply, connections))
            for sock, (request, _) in zip(sockets, batch, strict=True):
                sock.sendall(request)
            for sock, (_, reply) in zip(sockets, batch, strict=True):
                _expect(sock, reply)
            asked += connections * depth
    return asked


def receive_bulk(port: int, size: int, connections: int, replies: int) -> int:
    """
    Ask for at least *replies* of *size* bytes, one at a time on each connection.

    :return: how many were received.
    :raises BadReplyError: a server closed a connection.
    """
    received = 0
    buffer = memoryview(bytearray(2**20))
    with ExitStack() as stack:
        sockets = [stack.enter_context(_connect(port)) for _ in range(connections)]
        while received < replies:
            for sock in sockets:
                sock.sendall(b"more\r\n")
            for sock in sockets:
                _skip(sock, size, buffer)
            received += connections
    return received


def ask_paced(port: int, rate: int, seconds: float, connections: int, pages: int) -> int:
    """
    Ask *rate* times a second, while *pages* show what the server does.

    The server replies to ``control`` with the port that it is controlled at.

    :return: how many requests were answered.
    :raises BadReplyError: a reply is wrong or missing, or a page shows nothing.
    """
    asked = 0
    with ExitStack() as stack:
        sockets = [stack.enter_context(_connect(port)) for _ in range(connections)]
        control = _ask_line(sockets[0], b"control\r\n")
        streams = [
            # As the page asks.
            stack.enter_context(_listen(int(control), b"/api/stream?service=default&most=100"))
            for _ in range(pages)
        ]
        received = [0] * len(streams)
        began = time.monotonic()
        while asked < rate * seconds:
            for sock in sockets:
                sock.sendall(b"PING\r\n")
            for sock in sockets:
                _expect(sock, b"+PONG\r\n")
            asked += connections
            for number, stream in enumerate(streams):
                received[number] += _drain(stream)
            time.sleep(max(0.0, began + asked / rate - time.monotonic()))
    if not all(received):
        raise BadReplyError("a stream of events shows nothing")
    return asked


def _ask_line(sock: socket.socket, request: bytes) -> bytes:
    sock.sendall(request)
    reply = b""
    while not reply.endswith(b"\n"):
        more = sock.recv(100)
        if not more:
            raise BadReplyError("EOF within a line")
        reply += more
    return reply.strip()


def _listen(port: int, path: bytes) -> socket.socket:
    """Return a connection on which events arrive, and which does not block."""
    sock = _connect(port)
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
    if not sock.recv(13).startswith(b"HTTP/1.1 200"):
        raise BadReplyError("the control server refuses a stream of events")
    sock.setblocking(False)
    return sock


def _drain(sock: socket.socket) -> int:
    """Receive what has arrived; return how many bytes that is."""
    size = 0
    try:
        while more := sock.recv(2**20):
            size += len(more)
    except BlockingIOError:
        return size
    raise BadReplyError("EOF on a stream of events")


def _skip(sock: socket.socket, size: int, buffer: memoryview) -> None:
    while size:
        more = sock.recv_into(buffer, min(size, len(buffer)))
        if not more:
            raise BadReplyError(f"EOF, {size} bytes before the end of a reply")
        size -= more


@contextmanager
def idle_connections(port: int, count: int, request: bytes, reply: bytes) -> Iterator[None]:
    """Hold *count* accepted connections; one in 32 has sent a request."""
    sockets: list[socket.socket] = []
    try:
        for number in range(1, count + 1):
            sockets.append(_connect(port))
            if number % _PACE == 0 or number == count:
                sockets[-1].sendall(request)
                _expect(sockets[-1], reply)
        yield
    finally:
        for sock in sockets:
            # A reset leaves no TIME_WAIT, which would slow down the next server.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


def allow_descriptors(count: int) -> None:
    """
    Raise the limit of open files to at least *count*.  Servers inherit it.

    :raises UnavailableError: the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise UnavailableError(f"{count} open files are needed; the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), _TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _expect(sock: socket.socket, reply: bytes) -> None:
    got = b""
    deadline = time.monotonic() + _TIMEOUT
    while len(got) < len(reply):
        more = sock.recv(len(reply) - len(got))
        got += more
        if not more or not reply.startswith(got) or time.monotonic() > deadline:
            raise BadReplyError(f"received {got!r}; expected {reply!r}")
