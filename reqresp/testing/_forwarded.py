"""
Forwarded: the real service of a test server, and the clients that could not reach it.

Must not know how the server runs.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.faults import DirectedFault
from reqresp.relay import Forwarding, RelayFactory, Unreachable, Upstream
from reqresp.relay.relay import Relay
from reqresp.relay.settings import make_upstream
from reqresp.script import Script
from reqresp.server.config import ServerConfig
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory
from reqresp.server.observers import Observer
from reqresp.server.upstream_settings import UpstreamSettings, parse_address

#: A service: a host and a port, ``HOST:PORT`` or ``unix:PATH``, all settings, or what connects.
UpstreamLike = tuple[str, int] | str | UpstreamSettings | Upstream

_EXPECTED = "(HOST, PORT), 'HOST:PORT', 'unix:PATH', UpstreamSettings or an Upstream"


class Forwarded(Observer):
    """
    The service that *given* describes.

    :param reactor: connects to it.
    :param is_relay: whether all bytes are forwarded, so that nothing is known of requests.
    :raises ValueError: *given* is not usable.
    :raises TypeError: *given* is of another type.
    """

    def __init__(
        self,
        given: UpstreamLike,
        reactor: Any,
        *,
        is_relay: bool,
        faults: Sequence[DirectedFault] = (),
    ) -> None:
        if isinstance(given, str):
            try:
                given = UpstreamSettings(address=parse_address(given))
            except ValueError as error:
                raise ValueError(f"upstream: {error}") from None
        elif isinstance(given, tuple):
            given = UpstreamSettings(address=_check_address(given))
        self._unreachable = Unreachable.RESET
        if isinstance(given, UpstreamSettings):
            self._unreachable = Unreachable(given.unreachable)
            given = make_upstream(given, reactor)
        if not isinstance(given, Upstream):
            raise TypeError(f"upstream: expected {_EXPECTED}, found {given!r}")
        #: What goes wrong in a direction.
        self.faults = faults
        self._upstream = given
        self.is_relay = is_relay
        #: A line for each client that could not reach the service.
        self.failures: list[str] = []

    @classmethod
    def of(
        cls, given: UpstreamLike | None, script: Script | None, reactor: Any, *others: object
    ) -> Self | None:
        """
        Return the service; None: there is none.

        :param given: describes it; None: *script* does.
        :param others: what says how requests are answered; None: it is not given.
        """
        if script is not None and given is None:
            given = script.upstream
        if given is None:
            return None
        if script is not None:
            return cls(given, reactor, is_relay=script.is_relay, faults=script.stream_faults)
        return cls(given, reactor, is_relay=all(it is None for it in others))

    @property
    def name(self) -> str:
        """What messages call the service."""
        return self._upstream.name

    def upstream_failed(self, peer: IAddress, connection: int, failure: Failure) -> None:  # noqa: ARG002 (the event's)
        reason = self._upstream.explain(failure)
        self.failures.append(f"upstream: {self.name} {reason} (connection {connection})")

    def check_requests(self, method: str) -> None:
        """:raises TypeError: the server knows no requests, which *method* is about."""
        if self.is_relay:
            raise TypeError(
                f"{method}: the server forwards all bytes to {self.name}, and knows no requests;"
                " give framing=... to have some of them answered"
            )

    def make_factory(self, config: ServerConfig, **common: Any) -> FrontFactory:
        """Return what serves clients; *config* has how requests are answered, and the limits."""
        if not self.is_relay:
            service = Forwarding(self._upstream, self._unreachable)
            return ReqRespFactory(config, service=service, **common)
        return RelayFactory(
            self._upstream,
            unreachable=self._unreachable,
            faults=self.faults,
            seed=config.seed,
            limits=config.limits,
            **common,
        )


def knows_upstreams(relays: Iterable[object]) -> bool:
    """Return whether it is known for each of *relays* if its client can reach the service."""
    return not any(isinstance(it, Relay) and it.is_connecting for it in relays)


def _check_address(given: tuple[Any, ...]) -> tuple[str, int]:
    """
    Return *given*, a host and a port.

    :raises ValueError: it is something else.
    """
    match given:
        case (str(host), int(port)) if host and 0 < port < 2**16:
            return host, port
    raise ValueError(
        "upstream: expected a host and a port from 1 to 65535, such as ('127.0.0.1', 6379);"
        f" found {given!r}"
    )
