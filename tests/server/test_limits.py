"""Limits: their defaults, and the values that they refuse."""

import resource
from math import inf, nan
from typing import Any

from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import SynchronousTestCase

from reqresp.server.limits import Limits

NAMES = ("max_request", "max_connections", "max_per_peer", "max_waiting", "idle_timeout")


class DefaultTests(SynchronousTestCase):
    """The default limits."""

    def default_connections(self, soft: int) -> int:
        """Return the default number of connections if the soft limit on descriptors is *soft*."""

        def getrlimit(which: int) -> tuple[int, int]:
            self.assertEqual(which, resource.RLIMIT_NOFILE)
            return soft, resource.RLIM_INFINITY

        self.patch(resource, "getrlimit", getrlimit)
        return Limits().max_connections

    def test_sizes(self) -> None:
        """A request may have 64 KiB, and so may the requests that wait for a reply."""
        limits = Limits()
        self.assertEqual((limits.max_request, limits.max_waiting), (65536, 65536))

    def test_no_limits(self) -> None:
        """By default, idle time and connections of a peer are not limited."""
        limits = Limits()
        self.assertEqual((limits.idle_timeout, limits.max_per_peer), (None, None))

    def test_descriptors_bound_connections(self) -> None:
        """The default number of connections is the soft limit less 128."""
        self.assertEqual(self.default_connections(1024), 896)

    def test_few_descriptors(self) -> None:
        """With very few descriptors, one client can still connect."""
        self.assertEqual(
            [self.default_connections(soft) for soft in (10, 128, 129, 130)], [1, 1, 1, 2]
        )

    def test_endless_descriptors(self) -> None:
        """Without a limit on descriptors, about a million connections are allowed."""
        self.assertEqual(self.default_connections(resource.RLIM_INFINITY), 2**20 - 128)

    def test_the_default_is_read_each_time(self) -> None:
        """The soft limit is read whenever limits are created."""
        self.assertLess(self.default_connections(100), self.default_connections(200))


class ValidationTests(SynchronousTestCase):
    """The values that limits accept."""

    def test_any_positive_number(self) -> None:
        """Each limit can be 1; seconds can be a fraction."""
        limits = Limits(
            max_request=1, max_connections=1, max_per_peer=1, max_waiting=1, idle_timeout=0.1
        )
        self.assertEqual([getattr(limits, name) for name in NAMES], [1, 1, 1, 1, 0.1])

    def test_invalid_limits_are_refused(self) -> None:
        """A limit that is not finite or not above zero is named in the error."""
        for name in NAMES:
            least = "finite seconds >= 0.001" if name == "idle_timeout" else "a finite number > 0"
            for value in (0, -1, inf, nan):
                wrong: dict[str, Any] = {name: value}
                with self.assertRaises(ValueError) as caught:
                    Limits(**wrong)
                self.assertEqual(
                    str(caught.exception), f"{name}: expected {least}, found {value!r}"
                )

    def test_too_short_idle_timeout(self) -> None:
        """An idle timeout below a millisecond is refused: looking for it would take all time."""
        with self.assertRaises(ValueError):
            Limits(idle_timeout=0.0009)
        self.assertEqual(Limits(idle_timeout=0.001).idle_timeout, 0.001)

    def test_only_some_limits_can_be_left_out(self) -> None:
        """None means "no limit" for some limits, and is refused for the others."""
        for name in ("max_request", "max_connections", "max_waiting"):
            wrong: dict[str, Any] = {name: None}
            with self.assertRaises((TypeError, ValueError)):
                Limits(**wrong)

    def test_limits_cannot_be_changed(self) -> None:
        """Limits cannot be changed, so servers can share them."""
        limits = Limits()
        with self.assertRaises(FrozenInstanceError):
            limits.max_request = 1  # type: ignore[misc]

    def test_limits_are_named(self) -> None:
        """Limits have to be named: positions would be ambiguous."""
        with self.assertRaises(TypeError):
            Limits(1)  # type: ignore[call-arg]
