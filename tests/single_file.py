"""
Single file: ``reqresp.pyz`` answers, also with workers, and shows metrics, with nothing but Python.

``python -I tests/single_file.py reqresp.pyz``, in an environment without any package: this imports
the standard library only.
"""

import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Timer
from urllib.request import urlopen

#: After so many seconds the server is killed.
MAX_SECONDS = 60
#: The end of a line that says where clients are accepted, or metrics shown.
LISTENS = re.compile(r"Listening on 127\.0\.0\.1:(\d+)( for metrics)?\s*$")


def main(path: str) -> None:
    """
    Try the file at *path*.

    :raises RuntimeError: it does not do what is expected; the message says what it does.
    """
    with serving(path) as ports:
        check(ask(ports[False]), b"response\r\n")
        with urlopen(f"http://127.0.0.1:{ports[True]}/metrics", timeout=MAX_SECONDS) as response:
            check(b"reqresp_requests_total 1.0\n" in response.read(), True)
    with serving(path, "--workers=2") as ports:
        check(ask(ports[False]), b"response\r\n")


@contextmanager
def serving(path: str, *options: str) -> Iterator[dict[bool, int]]:
    """Serve on a free port with *options*; return the ports, by whether they show metrics."""
    command = [sys.executable, "-I", path, "serve", "--port=0", "--metrics=0", "--framing=line"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        timer = Timer(MAX_SECONDS, server.kill)
        timer.start()
        try:
            assert server.stdout is not None
            yield find_ports(server.stdout)
            server.terminate()
            server.communicate()
        finally:
            timer.cancel()
            server.kill()


def find_ports(lines: Iterable[str]) -> dict[bool, int]:
    """Return the ports that the log names, by whether they show metrics."""
    seen: list[str] = []
    found: dict[bool, int] = {}
    for line in lines:
        seen.append(line)
        if match := LISTENS.search(line):
            found[match[2] is not None] = int(match[1])
        if len(found) == 2:
            return found
    raise RuntimeError(f"expected two ports in the log:\n{''.join(seen)}")


def ask(port: int) -> bytes:
    """Return the reply to a request."""
    with socket.create_connection(("127.0.0.1", port), MAX_SECONDS) as client:
        client.sendall(b"hello\n")
        return client.makefile("rb").readline()


def check(found: object, expected: object) -> None:
    """:raises RuntimeError: something else than what is *expected* was *found*."""
    if found != expected:
        raise RuntimeError(f"expected {expected!r}, found {found!r}")


if __name__ == "__main__":
    main(sys.argv[1])
