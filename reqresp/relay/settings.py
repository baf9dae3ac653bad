"""
Settings: creating an upstream from what options, scripts and tests write.

Reads the files that it names.  It must not know where the settings come from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.logger import Logger

from reqresp.relay.upstream import Upstream, UpstreamTLS, tcp_upstream, unix_upstream
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings
from reqresp.transport.proxy_protocol import encode_binary, encode_line

if TYPE_CHECKING:  # it loads OpenSSL
    from reqresp.relay.client_tls import ClientCreator

_log = Logger()
_HEADERS = {1: encode_line, 2: encode_binary}


def make_upstream(settings: UpstreamSettings, reactor: Any) -> Upstream:
    """
    Return the service that *settings* describe.

    :raises ValueError: a file for TLS, or the name in a certificate, cannot be used.
    :raises ImportError: a package for TLS is not installed; the message has the extra.
    """
    address = settings.address
    if isinstance(address, Path):
        upstream = unix_upstream(reactor, str(address), settings.timeout)
    else:
        upstream = tcp_upstream(reactor, *address, settings.timeout)
    header = None if settings.send_proxy is None else _HEADERS[settings.send_proxy]
    return evolve(upstream, encode_header=header, tls=_make_tls(settings, reactor))


def _make_tls(settings: UpstreamSettings, reactor: Any) -> UpstreamTLS | None:
    if settings.tls is None:
        return None
    from reqresp.relay.upstream_tls import ClientTLS  # late: few relays need OpenSSL

    return ClientTLS(read_tls(settings, settings.tls, _warn), reactor, settings.timeout)


def read_tls(
    settings: UpstreamSettings, tls: TLSSettings, warn: Callable[[str], object]
) -> "ClientCreator":
    """
    Return what makes the connections of *tls* to the service that *settings* describe.

    :param warn: called with each thing that is valid, but perhaps not meant.
    :raises ValueError: a file, or the name in a certificate, cannot be used.
    :raises ImportError: a package is not installed; the message has the extra.
    """
    from reqresp.relay.client_tls import make_creator  # late, likewise

    if tls.insecure:
        warn(
            f"upstream {settings.name}: its certificate is not checked (insecure);"
            " others can read and change what passes"
        )
    host = "" if isinstance(settings.address, Path) else settings.address[0]
    return make_creator(tls, host, warn)


def _warn(problem: str) -> None:
    _log.warn("{problem}", problem=problem)
