"""
Options: what ``twistd reqresp`` accepts on its command line.

Each option is one row of `GROUPS`, from which parsing, conversion, help and the command lines of
workers follow.  It must not know what a server does with the values; that is `build`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.python import usage

import twisted
from reqresp import __version__
from reqresp._defaults import (
    CONNECT_TIMEOUT,
    HANDSHAKE_TIMEOUT,
    LOG_FORMATS,
    MAX_ENTRY_BYTES,
    UNREACHABLE,
)
from reqresp._errors import FieldError
from reqresp._text import unescape
from reqresp.daemon._usage import did_you_mean, usage_text
from reqresp.daemon.endpoints import (
    BACKLOG,
    INTERFACE,
    PORT,
    client_endpoints,
    metrics_endpoints,
)
from reqresp.daemon.exits import wrong_use
from reqresp.daemon.option_types import (
    Option,
    host_names,
    one_of,
    path,
    port,
    seconds,
    service_address,
    whole_number,
    workers,
)
from reqresp.daemon.twisted_files import check_pid_and_log
from reqresp.framing import SPECIFICATIONS, Chunk, parse_framing
from reqresp.server.limits import MAX_REQUEST, MIN_TIMEOUT, RESERVED_DESCRIPTORS, Limits
from reqresp.server.responders import CLOSE_ON, RESPONSE
from reqresp.transport.access import Access, Networks, parse_networks

#: What answers without a script, as text; the defaults of the library.
DEFAULTS = {
    "response": RESPONSE.decode(),
    "close-on": CLOSE_ON.decode(),
    "framing": Chunk.name,
}
#: Load balancers that are trusted unless ``--trust`` names others.
LOOPBACK = parse_networks("127.0.0.0/8, ::1")

#: What has no meaning if another service answers.
_ANSWERING = ("script", "response", "close-on", "framing", "max-request", "request-timeout")

#: All options, by their purpose, in the order of the help.
GROUPS: Mapping[str, tuple[Option, ...]] = {
    "Answering": (
        Option(
            name="script",
            letter="s",
            value="FILE",
            help="TOML file that describes what to answer; see docs/script.rst",
            convert=path,
            excludes=("response", "close-on"),
        ),
        Option(
            name="response",
            letter="r",
            value="TEXT",
            help="reply to every request; not with --script",
            default=DEFAULTS["response"],
            convert=unescape,
        ),
        Option(
            name="close-on",
            letter="c",
            value="TEXT",
            help="close the connection after the reply to this request; empty: never; "
            "not with --script",
            default=DEFAULTS["close-on"],
            convert=unescape,
        ),
        Option(
            name="framing",
            letter="f",
            value="FRAMING",
            help="where a request ends",
            default=f"{DEFAULTS['framing']}; with --script: the script's, or line",
            convert=parse_framing,
        ),
    ),
    "Forwarding": (
        Option(
            name="forward",
            value="SERVICE",
            help="connect each client to this service, and pass all bytes; see docs/relay.rst",
            convert=service_address,
            excludes=_ANSWERING,
        ),
        Option(
            name="forward-timeout",
            value="SECONDS",
            help="maximum time to connect to the service",
            default=f"{CONNECT_TIMEOUT:g}",
            convert=seconds(MIN_TIMEOUT),
            requires="forward",
        ),
        Option(
            name="unreachable",
            value="ACTION",
            help="close or reset clients while the service cannot be reached",
            default=UNREACHABLE[0],
            convert=one_of(*UNREACHABLE),
            requires="forward",
        ),
        Option(
            name="send-proxy",
            value="VERSION",
            help="send a PROXY header with the client's address to the service: version 1 or 2",
            convert=one_of("1", "2"),
            requires="forward",
        ),
    ),
    "Listening": (
        Option(
            name="port",
            letter="p",
            value="PORT",
            help="port number, or an ENDPOINT",
            default=str(PORT),
            convert=port,
            is_for_workers=False,
        ),
        Option(
            name="interface",
            letter="i",
            value="ADDRESS",
            help="address to listen on; only with a port number",
            default=INTERFACE,
            is_for_workers=False,
        ),
        Option(
            name="backlog",
            letter="b",
            value="NUMBER",
            help="maximum number of clients that wait to be accepted; only with a port number",
            default=str(BACKLOG),
            convert=whole_number(0),
            is_for_workers=False,
        ),
        Option(
            name="listen",
            letter="l",
            value="ENDPOINT",
            help="endpoint to listen on, in addition to --port if that is given; repeatable",
            is_repeatable=True,
            is_for_workers=False,
        ),
        Option(
            name="allow",
            value="NETWORK",
            help="accept only clients from this network; repeatable",
            default="all",
            is_repeatable=True,
            convert=parse_networks,
        ),
        Option(
            name="deny",
            value="NETWORK",
            help="refuse clients from this network, even if allowed; repeatable",
            default="none",
            is_repeatable=True,
            convert=parse_networks,
        ),
    ),
    "Limits": (
        Option(
            name="max-request",
            value="BYTES",
            help="maximum size of a request; a larger one closes its connection",
            default=str(MAX_REQUEST),
            convert=whole_number(1),
        ),
        Option(
            name="max-connections",
            value="NUMBER",
            help="maximum number of open connections; more are reset",
            default=f"the soft limit on open files less {RESERVED_DESCRIPTORS}",
            convert=whole_number(1),
        ),
        Option(
            name="max-per-peer",
            value="NUMBER",
            help="maximum number of open connections from one client address; more are reset",
            default="no limit",
            convert=whole_number(1),
        ),
        Option(
            name="idle-timeout",
            value="SECONDS",
            help="close connections that are idle for this long",
            default="never",
            convert=seconds(MIN_TIMEOUT),
        ),
        Option(
            name="request-timeout",
            value="SECONDS",
            help="close connections whose request is not complete this long after it began",
            default="never",
            convert=seconds(MIN_TIMEOUT),
        ),
    ),
    "Stopping": (
        Option(
            name="lame-duck",
            value="SECONDS",
            help="seconds to keep serving on shutdown while /readyz reports not ready",
            default="0",
            initial="0",
            convert=seconds(0),
        ),
        Option(
            name="drain",
            letter="d",
            value="SECONDS",
            help="seconds to finish replies on shutdown, after --lame-duck; then connections "
            "are reset",
            default="5",
            initial="5",
            convert=seconds(0),
        ),
    ),
    "TLS": (
        Option(
            name="tls-cert",
            value="FILE",
            help="use TLS, with this certificate and its chain, in PEM format",
            convert=path,
            requires_plain=True,
        ),
        Option(
            name="tls-key",
            value="FILE",
            help="private key of the certificate, in PEM format",
            default="read from --tls-cert",
            convert=path,
            requires="tls-cert",
        ),
        Option(
            name="client-ca",
            value="FILE",
            help="require client certificates signed by these CAs, in PEM format",
            convert=path,
            requires="tls-cert",
        ),
        Option(
            name="handshake-timeout",
            value="SECONDS",
            help="reset connections whose TLS handshake takes longer",
            default=f"{HANDSHAKE_TIMEOUT:g}",
            convert=seconds(MIN_TIMEOUT),
            requires="tls-cert",
        ),
    ),
    "Load balancers": (
        Option(
            name="proxy-protocol",
            help="require a PROXY header, version 1 or 2, at the start of each connection",
            requires_plain=True,
        ),
        Option(
            name="trust",
            value="NETWORK",
            help="accept PROXY headers only from this network; repeatable",
            default="loopback",
            is_repeatable=True,
            convert=parse_networks,
            requires="proxy-protocol",
        ),
    ),
    "Workers": (
        Option(
            name="workers",
            letter="w",
            value="NUMBER",
            help="number of processes that accept from the same sockets; clients that connect "
            "before one is ready wait for it: see /readyz, or Listening on in the log; auto: one "
            "for each processor",
            default="serve in this process",
            convert=workers,
            requires_plain=True,
            is_for_workers=False,
        ),
    ),
    "Logging and metrics": (
        Option(
            name="quiet",
            letter="q",
            help="log only problems: no requests and no connections",
        ),
        Option(
            name="log-format",
            value="FORMAT",
            help="how requests and connections are logged: plain, or json, as in a journal",
            default=LOG_FORMATS[0],
            initial=LOG_FORMATS[0],
            convert=one_of(*LOG_FORMATS),
        ),
        Option(
            name="journal",
            letter="j",
            value="FILE",
            help="append what happens to this file, as JSON Lines; with --workers, to one file "
            "for each",
            convert=path,
        ),
        Option(
            name="journal-max-entry",
            value="BYTES",
            help="maximum bytes of request and reply that an entry of the journal holds; of "
            "more, it holds the beginning and the size",
            default=str(MAX_ENTRY_BYTES),
            convert=whole_number(0),
        ),
        Option(
            name="metrics",
            letter="m",
            value="PORT",
            help=f"port number on {INTERFACE}, or an ENDPOINT, for /metrics, /healthz and "
            "/readyz; workers use consecutive port numbers from this one",
            default="none",
            convert=port,
            is_for_workers=False,
        ),
        Option(
            name="metrics-host",
            value="NAME",
            help="answer requests to --metrics that have this name in Host, besides addresses, "
            "names without a dot and the name of this machine; repeatable",
            is_repeatable=True,
            convert=host_names,
        ),
    ),
    "Information": (
        Option(name="version", help="print the versions of reqresp and Twisted, and exit"),
        Option(name="help", help="print this help, and exit"),
    ),
}

_SUMMARY = (
    "Answer every request on a TCP port, with a fixed reply or as a script describes, or forward "
    "clients to a service. "
    "Command-line options override the script."
)
_NOTES = (
    f"FRAMING is one of {SPECIFICATIONS}.",
    r"TEXT can contain the escapes \r, \n, \t, \0, \\ and \xNN.",
    "ENDPOINT is a Twisted endpoint description, such as tcp:9999:interface=127.0.0.1, tcp6:9999, "
    "unix:/run/it.sock, ssl:9999:privateKey=key.pem:certKey=cert.pem, "
    "tls:/etc/certificates:port=9999, systemd:domain=INET:index=0 or haproxy:tcp:9999.",
    "SERVICE is HOST:PORT, such as db.example:5432 or [::1]:5432, or unix:PATH.",
    "NETWORK is an address or a network, such as 10.0.0.0/8, or several, separated by commas.",
    "On SIGHUP the server reads the script and the certificates again, for new connections, and "
    "reopens the journal.",
)

_OPTIONS = tuple(option for group in GROUPS.values() for option in group)
#: Those that every `usage.Options` has of its own, or as a method.
_COMMANDS = {"version", "help"}
_FLAGS = tuple(it for it in _OPTIONS if it.value is None and it.name not in _COMMANDS)
_REPEATABLE = tuple(it for it in _OPTIONS if it.is_repeatable)
_PARAMETERS = tuple(it for it in _OPTIONS if it.value is not None and not it.is_repeatable)
_LIMITS = tuple(it.name for it in GROUPS["Limits"])


def _repeatable(name: str) -> Callable[["Options", str], None]:
    """Return the method with which Twisted passes a value of the option *name*."""

    def add(self: "Options", text: str) -> None:
        self.repeated[name].append(text)

    return add


class Options(usage.Options):
    """
    The options of ``twistd reqresp``, converted.

    Besides the options themselves, parsing sets these keys: ``endpoints`` and
    ``metrics_endpoints`` (lists of `EndpointSpec`), ``limits`` (those given, by their names),
    ``access`` (None: every client may connect) and ``trusted`` (networks of load balancers).
    A key whose option was not given, and that has no default, is None.
    """

    synopsis = "[options]"
    optParameters = [[it.name, it.letter, it.initial, it.help] for it in _PARAMETERS]
    optFlags: list[list[Any]] = [[it.name, it.letter, it.help] for it in _FLAGS]

    def __init__(self) -> None:
        #: The texts of each repeatable option.
        self.repeated: dict[str, list[str]] = {option.name: [] for option in _REPEATABLE}
        #: The command line of a worker that answers as these options say.
        self.arguments: list[str] = []
        super().__init__()

    def opt_version(self) -> None:
        """Print the versions of reqresp and Twisted, and exit."""
        print(f"reqresp {__version__} (Twisted {twisted.__version__})")  # noqa: T201 (asked for)
        raise SystemExit(0)

    def getUsage(self, width: int | None = None) -> str:
        """Return the help, in lines of *width* columns; None: those of the terminal."""
        columns = int(os.environ.get("COLUMNS", "80")) if width is None else width
        return usage_text(_SUMMARY, GROUPS, _NOTES, columns)

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise usage.UsageError(f"unexpected argument {arguments[0]!r}")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse *options*.

        :raises WrongUseError: an option is wrong; one line has been printed.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            hint = did_you_mean(error.__context__, [option.name for option in _OPTIONS])
            raise wrong_use(f"{error}{hint} (see twistd reqresp --help)") from None

    def postOptions(self) -> None:
        """
        Convert what was parsed, and check that it fits together.

        :raises UsageError: an option is wrong; the message names it.
        :raises SystemExit: twistd could not use its pid file or its log; the message names it.
        """
        self._check_exclusions()
        if self._answers_itself:
            self._use_defaults(DEFAULTS)
        for option in _PARAMETERS:
            if self[option.name] is not None:
                self._convert(option)
        for option in _REPEATABLE:
            self._convert_repeated(option)
        self.arguments += [f"--{option.name}" for option in _FLAGS if self[option.name]]
        self["limits"] = {
            name.replace("-", "_"): self[name] for name in _LIMITS if self[name] is not None
        }
        self["access"] = None
        if self["allow"] or self["deny"]:
            self["access"] = Access(self["allow"], self["deny"] or Networks())
        self["trusted"] = self["trust"] or LOOPBACK
        self._find_endpoints()
        self._check_combinations()
        if self._answers_itself:
            self._check_response()
        check_pid_and_log(self)

    @property
    def _answers_itself(self) -> bool:
        """Whether neither a script nor another service answers."""
        return self["script"] is None and self["forward"] is None

    def _check_exclusions(self) -> None:
        for option in _PARAMETERS:
            for name in option.excludes if self[option.name] is not None else ():
                if self[name] is not None:
                    raise usage.UsageError(
                        f"--{name} cannot be combined with --{option.name}, which answers"
                    )

    def _use_defaults(self, defaults: Mapping[str, str]) -> None:
        for name, text in defaults.items():
            if self[name] is None:
                self[name] = text

    def _convert(self, option: Option) -> None:
        text = self[option.name]
        with _naming(option.name):
            value = self[option.name] = option.convert(text)
        if option.is_for_workers:
            # Absolute paths: a worker may run in another directory.
            text = value if isinstance(value, Path) else text
            self.arguments.append(f"--{option.name}={text}")

    def _convert_repeated(self, option: Option) -> None:
        texts = self.repeated[option.name]
        with _naming(option.name):
            self[option.name] = option.convert(texts) if texts else None
        if option.is_for_workers:
            self.arguments += [f"--{option.name}={text}" for text in texts]

    def _find_endpoints(self) -> None:
        try:
            self["endpoints"] = client_endpoints(
                self["port"], self["interface"], self["backlog"], self["listen"] or ()
            )
        except FieldError as error:
            raise usage.UsageError(f"--{error.field} {error.problem}") from None
        except ValueError as error:  # it shows the endpoint
            raise usage.UsageError(str(error)) from None
        self["metrics_endpoints"] = []
        if self["metrics"] is not None:
            with _naming("metrics"):
                self["metrics_endpoints"] = metrics_endpoints(self["metrics"], self["workers"])

    def _check_combinations(self) -> None:
        for option in _OPTIONS:
            if option.name in _COMMANDS or not self[option.name]:
                continue
            if option.requires is not None and not self[option.requires]:
                raise usage.UsageError(f"--{option.name} requires --{option.requires}")
            for spec in self["endpoints"] if option.requires_plain else ():
                if not spec.is_plain:
                    raise usage.UsageError(
                        f"--{option.name} cannot be combined with the endpoint {spec.name!r};"
                        " use --tls-cert for TLS and --proxy-protocol for load balancers"
                    )

    def _check_response(self) -> None:
        with _naming("framing"):
            self["framing"].decoder(Limits(**self["limits"]).max_request)
        with _naming("response"):
            self["framing"].encode(self["response"])


for _option in _REPEATABLE:
    # As Twisted wants it: a method for the name, and one for the letter.
    for _name in filter(None, (_option.name, _option.letter)):
        setattr(Options, f"opt_{_name.replace('-', '_')}", _repeatable(_option.name))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Raise a UsageError that names the option instead of a ValueError."""
    try:
        yield
    except ValueError as error:
        raise usage.UsageError(f"--{name}: {error}") from None
