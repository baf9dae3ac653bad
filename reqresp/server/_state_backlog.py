"""
StateBacklog: what waits on a connection whose framing its conversation can change.

A request that was taken can change the state, and with it the framing of the next byte.  So the
bytes of requests that were decoded and not taken are kept as they came, and are decoded again after
a change.  This module must not know which states there are.
"""

from collections.abc import Iterator, Sequence
from operator import length_hint
from typing import Any, Protocol, cast

from twisted.internet.interfaces import IAddress

from reqresp.framing import Decoder, Framed, Framing, SilenceDecoder, is_new, with_raw
from reqresp.server._backlog import NO_REQUESTS, SLICE, Backlog
from reqresp.server._silence import Listening, stop_watching, watch
from reqresp.server._timed_backlog import TimedBacklog
from reqresp.server.config import ServerConfig
from reqresp.server.host import ConnectionHost, HostedConnection
from reqresp.server.state_properties import NO_PROPERTIES, StateProperties

#: Bytes decoded first after a change of the framing.  The next request can change it again, and
#: what follows that request is decoded again then.
FIRST_SLICE = 16


class StatefulConnection(HostedConnection, Listening, Protocol):
    """What a backlog needs of its connection."""

    config: ServerConfig
    #: The framing that is in force.
    framing: Framing
    host: ConnectionHost
    notes: Any
    number: int
    peer: IAddress


class StateBacklog(TimedBacklog):
    """
    What waits on *connection*, decoded as the state of its conversation says.

    It puts a change of state into force when the next request is taken, or looked for.
    """

    __slots__ = ("_connection", "_kept", "_properties", "_rest_of_end", "_slice")

    def __init__(self, connection: StatefulConnection) -> None:
        super().__init__(with_raw(connection.config.decoder()), connection.clock.seconds)
        watch(connection, self.decoder)
        self._connection = connection
        # All bytes that were decoded, without those of the requests that were taken.
        self._kept = bytearray()
        self._properties = NO_PROPERTIES
        # One of these bytes is dropped if it comes next: it ends a request of the framing before.
        self._rest_of_end = b""
        self._slice = SLICE  # bytes to decode next
        self.follow()

    @property
    def is_changing(self) -> bool:
        return self._framing_of(self._wanted) is not self._connection.framing

    @property
    def _wanted(self) -> StateProperties:
        connection = self._connection
        return connection.config.responder.properties(connection)

    def _framing_of(self, properties: StateProperties) -> Framing:
        own = properties.framing
        return self._connection.config.framing if own is None else own

    def decode(self, data: bytes) -> list[bytes]:
        if self._rest_of_end and data:
            end, self._rest_of_end = self._rest_of_end, b""
            data = data[1:] if data[0] in end else data
        self._kept += data
        requests = [*super().decode(data)]
        if not requests and self.error is None and is_new(self.decoder):
            self._kept.clear()  # they were bytes between requests
        return requests

    def decode_more(self, size: int = SLICE) -> bool:
        self.follow()
        size = min(size, self._slice)
        self._slice = min(SLICE, 2 * self._slice)
        is_decoded = super().decode_more(size)
        if is_decoded:
            self.requests = _Untaken(self, self.requests)
        return is_decoded

    def restart(self, decoder: Decoder) -> bool:
        return super().restart(with_raw(decoder))

    def add_requests(self, requests: Sequence[bytes]) -> None:
        untaken = self.requests
        before = untaken.requests if isinstance(untaken, _Untaken) else untaken
        self.requests = _Untaken(self, iter([*before, *requests]))

    def clear(self) -> None:
        super().clear()
        self._kept.clear()
        self._rest_of_end = b""

    def taken(self, request: Framed) -> None:
        """Forget the bytes of *request*, and what came before them."""
        kept, raw = self._kept, request.raw
        del kept[: max(0, kept.find(raw)) + len(raw)]

    def follow(self) -> bool:
        """Put the properties of the state into force; return whether the framing changes."""
        connection = self._connection
        config = connection.config
        properties = self._wanted
        if properties is self._properties:
            return False
        self._properties = properties
        connection.host.set_idle_timeout(connection, properties.idle_timeout)
        framing = self._framing_of(properties)
        if framing is connection.framing:
            return False
        connection.framing = framing
        stop_watching(self.decoder)
        if not length_hint(self.requests):
            self._rest_of_end = getattr(self.decoder, "rest_of_end", b"") or self._rest_of_end
        self.decoder = with_raw(framing.decoder(config.limits.max_request))
        watch(connection, self.decoder)
        kept, self._kept = self._kept, bytearray()
        kept += self.waiting
        self.waiting = kept
        self._slice = FIRST_SLICE
        self.requests = NO_REQUESTS
        self.error = None
        return True


class _Untaken:
    """Iterates over *requests*, which *backlog* has decoded, until their framing changes."""

    def __init__(self, backlog: StateBacklog, requests: Iterator[bytes]) -> None:
        self._backlog = backlog
        self.requests = requests

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __length_hint__(self) -> int:
        return length_hint(self.requests)

    def __next__(self) -> bytes:
        if self._backlog.follow():
            raise StopIteration
        request = next(self.requests)
        self._backlog.taken(cast(Framed, request))
        return request


def make_backlog(connection: StatefulConnection, *, is_forwarded: bool) -> Backlog:
    """
    Return what waits on *connection*, which is new.

    :param is_forwarded: whether the bytes of its requests are needed as they came.
    """
    config = connection.config
    if config.responder.state_properties:
        return StateBacklog(connection)
    decoder = config.framing.decoder(config.limits.max_request)
    if decoder.__class__ is SilenceDecoder:
        watch(connection, decoder)
    decoder = with_raw(decoder) if is_forwarded else decoder
    if config.faults or config.responder.faulty:
        return TimedBacklog(decoder, connection.clock.seconds)
    return Backlog(decoder)
