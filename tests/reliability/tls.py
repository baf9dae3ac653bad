"""TLS: handshakes that stall, requests for new keys without end, and clients that read no reply."""

import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.reliability.askers import CALM, Askers
from tests.reliability.crowd import crowd, listen_to, reset, send
from tests.reliability.serving import (
    KIB,
    back_to,
    descriptors,
    descriptors_allowed,
    metrics,
    reported,
    serving,
    share,
    tracebacks,
    until,
    up_to,
    working_directory,
)
from tests.reliability.values import TELLING, Figure, Say, at_least, at_most, exactly, scaled
from tests.support import live
from tests.support.key_update import KeyUpdates
from tests.support.live import Server

#: The regular clients.
CLIENTS = 20
STALLED = 2000
#: How much of its first message a client sends: nothing, a part, or all of it.
PARTS = (0.0, 0.5, 1.0)
#: Seconds that a client has for its handshake; what comes to an end later has not been stopped.
TIMEOUT = 10
TIMEOUT_AT_SMALL_SCALE = 3
ALL_ENDED = 25.0
#: The memory of a connection whose handshake stalls, in bytes: OpenSSL's state, and a reply that
#: the client has not read.
STALLED_BYTES = 96 * KIB
#: The clients that ask for new keys, how often, and how many such requests are sent at a time.
UPDATING = 10
UPDATES = 120_000
BATCH = 4000
#: The memory of one, in bytes: 64 KiB of replies, and those to one read, in pieces of 27 bytes that
#: take three times as much in Python.
UPDATING_BYTES = 1280 * KIB
NEVER = 200
REPLY_BYTES = 10_000
#: The bytes that each client tries to send: more than kernel and server together buffer.
TRIES = 512 * KIB
#: The memory of a client that does not read: as without TLS, and OpenSSL's buffers.
NEVER_BYTES = (64 * KIB + REPLY_BYTES + 64 * KIB + 64 * KIB) * 3 // 2 + 160 * KIB
#: Seconds to wait for that.
PATIENCE = 10.0
#: The percent of a processor that the server uses at most to serve only the regular clients.
STUCK = 60


def run(scale: float, say: Say) -> list[Figure]:
    """Let clients stall, ask for keys, or read nothing, while regular clients use TLS."""
    reply = b"x" * REPLY_BYTES + b"\r\n"
    timeout = TIMEOUT if scale >= TELLING else TIMEOUT_AT_SMALL_SCALE
    options = (
        *("--framing=line", "--metrics=0", f"--response={'x' * REPLY_BYTES}"),
        *("--tls-cert=it.pem", f"--handshake-timeout={timeout}"),
    )
    figures: list[Figure] = []
    left = errors = answered = wrong = 0
    with descriptors_allowed(STALLED + 1000), working_directory() as directory:
        directory.joinpath("it.pem").write_bytes(live.pem())
        for part in (_stalled, _updating, _never_reading):
            with (  # a server of its own: the memory that the others have used would be used again
                serving(*options, directory=directory, ports=2) as server,
                Askers(server.port, CLIENTS, pause=CALM, reply=reply, wrap=client_side) as askers,
            ):
                files = descriptors(server)
                figures += part(server, scale, say)
                left += back_to(server, files) - files
            errors += tracebacks(server)
            answered += askers.answered
            wrong += len(askers.wrong)
    return [
        *figures,
        exactly("leaked descriptors", left, 0),
        exactly("tracebacks in the logs", errors, 0),
        at_least("replies to regular clients", answered, 3 * CLIENTS),
        exactly("lost or wrong replies to regular clients", wrong, 0),
    ]


def client_side(sock: socket.socket) -> ssl.SSLSocket:
    """Return *sock* with TLS, after its handshake."""
    return _context().wrap_socket(sock)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _first_message() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = _context().wrap_bio(ssl.MemoryBIO(), outgoing)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot end without the server")


