"""
A client that sends requests in any framing, and waits for their replies.

Uses blocking sockets, framings and a clock: no reactor, and no command line.
"""

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from attrs import frozen

from reqresp.framing import Decoder, FrameError, SilenceDecoder, unfinished

#: Upper bound of the bytes that are received at once.
RECEIVE_SIZE = 64 * 1024
#: Upper bound of the bytes of a reply.  With a wrong framing, a reply can seem to be very large.
MAX_REPLY = 64 * 1024 * 1024


#: Bytes of an unfinished reply that an error shows.
MAX_SHOWN_BYTES = 60


class AskError(Exception):
    """
    The server could not be asked; the message is one line for a person.

    :param received: the bytes that were no reply; None: it did not fail while waiting for one.
    """

    def __init__(self, message: str, received: bytes | None = None) -> None:
        super().__init__(message)
        self.received = received


class _NoReplyError(Exception):
    """A reply did not arrive: the message says what did, and *received* has its bytes."""

    def __init__(self, message: str, received: bytes) -> None:
        super().__init__(message)
        self.received = received


@frozen
class Address:
    """The address of a server: a *host* and a *port*, or the path of a UNIX socket as *host*."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


#: How an address is written, for help and for errors.
ADDRESS_FORMS = "HOST:PORT, [IPV6]:PORT, or the path of a UNIX socket, with a slash in it"

_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+)):([0-9]{1,5})")


def parse_address(text: str) -> Address:
    """
    Return the address in *text*: ``host:port``, ``[::1]:port``, or a path that has a slash.

    :raises ValueError: *text* is not an address.
    """
    if "/" in text:
        return Address(text)
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 2**16:
        raise ValueError(f"expected {ADDRESS_FORMS}; found {text!r}")
    return Address(match[1] or match[2], int(match[3]))


def connect(address: Address, timeout: float) -> socket.socket:
    """
    Return a socket that is connected to *address*.

    :param timeout: seconds to wait for the connection.
    :raises OSError: it cannot connect.
    """
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


def ask(
    address: Address,
    frames: Sequence[bytes],
    decoder: Decoder,
    *,
    replies: int = 1,
    greeting: bool = False,
    half_close: bool = False,
    timeout: float = 5.0,
    connect: Callable[[Address, float], socket.socket] = connect,
    seconds: Callable[[], float] = monotonic,
) -> Iterator[bytes]:
    """
    Send *frames* to *address*, and yield the replies as they arrive.

    A frame is sent after *replies* replies to each frame before it.  Further replies count for the
    next frame; after the last frame they are dropped.

    :param greeting: wait for a reply before the first frame, and yield it, too.
    :param half_close: send EOF after the last frame.
    :param timeout: seconds to wait for the connection, for sending each frame, for each reply.
    :param connect: returns the socket of a connection.
    :param seconds: returns the time.
    :raises AskError: a reply does not arrive, or the connection fails.
    """

    with _failure_is(f"{address}: no connection"):
        connection = connect(address, timeout)
    with connection:
        incoming = _replies(connection, decoder, timeout, seconds)
        if greeting:
            with _failure_is(f"{address}: no greeting"):
                reply = next(incoming)
            yield reply
        for number, frame in enumerate(frames, 1):
            with _failure_is(f"{address}: request {number} not sent"):
                connection.settimeout(timeout)
                connection.sendall(frame)
                if half_close and number == len(frames):
                    connection.shutdown(socket.SHUT_WR)
            for count in range(1, replies + 1):
                which = f"reply {count} of {replies}" if replies > 1 else "reply"
                with _failure_is(f"{address}: no {which} to request {number}"):
                    reply = next(incoming)
                yield reply


def _replies(
    connection: socket.socket, decoder: Decoder, timeout: float, seconds: Callable[[], float]
) -> Iterator[bytes]:
    """Yield one reply after the other; each has *timeout* seconds from when it is asked for."""
    while True:
        deadline = seconds() + timeout
        ready: list[bytes] = []
        while not ready:
            data = _receive(connection, deadline - seconds())
            if data is None:
                raise _no_reply(decoder, f"within {timeout:g} s")
            try:
                ready = decoder.feed(data) if data else _ended(decoder)
            except FrameError as error:
                yield from error.requests
                reason = str(error).replace("a request", "a reply", 1)
                raise _NoReplyError(reason, data) from None
        yield from ready


def _ended(decoder: Decoder) -> list[bytes]:
    """Return the reply that EOF ends."""
    found = decoder.end() if isinstance(decoder, SilenceDecoder) else []
    if not found:
        raise _no_reply(decoder, "before the server closed the connection")
    return found


def _no_reply(decoder: Decoder, until: str) -> _NoReplyError:
    found = unfinished(decoder)
    if found is None:
        return _NoReplyError(f"nothing arrived {until}", b"")
    shown = repr(found.data[:MAX_SHOWN_BYTES])
    if len(found.data) > MAX_SHOWN_BYTES:
        shown += f"... ({len(found.data)} bytes)"
    return _NoReplyError(f"only {shown} arrived {until}: {found.missing}", found.data)


def _receive(connection: socket.socket, seconds: float) -> bytes | None:
    """Return the bytes that arrive within *seconds*; empty: EOF; None: nothing arrived."""
    if seconds <= 0:
        return None
    connection.settimeout(seconds)
    try:
        return connection.recv(RECEIVE_SIZE)
    except TimeoutError:
        return None


@contextmanager
def _failure_is(failure: str) -> Iterator[None]:
    try:
        yield
    except _NoReplyError as error:
        raise AskError(f"{failure}: {error}", error.received) from None
    except (OSError, UnicodeError) as error:  # UnicodeError: the name of the host is not valid
        raise AskError(f"{failure}: {getattr(error, 'strerror', None) or error}") from None


#: What bytes look like, with the framing that they probably have.
_LOOKS: Sequence[tuple[re.Pattern[bytes], str]] = (
    (re.compile(rb"[0-9]{1,9}:", re.DOTALL), "netstring"),
    (re.compile(rb"(?:[$*%~>=][0-9]|:-?[0-9]+\r\n)", re.DOTALL), "resp"),
    (re.compile(rb".*\n\Z", re.DOTALL), "line"),
    (re.compile(rb".", re.DOTALL), "chunk"),
)


def suggest_framing(frame: bytes, received: bytes) -> str | None:
    """
    Return the name of a framing that a server may use that did not reply as expected.

    :param frame: the request as it was sent.
    :param received: what arrived and is not a reply.
    """
    if received:
        return next(name for look, name in _LOOKS if look.match(received))
    return None if frame.endswith(b"\n") else "line"
