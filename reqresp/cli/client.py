r"""
Ask: a client that sends requests in any framing and waits for their replies.

Knows blocking sockets, framings and a clock: no reactor, and no command line, which is for
`command`.  The decoders are those of the server; what they call a request is a reply here.
"""

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from attrs import frozen

from reqresp.framing import Decoder, FrameError

#: Bytes that are received at once, at most.
RECEIVED = 64 * 1024
#: Bytes of a reply: more than anybody wants to read, less than what a wrong framing may announce.
MAX_REPLY = 64 * 1024 * 1024


class AskError(Exception):
    """It did not go as asked; the message is one line, for a person."""


@frozen
class Address:
    """Where a server is: a *host* and a *port*, or the path of a UNIX socket as *host*."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+)):([0-9]{1,5})")


def parse_address(text: str) -> Address:
    """
    Make the address that *text* names: ``host:port``, ``[::1]:port``, or a path, with its slash.

    :raises ValueError: it names none.
    """
    if "/" in text:
        return Address(text)
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 2**16:
        raise ValueError(
            f"{text!r} is no address: HOST:PORT, [IPV6]:PORT, or the path of a UNIX socket with a"
            " slash in it"
        )
    return Address(match[1] or match[2], int(match[3]))


def ask(
    address: Address,
    frames: Sequence[bytes],
    decoder: Decoder,
    *,
    replies: int = 1,
    greeting: bool = False,
    timeout: float = 5.0,
) -> Iterator[bytes]:
    """
    Send *frames* to *address*, and give the replies as they come.

    A frame is sent when *replies* have come for each before it.  More than these count for the
    next one; what is more at the end is dropped.

    :param greeting: wait for a reply before the first frame, and give it too.
    :param timeout: seconds to wait for the connection, for each frame to leave and each reply.
    :raises AskError: anything is not as expected; what came before was given.
    """

    with _blaming(f"{address}: no connection"):
        connection = _connect(address, timeout)
    with connection:
        incoming = _replies(connection, decoder, timeout)
        if greeting:
            with _blaming(f"{address}: no greeting"):
                reply = next(incoming)
            yield reply
        for number, frame in enumerate(frames, 1):
            with _blaming(f"{address}: request {number} not sent"):
                connection.settimeout(timeout)
                connection.sendall(frame)
            for count in range(1, replies + 1):
                which = f"reply {count} of {replies}" if replies > 1 else "reply"
                with _blaming(f"{address}: no {which} to request {number}"):
                    reply = next(incoming)
                yield reply


def _connect(address: Address, timeout: float) -> socket.socket:
    if address.port is not None:
        return socket.create_connection((address.host, address.port), timeout)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(address.host)
    except BaseException:
        connection.close()
        raise
    return connection


def _replies(connection: socket.socket, decoder: Decoder, timeout: float) -> Iterator[bytes]:
    """Give one reply after the other, each within *timeout* of being asked for."""
    while True:
        deadline = monotonic() + timeout
        ready: list[bytes] = []
        while not ready:
            data = _receive(connection, deadline - monotonic())
            if data is None:
                raise TimeoutError(f"{len(decoder)} bytes of it came within {timeout:g} s")
            if not data:
                raise EOFError(f"{len(decoder)} bytes of it came before the connection was closed")
            try:
                ready = decoder.feed(data)
            except FrameError as error:
                yield from error.requests
                raise
        yield from ready


def _receive(connection: socket.socket, seconds: float) -> bytes | None:
    """Receive what comes, nothing at EOF, None if nothing comes in time."""
    if seconds <= 0:
        return None
    connection.settimeout(seconds)
    try:
        return connection.recv(RECEIVED)
    except TimeoutError:
        return None


@contextmanager
def _blaming(failure: str) -> Iterator[None]:
    try:
        yield
    except FrameError as error:
        reason = str(error).replace("a request", "a reply", 1)
    except (OSError, EOFError, UnicodeError) as error:  # a host's name may be no name at all
        reason = getattr(error, "strerror", None) or str(error)
    else:
        return
    raise AskError(f"{failure}: {reason}")


def escape(data: bytes) -> str:
    r"""
    Write *data* on one line, as `reqresp._text.unescape` reads it.

    What is printable stands for itself, but a backslash; the rest is ``\r``, ``\n``, ``\t``, ``\0``
    or ``\xNN``.
    """
    return "".join(map(_escaped, os.fsdecode(data)))


_NAMED = {"\0": r"\0", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _escaped(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