def _stalled(server: Server, scale: float, say: Say) -> list[Figure]:
    count = scaled(STALLED, scale, 100)
    hello = _first_message()
    before, files = server.memory(), descriptors(server)
    say(f"{count:,} connections whose handshake stalls")
    with crowd(server.port, count, narrow=True) as clients:
        for number, sock in enumerate(clients):
            send(sock, hello[: int(len(hello) * PARTS[number % len(PARTS)])])
        early = up_to(server, files + count, PATIENCE) - files
        until(lambda: share(server, 0.2) < STUCK, PATIENCE)
        each = max(0, server.memory() - before) / count
        say("waiting for the server's timeout")
        fates = listen_to(clients, None, ALL_ENDED)
    ends = sum(fate.ended == "ECONNRESET" for fate in fates)
    logged = reported(
        server, "TLS handshake not complete", count
    )  # the metrics may be a second old
    counted = metrics(server)['reqresp_malformed_total{kind="tls_handshake"}']
    return [
        at_most("memory of a stalled handshake", each / KIB, STALLED_BYTES / KIB, "KiB"),
        at_least("of these, open at first", early, count // 2),
        exactly("of these, reset after the timeout", ends, count),
        exactly("of these, counted in the metrics", round(counted), count),
        exactly("of these, logged or counted in the log", logged, count),
    ]


def _updating(server: Server, scale: float, say: Say) -> list[Figure]:
    count, updates = scaled(UPDATING, scale, 2), UPDATES
    before = server.memory()
    say(f"{count} clients ask for new keys, {updates:,} times each, and read nothing")
    with crowd(server.port, count, narrow=True) as clients:
        records = [_shake_hands(sock) for sock in clients]
        for sock, record in zip(clients, records, strict=True):
            _ask_for_keys(sock, record, updates)
        until(lambda: share(server, 0.2) < STUCK, PATIENCE)
        each = max(0, server.memory() - before) / count
        used = share(server, 1.0)
    return [
        at_most("memory of a client that asks for keys", each / KIB, UPDATING_BYTES / KIB, "KiB"),
        at_most("processor used while they are paused", used, STUCK, "%"),
    ]


def _shake_hands(sock: socket.socket) -> KeyUpdates:
    """Complete the handshake on *sock*; return what makes the records that follow it."""
    context = _context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.NamedTemporaryFile() as log:
        context.keylog_filename = log.name
        # On another descriptor: an object of the module ssl could not send what is made here.
        with context.wrap_socket(sock.dup()) as client:
            cipher = client.cipher()
            assert cipher is not None
        return KeyUpdates(Path(log.name), cipher[0])


def _ask_for_keys(sock: socket.socket, records: KeyUpdates, updates: int) -> None:
    """Ask so many times, or until the server has not read for a second."""
    sock.settimeout(1.0)
    with suppress(TimeoutError):
        for _ in range(updates // BATCH):
            sock.sendall(b"".join(records.record() for _ in range(BATCH)))


def _never_reading(server: Server, scale: float, say: Say) -> list[Figure]:
    count = scaled(NEVER, scale, 30)
    before = server.memory()
    say(f"{count} clients send requests of 2 bytes for replies of {REPLY_BYTES:,}")
    with tls_crowd(server.port, count) as clients:
        piece = b"r\n" * (32 * KIB)
        for _ in range(TRIES // len(piece)):
            standing = sum([send(sock, piece) for sock in clients])
            time.sleep(0.1)
        until(lambda: share(server, 0.2) < STUCK, PATIENCE)
        each = (server.memory() - before) / count
    return [
        exactly("open connections that do not read", standing, count),
        at_most("memory of a client that does not read", each / KIB, NEVER_BYTES / KIB, "KiB"),
    ]


@contextmanager
def tls_crowd(port: int, count: int) -> Iterator[list[ssl.SSLSocket]]:
    """Hold *count* connections whose handshake is complete, and reset them at the end."""
    clients: list[ssl.SSLSocket] = []
    with crowd(port, count, narrow=True) as sockets:
        try:
            clients.extend(client_side(sock) for sock in sockets)
            yield clients
        finally:
            for client in clients:
                reset(client)
