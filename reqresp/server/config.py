"""
ServerConfig: how connections are answered, from their beginning to their end.

Puts together a responder, a framing, limits and faults, and finds out whether they go together; it
knows no connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from attrs import Factory, field, frozen

from reqresp.faults.faults import Fault, PlacedFault
from reqresp.framing import Chunk, Decoder, Framing
from reqresp.server._fast_path import Batch
from reqresp.server.limits import Limits
from reqresp.server.responders import Responder


def _placed(faults: Iterable[Fault | PlacedFault]) -> tuple[PlacedFault, ...]:
    return tuple(
        fault if isinstance(fault, PlacedFault) else PlacedFault(f"fault[{place}]", fault)
        for place, fault in enumerate(faults)
    )


@frozen
class ServerConfig:
    """
    How connections are answered.

    :param faults: strike each reply, and the greeting if there is one, in this order; those that
        are placed ``on_connect`` all of some connections, the silence at their start included.
    :param seed: all chance in faults comes from it.
    :raises FrameError: a constant reply cannot be expressed in *framing*.
    :raises ValueError: no request of *framing* could be within *limits*.
    """

    responder: Responder
    framing: Framing = Factory(Chunk)
    limits: Limits = Factory(Limits)
    faults: tuple[PlacedFault, ...] = field(default=(), converter=_placed)
    seed: int | None = None
    #: Whether any of the faults strikes connections.
    on_connect: bool = field(init=False, eq=False, repr=False)
    #: Answers a read in one go, where nothing stands against it.
    batch: Batch | None = field(init=False, eq=False, repr=False)

    @on_connect.default
    def _any_on_connect(self) -> bool:
        return any(placed.on_connect for placed in self.faults)

    @batch.default
    def _constants(self) -> Batch | None:
        self.decoder()  # raises now what it would raise at every connection
        self.responder.check(self.framing.encode)
        table = None if self.faults else self.responder.constants()
        return None if table is None else Batch(table, self.framing.encode)

    @property
    def is_faulty(self) -> bool:
        """Whether any fault may strike."""
        return bool(self.faults or self.responder.faulty)

    def decoder(self) -> Decoder:
        """Make a connection's decoder."""
        return self.framing.decoder(self.limits.max_request)


class ConfigSource(ABC):
    """What tells the behaviour of a server."""

    @abstractmethod
    def config(self) -> ServerConfig:
        """Make it: another one for each server, which shares nothing that changes."""
