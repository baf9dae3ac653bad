"""
Endpoints: where to listen, from port numbers and Twisted endpoint descriptions.

Parses descriptions with Twisted's own parser, once.  That is imported when a description is parsed:
it loads TLS, which help does not need.  This module must not know what is served at an endpoint,
and binds nothing.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from reqresp._errors import FieldError
from reqresp._text import format_host_port

if TYPE_CHECKING:  # a services file is checked without Twisted
    from twisted.internet.interfaces import IStreamServerEndpoint

PORT = 9999
INTERFACE = "127.0.0.1"
BACKLOG = 1024
MAX_PORT = 2**16 - 1

#: Kinds of endpoints that are bare sockets: several processes can accept from them, and they add no
#: layer of their own to connections.
_PLAIN_KINDS = {"eager", "tcp", "tcp6", "unix", "systemd"}
#: A kind that adds PROXY headers to the kind that follows it.
_PROXY_KIND = "haproxy"
_TLS_KINDS = {"ssl", "tls"}
_NUMBERED_KINDS = {"tcp", "tcp6"}
#: A host before a port; a word without a dot may be a kind of endpoint.
_HOST = re.compile(r"localhost|[\w-]+(?:\.[\w-]+)+|\[[0-9A-Fa-f:.%\w]+\]")
_LOOPBACK = re.compile(r"127(?:\.[0-9]{1,3}){3}|localhost")
_NOT_A_NUMBER = "invalid literal for int() with base 10: "


@frozen
class _Parts:
    """An endpoint description, parsed."""

    #: Such as ``haproxy``, ``tcp``: the outermost layer first.
    kinds: tuple[str, ...]
    #: Values without a name.
    arguments: tuple[str, ...]
    #: Values with a name.
    parameters: dict[str, str]


def _parse(description: str) -> _Parts:
    from twisted.internet import endpoints

    try:
        # Twisted exports no parser for descriptions.  Its own is used: another could disagree.
        words, parameters = endpoints._parse(description)
    except RuntimeError:  # a StopIteration inside its generator
        raise ValueError(
            f"invalid endpoint {description!r}: expected a character after the last backslash"
        ) from None
    if not words:
        raise ValueError(f"invalid endpoint {description!r}: expected a kind first, such as tcp:")
    count = 2 if words[0].lower() == _PROXY_KIND else 1
    # Twisted looks plugins up without regard to case.
    kinds = tuple(word.lower() for word in words[:count])
    return _Parts(kinds, tuple(words[count:]), parameters)


@frozen
class EndpointSpec:
    """
    An endpoint *description*, and the *name* of the endpoint in messages.

    :raises ValueError: the description has no kind, or ends within an escape.
    """

    name: str
    description: str
    #: The description, parsed; by default it is parsed now.
    _parts: _Parts = field(eq=False, repr=False)

    @_parts.default
    def _parse_description(self) -> _Parts:
        return _parse(self.description)

    @classmethod
    def described(cls, description: str) -> "EndpointSpec":
        """Return the endpoint of *description*, which is its name, too."""
        return cls(description, description)

    @property
    def is_plain(self) -> bool:
        """Whether the endpoint is a bare socket, without a layer such as TLS."""
        return self._parts.kinds[0] in _PLAIN_KINDS

    @property
    def is_encrypted(self) -> bool:
        """Whether the endpoint speaks TLS by itself."""
        return self._parts.kinds[-1] in _TLS_KINDS

    @property
    def is_shared(self) -> bool:
        """Whether the socket stays open in another process when this one has closed it."""
        return self._parts.kinds[0] == "systemd"

    @property
    def certificate_directory(self) -> Path | None:
        """The directory that a ``tls:`` endpoint reads certificates from; None: it has none."""
        if self._parts.kinds[-1] != "tls":
            return None
        named = self._parts.parameters.get("path")
        path = self._parts.arguments[0] if named is None and self._parts.arguments else named
        return None if path is None else Path(path)

    @property
    def socket_path(self) -> Path | None:
        """The path of a ``unix:`` endpoint; None: it has none."""
        if self._parts.kinds[-1] != "unix":
            return None
        named = self._parts.parameters.get("address")
        path = self._parts.arguments[0] if named is None and self._parts.arguments else named
        return None if path is None else Path(path)

    @property
    def has_socket_lock(self) -> bool:
        """Whether a ``unix:`` endpoint has a lock beside its socket."""
        arguments = dict(enumerate(self._parts.arguments))
        # As Twisted has it: the address, the mode, the backlog, the lock.
        text = self._parts.parameters.get("lockfile", arguments.get(3, "1"))
        return self.socket_path is not None and text.strip("0") != ""

    @property
    def port_number(self) -> int | None:
        """The port number of a ``tcp:`` or ``tcp6:`` endpoint; None: it has none."""
        number = self._parts.arguments[0] if self._parts.arguments else ""
        if self._parts.kinds[0] not in _NUMBERED_KINDS or not is_number(number):
            return None
        return int(number)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect: on loopback, or a UNIX socket."""
        if self.socket_path is not None:
            return True
        interface = self._parts.parameters.get("interface", "")
        return interface == "::1" or _LOOPBACK.fullmatch(interface) is not None

    @property
    def is_any_port(self) -> bool:
        """Whether the system chooses the port: each time another one."""
        first = self._parts.arguments[0] if self._parts.arguments else ""
        return self._parts.kinds[0] in ("eager", *_NUMBERED_KINDS) and first == "0"

    def with_port_number(self, number: int) -> "EndpointSpec":
        """Return the same endpoint on another port; its name is its description."""
        words = [*self._parts.kinds, str(number), *self._parts.arguments[1:]]
        quoted = [_quote(word) for word in words]
        quoted += [f"{name}={_quote(value)}" for name, value in self._parts.parameters.items()]
        return EndpointSpec.described(":".join(quoted))


