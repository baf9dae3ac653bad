"""
A relay under any order of sends, pauses, endings and faults: no byte is lost or reordered.

The client and the service each number what they send, so that each byte has its place.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reqresp.faults import (
    Bandwidth,
    Blackhole,
    Corrupt,
    Fault,
    Latency,
    LimitData,
    Noop,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from reqresp.relay._connecting import DELIVERY_SECONDS
from reqresp.server.pushes import PushError
from tests.support.relayed import RelayedCase, Service

#: Bytes of the two streams; they differ, so that a byte of the wrong stream is noticed.
UP, DOWN = bytes(range(256)) * 4096, bytes(reversed(range(256))) * 4096
MAX_SENT = 300_000
#: What is pushed to the client; it is in none of the two.
PUSHED = b"<pushed>"

Action = tuple[str, int]
NAMES = (
    *("client sends", "service sends") * 4,
    *("client stops", "client reads", "service stops", "service reads", "time passes"),
    *("client ends", "service ends", "client resets", "service resets", "relay pushes"),
)
FAULT_NAMES = ("fault comes", "fault comes", "fault changes", "fault goes", "time passes")


def actions(*names: str) -> st.SearchStrategy[list[Action]]:
    return st.lists(st.tuples(st.sampled_from(names), st.integers(1, 100_000)), max_size=30)


#: Faults that lose nothing.
LOSSLESS: tuple[Fault, ...] = (
    *(Latency(delay=1, jitter=0.5), Latency(delay=20), Bandwidth(rate=5000)),
    *(Slicer(size=700, variation=600), SlowClose(delay=3), Timeout(seconds=10**6)),
    Noop(),
)
#: Faults that end connections.
CUTTING: tuple[Fault, ...] = (
    *(LimitData(bytes=20_000), LimitData(bytes=0), ResetPeer(bytes=20_000, delay=1), ResetPeer()),
    *(Timeout(seconds=3), Timeout(seconds=0)),
)
#: Faults that change or drop bytes, upstream alone, and nothing else.
SPOILING: tuple[Fault, ...] = (Corrupt(), Corrupt(bytes=100), Blackhole())
#: What faults may have besides.
PLACES: tuple[dict[str, Any], ...] = (
    *({}, {"after": 2, "for_": 5}, {"after_bytes": 10_000}, {"for_": 1}),
)


class Played:
    """A client, a relay and a service that do what a list of actions says."""

    def __init__(self, case: RelayedCase, faults: tuple[Fault, ...] = ()) -> None:
        self.case = case
        self.faults = faults
        self.client, self.service = case.connect_both()
        self.up = self.down = 0  # bytes sent
        self.pushed = 0  # times
        self._got = b""
        self.is_reset = self.client_ended = self.service_ended = False
        self.by_client = False  # which side has reset
        self.saw_reset = False  # the other side
        self.is_changed = self.has_dropped = False  # by a fault, of what the client has sent

    @property
    def got(self) -> bytes:
        """What the client has received of the service."""
        left = self._got.replace(PUSHED, b"")
        if self._got.count(PUSHED) < self.pushed:
            begun = next(at for at in range(len(PUSHED), -1, -1) if left.endswith(PUSHED[:at]))
            left = left[: len(left) - begun]  # the rest may follow
        return left

    @property
    def got_pushes(self) -> int:
        """How often the client has received what was pushed."""
        return self._got.count(PUSHED)

    def perform(self, action: Action) -> None:
        """Perform one action, if it is still possible."""
        what, size = action
        method: Callable[[int], None] = getattr(self, what.replace(" ", "_"))
        if not self.is_reset:
            with contextlib.suppress(ConnectionError):  # a fault may have reset the client
                method(size)
        self.case.advance(0)
        self._got += self.client.received()

    def relay_pushes(self, _size: int) -> None:
        with contextlib.suppress(KeyError, PushError):
            self.case.factory.connections.push(1, PUSHED)
            self.pushed += 1

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

    def fault_comes(self, size: int) -> None:
        fault, place = self.faults[size % len(self.faults)], PLACES[size // 10 % len(PLACES)]
        shared = isinstance(fault, Bandwidth) and size % 7 < 3
        is_spoiling = isinstance(fault, Corrupt | Blackhole)
        stream = "upstream" if size % 2 or is_spoiling else "downstream"
        self.is_changed = self.is_changed or is_spoiling
        self.has_dropped = self.has_dropped or isinstance(fault, Blackhole)
        self.case.factory.fault(fault, stream=stream, shared=shared, **place)

    def fault_changes(self, size: int) -> None:
        for live in self.case.factory.faults:
            if isinstance(live.fault, Latency | SlowClose):
                live.change(delay=size / 10_000)
            elif isinstance(live.fault, Bandwidth):
                live.change(rate=size)
            else:
                live.change(probability=size % 3 / 2)

    def fault_goes(self, size: int) -> None:
        faults = self.case.factory.faults
        if faults:
            faults[size % len(faults)].remove()

    def settle(self) -> None:
        """Have both sides read everything, or, after a reset, leave; let time pass."""
        for live in self.case.factory.faults:
            live.remove()
        if self.is_reset:
            # A reset that follows an EOF of the same side is noticed by the next write only, and
            # a side that is not read from is not known to be reset.
            self.service_reads(0)
            self.client_reads(10**9)
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
            self._got += self.client.received()


class ModelTests(RelayedCase):
    """Any actions, in any order."""

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(actions(*NAMES))
    def test_nothing_is_lost_repeated_or_reordered(self, actions: list[Action]) -> None:
        """Each side gets what the other has sent; after a reset, the beginning of it."""
        self.check(actions, ())

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(actions(*NAMES, *FAULT_NAMES))
    def test_nothing_is_lost_because_of_faults(self, actions: list[Action]) -> None:
        """The same holds whatever faults come, change and go, once they are gone."""
        self.check(actions, LOSSLESS)

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(actions(*NAMES, *FAULT_NAMES))
    def test_faults_that_spoil_one_direction(self, actions: list[Action]) -> None:
        """What is changed keeps its length; endings and the other direction stay as they are."""
        self.check(actions, (*LOSSLESS, *SPOILING))

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(actions(*NAMES, *FAULT_NAMES))
    def test_faults_that_end_connections(self, actions: list[Action]) -> None:
        """Each side gets the beginning of what the other has sent, and nothing is left over."""
        self.setUp()
        played = Played(self, (*LOSSLESS, *CUTTING))
        for action in actions:
            played.perform(action)
            self.check_prefixes(played)
        for live in self.factory.faults:
            live.remove()
        played.client_reads(10**9)
        played.service_reads(0)
        self.advance(1)
        self.check_prefixes(played)
        played.client.close()
        played.service.transport.loseConnection()
        for _ in range(3):
            self.advance(DELIVERY_SECONDS)
        self.assertEqual(self.factory.open, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def check(self, actions: list[Action], faults: tuple[Fault, ...]) -> None:
        """Play *actions* with these *faults* to choose from, and check what has arrived."""
        self.setUp()
        played = Played(self, faults)
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
        self.assertEqual(len(played.got), played.down)
        if not played.has_dropped:
            self.assertEqual(len(played.service.got), played.up)
        self.assertEqual(played.got_pushes, played.pushed)
        self.assertEqual(played.service.eof, played.client_ended)
        self.assertEqual(played.client.got_eof, played.service_ended)
        self.assertFalse(played.client.got_reset)
        both = played.client_ended and played.service_ended
        self.assertEqual(self.factory.open, 0 if both else 1)

    def check_prefixes(self, played: Played) -> None:
        """Check that what has arrived is the beginning of what was sent."""
        service: Any = played.service
        assert isinstance(service, Service)
        if not played.is_changed:
            self.assertEqual(service.got, UP[: len(service.got)])
        self.assertEqual(played.got, DOWN[: len(played.got)])
        self.assertLessEqual(len(service.got), played.up)
        self.assertLessEqual(len(played.got), played.down)
