"""
Behaviour: how connections are answered, from their beginning to their end.

Puts together a responder, a framing, limits and faults, and finds out whether they go together; it
knows no connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from attrs import Factory, field, frozen

from reqresp.batch import Batch
from reqresp.decoders import Decoder
from reqresp.faults import Fault
from reqresp.framing import Chunk, Framing
from reqresp.limits import Limits
from reqresp.luck import Luck
from reqresp.responders import Responder, Table


def _as_tuple(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    return tuple(faults)


@frozen
class Behaviour:
    """
    How connections are answered.

    :param faults: strike each reply, and the greeting if there is one, in this order.
    :param connect_faults: strike once, when a client connects: the greeting, or the silence.
    :param own_faults: strike the replies that ask for them (see `Chosen`), before all others.
    :param seed: all chance in faults comes from it.
    :raises FrameError: a constant reply cannot be expressed in *framing*.
    :raises ValueError: no request of *framing* could be within *limits*.
    """

    responder: Responder
    framing: Framing = Factory(Chunk)
    limits: Limits = Factory(Limits)
    faults: tuple[Fault, ...] = field(default=(), converter=_as_tuple)
    connect_faults: tuple[Fault, ...] = ()
    own_faults: tuple[Fault, ...] = ()
    seed: int | None = None
    #: Whether any fault may strike.
    faulty: bool = field(init=False)
    #: Answers a read in one go, where nothing stands against it.
    batch: Batch | None = field(init=False, eq=False, repr=False)

    @faulty.default
    def _any_faults(self) -> bool:
        return bool(self.faults or self.connect_faults or self.own_faults)

    @batch.default
    def _constants(self) -> Batch | None:
        if not isinstance(self.responder, Table):
            return None
        # Built in any case: it finds constants that cannot be framed.
        batch = Batch(self.responder, self.framing.encode)
        return None if self.faults else batch

    def __attrs_post_init__(self) -> None:
        self.decoder()  # raises now what it would raise at every connection
        self.responder.check(self.framing.encode)

    def decoder(self) -> Decoder:
        """Make a connection's decoder."""
        return self.framing.decoder(self.limits.max_request)

    # A fault's place is what its dice are made of: those of a rule come last, so that a new rule
    # changes no other's luck.

    def luck(self, connection: int) -> Luck:
        """Make the dice of the *connection* of that number."""
        faults = (*self.faults, *self.connect_faults, *self.own_faults)
        return Luck(faults, self.seed or 0, connection)

    def on_reply(self, own: Sequence[int]) -> Sequence[int]:
        """Give the places of what strikes a reply that asks for its *own* faults."""
        before = len(self.faults) + len(self.connect_faults)
        return (*(before + place for place in own), *range(len(self.faults)))

    def on_connect(self) -> Sequence[int]:
        """Give the places of what strikes when a client connects."""
        return range(len(self.faults), len(self.faults) + len(self.connect_faults))


class Plan(ABC):
    """What tells the behaviour of a server."""

    @abstractmethod
    def behaviour(self) -> Behaviour:
        """Make it: another one for each server, which shares nothing that changes."""
