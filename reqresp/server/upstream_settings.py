"""
Upstream settings: where a relay connects to and how, as options and scripts write it.

Plain values, checked.  It must not know sockets, or read a file: that is `reqresp.relay`.
"""

from math import inf
from pathlib import Path

from attrs import field, frozen
from attrs.validators import in_, optional

from reqresp._defaults import CONNECT_TIMEOUT, UNREACHABLE
from reqresp._errors import FieldError, expect
from reqresp._text import format_host_port

#: The shortest time to connect, in seconds.
MIN_CONNECT_TIMEOUT = 0.001
#: The versions of PROXY headers.
PROXY_VERSIONS = (1, 2)

_MAX_PORT = 65535

#: A host and a port, or the path of a UNIX socket.
ServiceAddress = tuple[str, int] | Path


def parse_address(text: str, base: Path | None = None) -> ServiceAddress:
    """
    Return the address that *text* describes.

    :param base: the directory that the path of a UNIX socket is relative to; None: the current one.
    :raises ValueError: it is none; the message says what is expected.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest:
        return Path(base or "", rest).absolute()
    host, colon, number = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    is_port = number.isascii() and number.isdigit() and 0 < int(number) <= _MAX_PORT
    is_host = host.isprintable() and host != "" and " " not in host
    if not (colon and is_host and is_port) or (":" in host and not is_bracketed):
        raise ValueError(
            "expected HOST:PORT such as db.example:5432 or [::1]:5432, or unix:PATH,"
            f" found {text!r}"
        )
    return host, int(number)


def format_service(address: ServiceAddress) -> str:
    """Return *address* as people write it: ``127.0.0.1:6379`` or ``unix:/run/it.sock``."""
    return f"unix:{address}" if isinstance(address, Path) else format_host_port(*address)


@frozen(kw_only=True)
class TLSSettings:
    """
    TLS to a service.

    :param name: the name that its certificate must have; None: the host that is connected to.
    :param ca: the CAs that sign its certificate, as PEM; None: those that the system trusts.
    :param cert: the certificate that it is shown, with its chain, as PEM; None: none.
    :param key: the private key of that; None: it is in the same file.
    :param insecure: whether its certificate is not checked.
    :raises FieldError: the values do not fit together.
    """

    name: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def __attrs_post_init__(self) -> None:
        if self.name == "":
            raise FieldError("name", "expected the name of a host, found ''")
        if self.key is not None and self.cert is None:
            raise FieldError("key", "requires cert")
        for name, value in (("name", self.name), ("ca", self.ca)):
            if self.insecure and value is not None:
                raise FieldError(name, "cannot be combined with insecure, which checks nothing")

    @property
    def files(self) -> list[Path]:
        """The files that are read."""
        return [path for path in (self.ca, self.cert, self.key) if path is not None]


@frozen(kw_only=True)
class UpstreamSettings:
    """
    Where a relay connects to, and how.

    :param address: of the service.
    :param timeout: seconds until a connection must be made.
    :param unreachable: how a client ends if the service cannot be reached, one of `UNREACHABLE`.
    :param send_proxy: the version of the PROXY header that the service gets; None: it gets none.
    :param tls: how TLS is added; None: bytes pass as they are.
    :raises FieldError: a value is not usable.
    """

    address: ServiceAddress
    timeout: float = field(
        default=CONNECT_TIMEOUT,
        validator=expect(
            f"finite seconds >= {MIN_CONNECT_TIMEOUT:g}",
            lambda seconds: MIN_CONNECT_TIMEOUT <= seconds < inf,
        ),
    )
    unreachable: str = field(default=UNREACHABLE[0], validator=in_(UNREACHABLE))
    send_proxy: int | None = field(
        default=None,
        validator=optional(
            expect("1 or 2", lambda it: it in PROXY_VERSIONS and not isinstance(it, bool))
        ),
    )
    tls: TLSSettings | None = None

    def __attrs_post_init__(self) -> None:
        tls = self.tls
        if isinstance(self.address, Path) and tls and not (tls.name or tls.insecure):
            raise FieldError(
                "tls", "expected name, the name in the certificate: a UNIX socket has none"
            )

    @property
    def name(self) -> str:
        """The service as people write it."""
        return format_service(self.address)
