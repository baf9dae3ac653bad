"""
Forwarding: creating a relay from its options.

It contains no behaviour of its own.
"""

from pathlib import Path
from typing import Any

from attrs import evolve

from reqresp._defaults import CONNECT_TIMEOUT, UNREACHABLE
from reqresp.daemon.options import Options
from reqresp.relay import RelayFactory, Unreachable
from reqresp.relay.upstream import Upstream, tcp_upstream, unix_upstream
from reqresp.server.limits import Limits
from reqresp.transport.proxy_protocol import encode_binary, encode_line

_HEADERS = {"1": encode_line, "2": encode_binary}


def make_relay(options: Options, reactor: Any, **common: Any) -> RelayFactory:
    """
    Return the relay that *options* describe.

    :param common: the arguments that all factories share.
    """
    unreachable = options["unreachable"] or UNREACHABLE[0]
    return RelayFactory(
        _upstream(options, reactor),
        unreachable=Unreachable(unreachable),
        limits=Limits(**options["limits"]),
        **common,
    )


def _upstream(options: Options, reactor: Any) -> Upstream:
    service, timeout = options["forward"], options["forward-timeout"] or CONNECT_TIMEOUT
    if isinstance(service, Path):
        upstream = unix_upstream(reactor, str(service), timeout)
    else:
        host, port = service
        upstream = tcp_upstream(reactor, host, port, timeout)
    return evolve(upstream, encode_header=_HEADERS.get(options["send-proxy"]))