def _quote(text: str) -> str:
    """Return *text* so that it is one argument of an endpoint description, as Twisted does it."""
    return text.replace("\\", r"\\").replace(":", r"\:")


def is_number(text: str) -> bool:
    """Return whether *text* is a whole number >= 0, in ASCII digits."""
    return text.isascii() and text.isdigit()


def port_endpoint(
    port: int, interface: str | None = None, backlog: int | None = None
) -> EndpointSpec:
    """Return the endpoint for clients on this *port* number."""
    interface = INTERFACE if interface is None else interface
    backlog = BACKLOG if backlog is None else backlog
    return EndpointSpec(
        format_host_port(interface, port),
        f"eager:{port}:interface={_quote(interface)}:backlog={backlog}",
        # Workers do not listen here: they need no parser.
        _Parts(("eager",), (str(port),), {"interface": interface, "backlog": str(backlog)}),
    )


def parse_listen(text: str) -> EndpointSpec:
    """
    Return the endpoint for clients that *text* describes.

    :param text: a port number on the loopback interface, an address and a port such as
        ``192.0.2.1:9999`` or ``[::1]:9999``, or an endpoint description.
    :raises ValueError: it is none of them; the message says what is expected.
    """
    host, _, number = text.rpartition(":")
    is_host = _HOST.fullmatch(host) is not None
    if is_number(number) and (is_host or not host):
        if int(number) <= MAX_PORT:
            return port_endpoint(int(number), host.strip("[]") or None)
    elif ":" in text:
        return EndpointSpec.described(text)
    raise ValueError(
        f"expected a port number up to {MAX_PORT}, an address and a port such as 192.0.2.1:9999, or"
        f" an endpoint such as unix:/run/it.sock, found {text!r}"
    )


