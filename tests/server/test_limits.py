"""Limits: one value that holds only what can be enforced."""

import resource
from math import inf, nan
from typing import Any

from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import SynchronousTestCase

from reqresp.server.limits import Limits

NAMES = ("max_request", "max_connections", "max_per_peer", "max_waiting", "idle_timeout")


class DefaultTests(SynchronousTestCase):
    """What holds when nothing is said."""

    def default_connections(self, soft: int) -> int:
        """How many connections a process may have whose soft limit on descriptors is *soft*."""

        def getrlimit(which: int) -> tuple[int, int]:
            self.assertEqual(which, resource.RLIMIT_NOFILE)
            return soft, resource.RLIM_INFINITY

        self.patch(resource, "getrlimit", getrlimit)
        return Limits().max_connections

    def test_sizes(self) -> None:
        """A request, and what waits behind an unfinished reply, may have 64 KiB."""
        limits = Limits()
        self.assertEqual((limits.max_request, limits.max_waiting), (65536, 65536))

    def test_nobody_is_hurried_or_counted(self) -> None:
        """Idle time and connections of a peer are not limited."""
        limits = Limits()
        self.assertEqual((limits.idle_timeout, limits.max_per_peer), (None, None))

    def test_descriptors_bound_connections(self) -> None:
        """The soft limit, less 128 descriptors that are no clients."""
        self.assertEqual(self.default_connections(1024), 896)

    def test_few_descriptors(self) -> None:
        """However few there are, one client can connect."""
        self.assertEqual(
            [self.default_connections(soft) for soft in (10, 128, 129, 130)], [1, 1, 1, 2]
        )

    def test_endless_descriptors(self) -> None:
        """No limit on descriptors is still a number of connections: a million or so."""
        self.assertEqual(self.default_connections(resource.RLIM_INFINITY), 2**20 - 128)

    def test_the_default_is_asked_for_each_time(self) -> None:
        """A soft limit that was raised before a server is set up counts."""
        self.assertLess(self.default_connections(100), self.default_connections(200))


class ValidationTests(SynchronousTestCase):
    """What can be said."""

    def test_any_positive_number(self) -> None:
        """Each limit can be one, and a time can be a fraction."""
        limits = Limits(
            max_request=1, max_connections=1, max_per_peer=1, max_waiting=1, idle_timeout=0.1
        )
        self.assertEqual([getattr(limits, name) for name in NAMES], [1, 1, 1, 1, 0.1])

    def test_nonsense_is_refused(self) -> None:
        """A limit that is no finite number above zero is named in the error."""
        for name in NAMES:
            least = "finite seconds >= 0.001" if name == "idle_timeout" else "a finite number > 0"
            for value in (0, -1, inf, nan):
                wrong: dict[str, Any] = {name: value}
                with self.assertRaises(ValueError) as caught:
                    Limits(**wrong)
                self.assertEqual(
                    str(caught.exception), f"{name}: expected {least}, found {value!r}"
                )

    def test_a_time_too_short_to_be_looked_at(self) -> None:
        """A sweep for each microsecond would do nothing else."""
        with self.assertRaises(ValueError):
            Limits(idle_timeout=0.0009)
        self.assertEqual(Limits(idle_timeout=0.001).idle_timeout, 0.001)

    def test_only_some_limits_can_be_left_out(self) -> None:
        """None means "no limit" where that is offered, and nothing elsewhere."""
        for name in ("max_request", "max_connections", "max_waiting"):
            wrong: dict[str, Any] = {name: None}
            with self.assertRaises((TypeError, ValueError)):
                Limits(**wrong)

    def test_limits_cannot_be_changed(self) -> None:
        """One value can be shared by servers."""
        limits = Limits()
        with self.assertRaises(FrozenInstanceError):
            limits.max_request = 1  # type: ignore[misc]

    def test_limits_are_named(self) -> None:
        """Numbers in a row would tell nobody which is which."""
        with self.assertRaises(TypeError):
            Limits(1)  # type: ignore[call-arg]
