"""Floods: twenty clients that send empty requests for ever, to templates and to constants."""

import selectors
import socket
import time
from pathlib import Path

from attrs import frozen

from tests.reliability.askers import Askers
from tests.reliability.crowd import crowd
from tests.reliability.serving import serving, tracebacks, working_directory
from tests.reliability.values import Figure, Say, at_least, exactly
from tests.reliability.waits import PAUSE, longest_waits

FLOODS = 20
#: What each client sends, again and again: requests as short as they can be.
FLOOD = memoryview(b"\n" * 64_000)
SCRIPT = """rule = [{ reply = { template = "re: {0}" } }]\n"""
#: What the other client sends.
REQUEST = b"request\n"
#: Passes on only those lines of a server's log that are looked for.
FILTER = ("bash", "-c", """exec "$0" "$@" > >(exec grep -E --line-buffered 'starting|Traceback')""")


@frozen
class Answers:
    """
    A kind of answers.

    :param name: in figures.
    :param options: of ``twistd reqresp``.
    :param reply: to `REQUEST`.
    """

    name: str
    options: tuple[str, ...]
    reply: bytes


ANSWERS = (
    Answers("templates", ("--script=it.toml",), b"re: request\r\n"),
    Answers("constants", ("--response=reply", "--framing=line"), b"reply\r\n"),
)


def run(scale: float, say: Say) -> list[Figure]:
    """Time the replies to another client beside the floods, without and with a log of requests."""
    with working_directory() as directory:
        directory.joinpath("it.toml").write_text(SCRIPT)
        return [
            figure
            for answers in ANSWERS
            for is_quiet in (True, False)
            for figure in _beside_floods(directory, answers, scale, say, is_quiet=is_quiet)
        ]


def _beside_floods(
    directory: Path, answers: Answers, scale: float, say: Say, *, is_quiet: bool
) -> list[Figure]:
    log = "without a log" if is_quiet else "with a log of all requests"
    received: list[int] = []

    def beside(seconds: float) -> None:
        with crowd(server.port, FLOODS) as hostile:
            received.append(flood(hostile, seconds))

    with (
        serving(*answers.options, directory=directory, is_quiet=is_quiet, wrap=FILTER) as server,
        Askers(server.port, 1, pause=PAUSE, request=REQUEST, reply=answers.reply) as asker,
    ):
        waits = longest_waits(asker, scale, say, f"with {answers.name}, {log}", beside)
    return [
        *waits,
        at_least("replies to the floods", sum(received) // len(answers.reply), FLOODS),
        exactly("tracebacks in the log", tracebacks(server), 0),
        *asker.figures(),
    ]


def flood(sockets: list[socket.socket], seconds: float) -> int:
    """Send `FLOOD` on *sockets* again and again; return how many bytes they have received."""
    sent = dict.fromkeys(sockets, 0)
    received = 0
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, sock)
        while (left := deadline - time.monotonic()) > 0:
            for key, events in selector.select(left):
                sock = key.data
                if events & selectors.EVENT_READ:
                    received += len(sock.recv(256 * 1024))
                if events & selectors.EVENT_WRITE:
                    sent[sock] += sock.send(FLOOD[sent[sock] % len(FLOOD) :])
    return received