def client_endpoints(
    port: str | None, interface: str | None, backlog: int | None, descriptions: Iterable[str]
) -> list[EndpointSpec]:
    """
    Return the endpoints for clients: that of *port*, a number or a description, then the others.

    The default port is used only if nothing else is given.

    :raises FieldError: *interface* or *backlog* is given without a port number.
    :raises ValueError: a description cannot be parsed.
    """
    specs = [EndpointSpec.described(description) for description in descriptions]
    if port is None and not specs:
        port = str(PORT)
    if port is not None and is_number(port):
        return [port_endpoint(int(port), interface, backlog), *specs]
    for name, given in (("interface", interface), ("backlog", backlog)):
        if given is not None:
            raise FieldError(
                name, f"requires a port number; in an endpoint, write it as :{name}={given}"
            )
    return specs if port is None else [EndpointSpec.described(port), *specs]


def metrics_endpoints(port: str, workers: int | None) -> list[EndpointSpec]:
    """
    Return the endpoints for metrics: one for each of *workers*, or one without workers (None).

    The port numbers of workers are consecutive; 0 stays 0, which is any free port.

    :param port: a port number on the loopback interface, or an endpoint description.
    :raises ValueError: workers cannot share the endpoint, or there are too few port numbers.
    """
    if workers is None and not is_number(port):
        return [EndpointSpec.described(port)]
    # Not eager: metrics need no short latency.
    on_loopback = f"tcp:{port}:interface={INTERFACE}:backlog={BACKLOG}"
    description = on_loopback if is_number(port) else port
    first = EndpointSpec.described(description)
    number = first.port_number
    if number is None:
        raise ValueError(
            f"expected a port number or tcp:PORT, found {port!r}: each worker needs its own port"
        )
    count = workers or 1
    numbers = range(number, number + count) if number else [0] * count
    if numbers[-1] > MAX_PORT:
        raise ValueError(
            f"{count} workers need the ports {number} to {numbers[-1]};"
            f" expected numbers up to {MAX_PORT}"
        )
    specs = [first.with_port_number(it) for it in numbers]
    if not is_number(port):
        return specs
    return [
        evolve(spec, name=format_host_port(INTERFACE, it))
        for spec, it in zip(specs, numbers, strict=True)
    ]


def make_endpoint(
    reactor: Any,
    spec: EndpointSpec,
    parse: "Callable[[Any, str], IStreamServerEndpoint] | None" = None,
) -> "IStreamServerEndpoint":
    """
    Return the Twisted endpoint of *spec*.

    :param parse: makes the endpoint of a description; None: Twisted's parsers and plugins do.
    :raises ValueError: the endpoint cannot be made; the message is one line, and shows it.
    """
    if parse is None:
        from twisted.internet import endpoints

        parse = endpoints.serverFromString
    try:
        if spec.certificate_directory is not None:
            # Twisted would notice at the first handshake, and only there.
            _check_certificates(spec.certificate_directory)
        return parse(reactor, spec.description)
    except Exception as error:  # each parser, of Twisted or of a plugin, raises what it wants
        problem = _problem(spec, error)
    raise ValueError(f"invalid endpoint {spec.description!r}: {problem}")


def _check_certificates(directory: Path) -> None:
    if not any(path.suffix == ".pem" for path in directory.iterdir()):
        raise ValueError(f"expected a .pem file in {str(directory)!r}, found none")


def _problem(spec: EndpointSpec, error: Exception) -> str:
    text = str(error)
    if isinstance(error, LookupError) and spec.is_shared:
        return "systemd passed no such socket to this process"
    if isinstance(error, ImportError):
        return f"{text} (pip install 'reqresp[tls]')"
    # Twisted's parsers call int() on what should be a number; only Python's text shows that.
    if text.startswith(_NOT_A_NUMBER):
        return f"expected a number, found {text.removeprefix(_NOT_A_NUMBER)}"
    # The name of the parser's function, in errors about arguments, means nothing to users.
    _function, call, rest = text.partition("() ")
    return (rest if call and isinstance(error, TypeError) else text) or type(error).__name__
