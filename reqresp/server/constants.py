"""
Constants: the requests of a read, answered in one go where their replies are constants.

Cuts what was read into requests, looks their replies up, and tells of both.  It knows batches, and
nothing of responders or of what is held: `Connection`, which builds on it, answers what is left,
one by one.
"""

from collections.abc import Callable, Iterable, Sequence

from reqresp.exchanges import Exchanges
from reqresp.framing import Decoder, FrameError
from reqresp.server._fast_path import Batch
from reqresp.server.performer import Performer
from reqresp.steps import Steps

#: Bytes framed at a time: a request of three bytes takes fifteen times that once it is cut out.
SLICE = 4 * 1024


class Constants(Performer):
    """A connection that can answer a read in one go."""

    #: How many requests were taken up.
    taken = 0

    _decoder: Decoder
    _answered = 0
    _fault: FrameError | None = None

    def _answer_all(self, data: bytes, batch: Batch) -> bool:
        """
        Answer *data* in one go if its replies are constants, and count it.

        Else leave its requests be, and counting to who answers them.
        """
        requests, wire = self._look_up(data, batch)
        if wire is None:
            return False
        count = len(requests)
        self.taken += count
        factory = self.factory
        counters = factory.counters
        began: float | None = None
        if counters is not None:
            # Each name that is looked up here costs every read some nanoseconds.
            counters.received += len(data)
            counters.sent += len(wire)
            counters.until_timed -= count
            if counters.until_timed < 0:
                began = counters.now()
        if wire:
            self.transport.write(wire)
        if began is not None and counters is not None:
            counters.sampled(count, began)
        if factory.observed:
            self._tell(requests, requests, batch.steps, len(data))
        return True

    def _answer_slices(self, data: bytes, batch: Batch) -> None:
        """Gather the replies to as much of *data* as has constant ones, and fits."""
        counters = self.factory.counters
        began = 0.0 if counters is None else counters.now()
        answered: list[bytes] = []
        at = 0
        while at < len(data) and not self._full:
            requests, wire = self._look_up(data[at : at + SLICE], batch)
            at += SLICE
            if wire is None:
                break
            self._gather(wire)
            answered += requests
        if at < len(data):
            self._put_off(data[at:])
        self.taken += len(answered)
        if counters is not None:
            counters.answered(len(answered), began)
        if self.factory.observed:
            self._tell(answered, answered, batch.steps, at)

    def _look_up(self, data: bytes, batch: Batch) -> tuple[Sequence[bytes], bytes | None]:
        try:
            requests = self._decoder.feed(data)
        except FrameError as error:
            self._fault = error
            self._requests = iter(error.requests)
            return (), None
        wire = batch.answer(requests)
        if wire is None:
            self._requests = iter(requests)
        return requests, wire

    def _count(self, data: bytes) -> None:
        """Count *data*, which was read."""
        if self.factory.counters is not None:
            self.factory.counters.received += len(data)

    def _tell(
        self,
        received: Sequence[bytes],
        answered: Sequence[bytes],
        steps: Callable[[Sequence[bytes]], Iterable[Steps]],
        size: int | None = None,
    ) -> None:
        factory = self.factory
        if received and factory.hearers["received"]:
            factory.tell("received", self.peer, self.number, received)
        if answered and factory.hearers["answered"]:
            first, by = self._answered + 1, self.config.responder.name
            self._answered += len(answered)
            exchanges = Exchanges(self.peer, self.number, first, answered, steps, by, size)
            factory.tell("answered", exchanges)
