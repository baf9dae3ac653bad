"""
Options: what ``twistd reqresp`` takes on its command line.

Checks and converts; what becomes of it is for `assembly`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.python import usage

import twisted
from reqresp import __version__
from reqresp._text import unescape
from reqresp.daemon.conversions import path, port, seconds, some_seconds, whole, workers
from reqresp.daemon.endpoints import BACKLOG, INTERFACE, PORT, listening, measured
from reqresp.framing import SPECIFICATIONS, parse_framing
from reqresp.server.limits import RESERVED_DESCRIPTORS, Limits
from reqresp.transport.access import Access, Networks, parse_networks

RESPONSE = "response"
CLOSE_ON = "close"
#: Balancers that are believed, where nobody says otherwise.
LOOPBACK = parse_networks("127.0.0.0/8, ::1")

_LIMITS = ("max-request", "max-connections", "max-per-peer", "idle-timeout")
#: What a worker is not told: its parent has done it.
_PARENTS = ("port", "interface", "backlog", "workers", "metrics")
#: Options that take sockets as they are, without a layer that an endpoint puts on them.
_NEED_PLAIN = ("workers", "tls-cert", "proxy-protocol")
#: Options that mean something beside another one alone.
_NEEDED = {"tls-key": "tls-cert", "client-ca": "tls-cert", "trust": "proxy-protocol"}


class Options(usage.Options):
    """The options of ``twistd reqresp``; what is wrong with them ends twistd with one line."""

    synopsis = "[options]"
    longdesc = (
        "Answers every request on a TCP port: with a fixed response, closing after a request that "
        "says so, or as a script says. SIGHUP reads the script and the certificates again, for new "
        "connections, and opens the journal anew. What is given here wins over a script. TEXT "
        "takes the escapes \\r, \\n, \\t, \\0, \\\\ and \\xNN. "
        "ENDPOINT is a Twisted endpoint description, such as tcp:9999:interface=127.0.0.1, "
        "tcp6:9999, unix:/run/it.sock, ssl:9999:privateKey=key.pem:certKey=cert.pem, tls:..., "
        "systemd:..., haproxy:tcp:9999. NETWORK is an address or, such as 10.0.0.0/8, a network; "
        "several are parted by commas."
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
            f"Clients that may wait to be accepted, with a port number [default: {BACKLOG}]",
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
        [
            "lame-duck",
            None,
            "0",
            "Seconds to go on in, when stopped, before that: /readyz says no, clients are served",
        ],
        ["journal", "j", None, "FILE to append what happens to, as lines of JSON"],
        [
            "workers",
            "w",
            None,
            "Processes that accept from the same sockets; auto: one for each processor "
            "[default: none, but this one]",
        ],
        [
            "metrics",
            "m",
            None,
            f"Port number, on {INTERFACE}, or an ENDPOINT for /metrics, /healthz and /readyz; "
            "workers have the numbers that follow [default: none]",
        ],
        ["tls-cert", None, None, "FILE, in PEM: speak TLS, with this certificate and its chain"],
        ["tls-key", None, None, "FILE, in PEM, with the key [default: that of --tls-cert]"],
        ["client-ca", None, None, "FILE, in PEM: take certificates of these authorities alone"],
    ]
    optFlags: list[list[Any]] = [
        ["proxy-protocol", None, "Expect a PROXY header, version 1 or 2, on each connection"],
        ["quiet", "q", "Log no requests and no connections, only problems"],
    ]

    _convert: dict[str, Callable[[str], Any]] = {
        "script": path,
        "journal": path,
        "tls-cert": path,
        "tls-key": path,
        "client-ca": path,
        "workers": workers,
        "metrics": port,
        "port": port,
        "backlog": whole(0),
        "response": unescape,
        "close-on": unescape,
        "framing": parse_framing,
        "max-request": whole(1),
        "max-connections": whole(1),
        "max-per-peer": whole(1),
        "idle-timeout": some_seconds,
        "drain": seconds,
        "lame-duck": seconds,
    }

    def __init__(self) -> None:
        super().__init__()
        #: What a worker is to be told, so that it does the same.
        self.arguments: list[str] = []
        self["listen"] = []
        self["allow"] = []
        self["deny"] = []
        self["trust"] = []

    def opt_listen(self, description: str) -> None:
        """ENDPOINT to listen on, besides a port if one is given; may be given more than once"""
        self["listen"].append(description)

    opt_l = opt_listen

    def opt_allow(self, networks: str) -> None:
        """NETWORK whose clients are taken, and no others; may be given more than once"""
        self["allow"].append(networks)

    def opt_deny(self, networks: str) -> None:
        """NETWORK whose clients are not taken, allowed or not; may be given more than once"""
        self["deny"].append(networks)

    def opt_trust(self, networks: str) -> None:
        """NETWORK of balancers who are believed, others are refused [default: loopback]"""
        self["trust"].append(networks)

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
                self._convert_one(name, convert)
        self.arguments += [f"--{name}" for name, *_ in self.optFlags if self[name]]
        self._convert_networks()
        self["limits"] = {
            name.replace("-", "_"): self[name] for name in _LIMITS if self[name] is not None
        }
        self._place()
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

    def _convert_one(self, name: str, convert: Callable[[str], Any]) -> None:
        text = self[name]
        with _blaming(name):
            self[name] = convert(text)
        if name not in _PARENTS:
            # Paths as they are: a worker may be somewhere else.
            text = self[name] if isinstance(self[name], Path) else text
            self.arguments.append(f"--{name}={text}")

    def _place(self) -> None:
        """Find out where to listen, and whether that can be had."""
        try:
            self["places"] = listening(
                self["port"], self["interface"], self["backlog"], self["listen"]
            )
        except ValueError as error:
            raise usage.UsageError(str(error)) from None
        with _blaming("metrics"):
            self["measured"] = (
                [] if self["metrics"] is None else measured(self["metrics"], self["workers"])
            )
        for option in _NEED_PLAIN:
            for place in self["places"]:
                if self[option] and not place.is_plain:
                    raise usage.UsageError(
                        f"--{option} goes with plain sockets, not with {place.name!r}"
                        " (TLS: --tls-cert; a balancer: --proxy-protocol)"
                    )
        for option, needed in _NEEDED.items():
            if self[option] and not self[needed]:
                raise usage.UsageError(f"--{option} goes with --{needed}")

    def _convert_networks(self) -> None:
        given: dict[str, Networks] = {}
        for name in ("allow", "deny", "trust"):
            with _blaming(name):
                given[name] = parse_networks(self[name])
            self.arguments += [f"--{name}={networks}" for networks in self[name]]
        self["access"] = None
        if self["allow"] or self["deny"]:
            self["access"] = Access(given["allow"] if self["allow"] else None, given["deny"])
        self["trusted"] = given["trust"] if self["trust"] else LOOPBACK


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise usage.UsageError(f"--{name}: {error}") from None
