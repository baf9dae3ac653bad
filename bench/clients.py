"""
Clients: what ready-made load generators do not do, many different keys and many idle connections.

Knows sockets; only the server's CPU and memory are judged, so being slow here costs time alone.
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
# Every so many idle connections one asks and waits: what came before has been accepted then, and
# the backlog never overflows.
_PACE = 32


class BadReplyError(Exception):
    """A server closed, or answered other bytes than all others do."""


def key(number: int) -> bytes:
    """The request of that number; all are of one length."""
    return b"key%06d" % number


def value(number: int) -> bytes:
    """Its reply, without the line's end."""
    return b"+value%06d" % number


def blocks(keys: int, depth: int) -> list[tuple[bytes, bytes]]:
    """
    Make requests and replies, *depth* in a block, every key as often as any other, in rounds.

    About 20,000 requests whatever the number of keys, so that the client's own memory traffic
    is the same.
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
    Send *requests* or a few more, *depth* at a time on each connection, and compare every reply.

    :return: how many were answered.
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


@contextmanager
def idle_connections(port: int, count: int, request: bytes, reply: bytes) -> Iterator[None]:
    """Hold *count* connections, all accepted, of which one in 32 has asked something."""
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
            # A reset leaves no TIME_WAIT behind to slow the next server's turn.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


def allow_descriptors(count: int) -> None:
    """
    Raise this process's limit, which the servers inherit, to at least *count* open files.

    :raises UnavailableError: the hard limit is below that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise UnavailableError(f"{count} open files are needed, the hard limit is {hard}")
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
            raise BadReplyError(f"{got!r} where {reply!r} was expected")
