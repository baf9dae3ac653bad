"""
A relay under any order of sends, pauses and endings: no byte is lost, repeated or reordered.

The client and the service each number what they send, so that each byte has its place.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reqresp.relay.relay import DELIVERY_SECONDS
from tests.support.relayed import RelayedCase, Service

#: Bytes of the two streams; they differ, so that a byte of the wrong stream is noticed.
UP, DOWN = bytes(range(256)) * 4096, bytes(reversed(range(256))) * 4096
MAX_SENT = 300_000

Action = tuple[str, int]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("client sends", "service sends") * 4,
                *("client stops", "client reads", "service stops", "service reads", "time passes"),
                *("client ends", "service ends", "client resets", "service resets"),
            )
        ),
        st.integers(1, 100_000),
    ),
    max_size=30,
)


class Played:
    """A client, a relay and a service that do what a list of actions says."""

    def __init__(self, case: RelayedCase) -> None:
        self.case = case
        self.client, self.service = case.connect_both()
        self.up = self.down = 0  # bytes sent
        self.got = b""
        self.is_reset = self.client_ended = self.service_ended = False
        self.by_client = False  # which side has reset
        self.saw_reset = False  # the other side

    def perform(self, action: Action) -> None:
        """Perform one action, if it is still possible."""
        what, size = action
        method: Callable[[int], None] = getattr(self, what.replace(" ", "_"))
        if not self.is_reset:
            method(size)
        self.case.advance(0)
        self.got += self.client.received()

    def client_sends(self, size: int) -> None:
        if self.client_ended:
            return
        size = min(size, MAX_SENT - self.up)
        self.client.send(UP[self.up : self.up + size])
        self.up += size

    def service_sends(self, size: int) -> None:
        if self.service_ended:
            return
        size = min(size, MAX_SENT - self.down)
        self.service.transport.write(DOWN[self.down : self.down + size])
        self.down += size

    def client_stops(self, size: int) -> None:
        self.client.stop_reading(size)

    def client_reads(self, size: int) -> None:
        self.client.resume_reading(size)

    def service_stops(self, _size: int) -> None:
        if not self.service.eof:
            self.service.transport.pauseProducing()

    def service_reads(self, _size: int) -> None:
        if not self.service.eof:
            self.service.transport.resumeProducing()

    def time_passes(self, size: int) -> None:
        self.case.advance(size / 10_000)

    def client_ends(self, _size: int) -> None:
        if not self.client_ended:
            self.client_ended = True
            self.client.half_close()

    def service_ends(self, _size: int) -> None:
        if not self.service_ended:
            self.service_ended = True
            self.service.transport.loseWriteConnection()

    def client_resets(self, _size: int) -> None:
        self.is_reset = self.by_client = True
        self.client.reset()

    def service_resets(self, _size: int) -> None:
        self.is_reset = True
        self.service.transport.abortConnection()

    def settle(self) -> None:
        """Have both sides read everything, or, after a reset, leave; let time pass."""
        if self.is_reset:
            # A reset that follows an EOF of the same side is noticed by the next write only.
            self.service_reads(0)
            self.case.advance(DELIVERY_SECONDS)
            service, client = self.service, self.client
            self.saw_reset = service.was_reset if self.by_client else client.got_reset
            self.service.transport.loseConnection()
            self.client.close()
        else:
            self.client_reads(10**9)
            self.service_reads(0)
        for _ in range(3):
            self.case.advance(1)
            self.got += self.client.received()


class ModelTests(RelayedCase):
    """Any actions, in any order."""

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(ACTIONS)
    def test_nothing_is_lost_repeated_or_reordered(self, actions: list[Action]) -> None:
        """Each side gets what the other has sent; after a reset, the beginning of it."""
        self.setUp()
        played = Played(self)
        for action in actions:
            played.perform(action)
            self.check_prefixes(played)
        played.settle()
        self.check_prefixes(played)
        if played.is_reset:
            self.assertEqual(self.factory.open, 0)
            if not (played.client_ended or played.service_ended):
                self.assertTrue(played.saw_reset)
            return
        self.assertEqual((len(played.service.got), len(played.got)), (played.up, played.down))
        self.assertEqual(played.service.eof, played.client_ended)
        self.assertEqual(played.client.got_eof, played.service_ended)
        self.assertFalse(played.client.got_reset)
        both = played.client_ended and played.service_ended
        self.assertEqual(self.factory.open, 0 if both else 1)

    def check_prefixes(self, played: Played) -> None:
        """Check that what has arrived is the beginning of what was sent."""
        service: Any = played.service
        assert isinstance(service, Service)
        self.assertEqual(service.got, UP[: len(service.got)])
        self.assertEqual(played.got, DOWN[: len(played.got)])
        self.assertLessEqual(len(service.got), played.up)
        self.assertLessEqual(len(played.got), played.down)
