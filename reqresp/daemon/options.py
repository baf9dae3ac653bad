"""
Options: what ``twistd reqresp`` accepts on its command line.

Parses and converts the options of `GROUPS`, and checks that they fit together.  It must not know
what a server does with the values; that is `build`.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.python import usage

import twisted
from reqresp import __version__
from reqresp._defaults import SERVE
from reqresp._errors import FieldError
from reqresp.daemon._usage import did_you_mean, usage_text
from reqresp.daemon.exits import wrong_use
from reqresp.daemon.option_table import DEFAULTS, GROUPS
from reqresp.daemon.option_types import Option
from reqresp.daemon.twisted_files import check_pid_and_log
from reqresp.framing import SPECIFICATIONS
from reqresp.server.limits import Limits
from reqresp.services.endpoints import EndpointSpec, client_endpoints, metrics_endpoints
from reqresp.transport.access import Access, Networks, parse_networks

#: Load balancers that are trusted unless ``--trust`` names others.
LOOPBACK = parse_networks("127.0.0.0/8, ::1")

_SUMMARY = (
    "Answer every request on a TCP port, with a fixed reply, as a script describes or as was "
    "recorded, or forward clients to a service. Command-line options override the script."
)
NOTES = (
    f"FRAMING is one of {SPECIFICATIONS}.",
    r"TEXT can contain the escapes \r, \n, \t, \0, \\ and \xNN.",
    "ENDPOINT is a Twisted endpoint description, such as tcp:9999:interface=127.0.0.1, tcp6:9999, "
    "unix:/run/it.sock, ssl:9999:privateKey=key.pem:certKey=cert.pem, "
    "tls:/etc/certificates:port=9999, systemd:domain=INET:index=0 or haproxy:tcp:9999.",
    "SERVICE is HOST:PORT, such as db.example:5432 or [::1]:5432, or unix:PATH.",
    "NETWORK is an address or a network, such as 10.0.0.0/8, or several, separated by commas.",
    "On SIGHUP the server reads the services file, the script or the recording, and the "
    "certificates, again, for new connections, and reopens the journal and the file of --record.",
)

_OPTIONS = tuple(option for group in GROUPS.values() for option in group)
#: Those that every `usage.Options` has of its own, or as a method.
_COMMANDS = {"version", "help"}
_FLAGS = tuple(it for it in _OPTIONS if it.value is None and it.name not in _COMMANDS)
_REPEATABLE = tuple(it for it in _OPTIONS if it.is_repeatable)
_PARAMETERS = tuple(it for it in _OPTIONS if it.value is not None and not it.is_repeatable)
_LIMITS = tuple(it.name for it in GROUPS["Limits"])


def _program() -> str:
    """Return the command that reads these options."""
    return SERVE if sys.argv[0] == SERVE else "twistd reqresp"


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
        return usage_text(_SUMMARY, GROUPS, NOTES, columns)

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
            raise wrong_use(f"{error}{hint} (see {_program()} --help)") from None

    def postOptions(self) -> None:
        """
        Convert what was parsed, and check that it fits together.

        :raises usage.UsageError: an option is wrong; the message names it.
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
        """Whether neither a file nor another service says what to answer."""
        return all(self[name] is None for name in ("services", "script", "replay", "forward"))

    def _check_exclusions(self) -> None:
        for option in _PARAMETERS:
            if option.excludes_without is not None and self[option.excludes_without] is not None:
                continue
            for name in option.excludes if self[option.name] is not None else ():
                if self._is_given(name):
                    raise usage.UsageError(f"--{name} cannot be combined with --{option.name}")

    def _is_given(self, name: str) -> bool:
        """Whether the option *name* is given; it is not converted yet."""
        if name in self.repeated:
            return bool(self.repeated[name])
        return self[name] not in (None, 0)

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
        if self["services"] is not None:
            self["endpoints"] = []  # those of the services
        self["control_endpoints"] = []
        if self["control"] is not None:
            with _naming("control"):
                self["control_endpoints"] = metrics_endpoints(self["control"], None)
                self._check_control(*self["control_endpoints"])
        self["metrics_endpoints"] = []
        if self["metrics"] is not None:
            with _naming("metrics"):
                self["metrics_endpoints"] = metrics_endpoints(self["metrics"], self["workers"])

    def _check_control(self, spec: EndpointSpec) -> None:
        if not spec.is_local and self["control-token-file"] is None:
            raise usage.UsageError(
                f"--control: {spec.name} is neither on loopback nor a UNIX socket, which requires"
                " --control-token-file"
            )

    def _check_combinations(self) -> None:
        for option in _OPTIONS:
            if option.name in _COMMANDS or not self[option.name]:
                continue
            if option.requires and not any(self[name] for name in option.requires):
                needed = " or ".join(f"--{name}" for name in option.requires)
                raise usage.UsageError(f"--{option.name} requires {needed}")
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
