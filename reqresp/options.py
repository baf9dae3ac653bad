"""
Options: what ``twistd reqresp`` takes on its command line.

Checks and converts; what becomes of it is for `tap`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import quoteStringArgument
from twisted.python import usage

import twisted
from reqresp import __version__
from reqresp.escapes import unescape
from reqresp.framing import SPECIFICATIONS, parse_framing
from reqresp.limits import RESERVED_DESCRIPTORS, Limits

PORT = 9999
INTERFACE = "127.0.0.1"
BACKLOG = 1024
RESPONSE = "response"
CLOSE_ON = "close"

_LIMITS = ("max-request", "max-connections", "max-per-peer", "idle-timeout")


def _is_number(text: str) -> bool:
    return re.fullmatch("[0-9]+", text) is not None


def _whole(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not _is_number(text) or int(text) < least:
            raise ValueError(f"expected a whole number, {least} or more, not {text!r}")
        return int(text)

    return convert


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < inf:
        raise ValueError(f"expected seconds, 0 or more, not {text!r}")
    return seconds


def _some_seconds(text: str) -> float:
    if _seconds(text) < 0.001:
        raise ValueError(f"expected 0.001 seconds or more, not {text!r}")
    return float(text)


def _port(text: str) -> str:
    if ":" in text or (_is_number(text) and int(text) < 2**16):
        return text
    raise ValueError(f"expected a number up to 65535 or an endpoint description, not {text!r}")


class Options(usage.Options):
    """The options of ``twistd reqresp``; what is wrong with them ends twistd with one line."""

    synopsis = "[options]"
    longdesc = (
        "Answers every request on a TCP port: with a fixed response, closing after a request that "
        "says so, or as a script says. SIGHUP reads the script again, for new connections, and "
        "opens the journal anew. What is given here wins over a script. TEXT takes the escapes "
        "\\r, \\n, \\t, \\0, \\\\ and \\xNN. "
        "ENDPOINT is a Twisted endpoint description, such as tcp:9999:interface=127.0.0.1, "
        "tcp6:9999, unix:/run/it.sock, ssl:9999:privateKey=key.pem:certKey=cert.pem, tls:..., "
        "systemd:..., haproxy:tcp:9999."
    )
    optParameters = [
        ["port", "p", None, f"Port number to listen on, or an ENDPOINT [default: {PORT}]"],
        [
            "interface",
            "i",
            None,
            f"Address to listen on, with a port number [default: {INTERFACE}]",
        ],
        [
            "backlog",
            "b",
            None,
            f"Clients that may wait to be accepted, likewise [default: {BACKLOG}]",
        ],
        ["script", "s", None, "FILE, in TOML, that says what answers; see docs/script.rst"],
        ["response", "r", None, f"TEXT that answers each request [default: {RESPONSE}]"],
        [
            "close-on",
            "c",
            None,
            f"TEXT of the request after which to close; empty: none does [default: {CLOSE_ON}]",
        ],
        [
            "framing",
            "f",
            None,
            f"Where a request ends: {SPECIFICATIONS} [default: chunk, and line in a script]",
        ],
        ["max-request", None, None, "Bytes of a request, no more are taken [default: 65536]"],
        [
            "max-connections",
            None,
            None,
            "Connections open at once; more are reset "
            f"[default: the soft limit on open files less {RESERVED_DESCRIPTORS}]",
        ],
        ["max-per-peer", None, None, "The same for each client address [default: no limit]"],
        [
            "idle-timeout",
            None,
            None,
            "Seconds without a request until a client is closed [default: never]",
        ],
        ["drain", "d", "5", "Seconds to finish replies in, when stopped"],
        ["journal", "j", None, "FILE to append what happens to, as lines of JSON"],
    ]
    optFlags = [["quiet", "q", "Log no requests and no connections, only problems"]]

    _convert: dict[str, Callable[[str], Any]] = {
        # Where it is now: a daemon may go elsewhere.
        "script": lambda name: Path(name).absolute(),
        "journal": lambda name: Path(name).absolute(),
        "port": _port,
        "backlog": _whole(0),
        "response": unescape,
        "close-on": unescape,
        "framing": parse_framing,
        "max-request": _whole(1),
        "max-connections": _whole(1),
        "max-per-peer": _whole(1),
        "idle-timeout": _some_seconds,
        "drain": _seconds,
    }

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, description: str) -> None:
        """ENDPOINT to listen on, besides a port if one is given; may be given more than once"""
        self["listen"].append(description)

    opt_l = opt_listen

    def opt_version(self) -> None:
        """Show the versions of reqresp and Twisted, and exit"""
        print(f"reqresp {__version__} (Twisted {twisted.__version__})")  # noqa: T201 (asked for)
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise usage.UsageError(f"unexpected argument {arguments[0]!r}")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse *options*.

        :raises SystemExit: something is wrong with them; its one line says what.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(f"reqresp: {error} (see twistd reqresp --help)") from None

    def postOptions(self) -> None:
        if self["script"] is None:
            self._set_defaults(response=RESPONSE, close_on=CLOSE_ON, framing="chunk")
        for name, convert in self._convert.items():
            if self[name] is not None:
                with _blaming(name):
                    self[name] = convert(self[name])
        self["limits"] = {
            name.replace("-", "_"): self[name] for name in _LIMITS if self[name] is not None
        }
        self["endpoints"] = self._endpoints()
        if self["script"] is None:
            self._check_response()
        elif self["response"] is not None or self["close-on"] is not None:
            raise usage.UsageError("--response and --close-on go without --script, which answers")

    def _set_defaults(self, **defaults: str) -> None:
        for name, text in defaults.items():
            if self[name.replace("_", "-")] is None:
                self[name.replace("_", "-")] = text

    def _check_response(self) -> None:
        with _blaming("framing"):
            self["framing"].decoder(Limits(**self["limits"]).max_request)
        with _blaming("response"):
            self["framing"].encode(self["response"])

    def _endpoints(self) -> list[tuple[str, str]]:
        """What to listen on: its name in messages, and its description."""
        endpoints = [(description, description) for description in self["listen"]]
        port = self["port"]
        if port is None and not endpoints:
            port = str(PORT)
        if port is not None and _is_number(port):
            interface = INTERFACE if self["interface"] is None else self["interface"]
            backlog = BACKLOG if self["backlog"] is None else self["backlog"]
            quoted = quoteStringArgument(interface)
            description = f"eager:{port}:interface={quoted}:backlog={backlog}"
            shown = f"[{interface}]" if ":" in interface else interface
            return [(f"{shown}:{port}", description), *endpoints]
        for name in ("interface", "backlog"):
            if self[name] is not None:
                raise usage.UsageError(f"--{name} goes with a port's number, not with an endpoint")
        return [(port, port), *endpoints] if port is not None else endpoints


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise usage.UsageError(f"--{name}: {error}") from None
