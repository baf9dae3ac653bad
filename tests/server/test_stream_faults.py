"""The faults of a relay that can be added, changed and removed."""

from typing import Any

from twisted.logger import capturedLogs

from reqresp.faults import Bandwidth, DirectedFault, Direction, Latency
from tests.support.relayed import RelayedCase


class LiveFaultsTests(RelayedCase):
    """Their list, their names, and what a wrong one is told."""

    def test_they_are_listed_in_their_order(self) -> None:
        """Those that the relay was made with come first."""
        first = DirectedFault(fault=Latency(delay=1), stream="upstream", name="first")
        self.arguments = {"faults": [first]}
        self.setUp()
        second = self.factory.fault("bandwidth", stream="downstream", rate=9, name="second")
        self.assertEqual([it.name for it in self.factory.faults], ["first", "second"])
        self.assertEqual((second.fault, second.stream), (Bandwidth(rate=9), Direction.DOWNSTREAM))
        self.factory.faults[0].remove()
        self.factory.faults[0].change(rate=5)
        self.assertEqual([it.fault for it in self.factory.faults], [Bandwidth(rate=5)])

    def test_their_text(self) -> None:
        """It has everything that matters."""
        live = self.factory.fault(Latency(delay=1), stream=Direction.UPSTREAM)
        self.assertEqual(
            repr(live),
            "<StreamFault latency:"
            " Latency(probability=1.0, delay=1, jitter=0.0, since='turn'), upstream>",
        )

    def test_names(self) -> None:
        """The kind, with a number if need be; a name that is given must be free."""
        names = [self.factory.fault("timeout", stream="upstream", seconds=1).name for _ in "abc"]
        self.assertEqual(names, ["timeout", "timeout-2", "timeout-3"])
        with self.assertRaisesRegex(
            ValueError, "expected another name: there is a fault 'timeout'"
        ):
            self.factory.fault("timeout", stream="upstream", seconds=1, name="timeout")
        self.assertEqual(len(self.factory.faults), 3)

    def test_wrong_arguments(self) -> None:
        """One line says what is expected; nothing is added."""
        cases: tuple[tuple[str, dict[str, Any], str], ...] = (
            ("latncy", {}, "unknown kind of fault 'latncy'; did you mean latency?"),
            ("latency", {"dely": 1}, "latency: unknown parameter 'dely'; did you mean delay?"),
            ("latency", {"afte": 1}, "latency: unknown parameter 'afte'; did you mean after?"),
            ("latency", {}, "latency: the parameter delay is missing"),
            ("latency", {"delay": 1, "shared": True}, "shared: expected the kind bandwidth, found"),
        )
        for kind, arguments, message in cases:
            with self.assertRaises((ValueError, TypeError)) as caught:
                self.factory.fault(kind, stream="upstream", **arguments)
            self.assertIn(message, str(caught.exception))
        with self.assertRaisesRegex(
            ValueError, "stream: expected upstream or downstream, found 'x'"
        ):
            self.factory.fault("timeout", stream="x", seconds=1)
        self.assertEqual(self.factory.faults, ())

    def test_a_change_that_is_wrong_changes_nothing(self) -> None:
        """The message has the parameters."""
        live = self.factory.fault("latency", stream="upstream", delay=1)
        with self.assertRaisesRegex(
            TypeError, "latency: unknown parameter 'dealy'; did you mean de"
        ):
            live.change(dealy=1)
        with self.assertRaisesRegex(ValueError, "delay: expected seconds from 0 to .*, found -1"):
            live.change(delay=-1)
        self.assertEqual(live.fault, Latency(delay=1))

    def test_a_new_configuration(self) -> None:
        """It replaces the faults of the old one; those that are the same continue."""
        one, two, three = (
            DirectedFault(fault=Latency(delay=delay), stream="upstream", name=str(delay))
            for delay in (1, 2, 3)
        )
        self.arguments = {"faults": [one, two]}
        self.setUp()
        before = self.factory.faults
        added = self.factory.fault("timeout", stream="upstream", seconds=1)
        self.factory.reconfigure(self.upstream(), faults=[two, three])
        self.assertEqual([it.name for it in self.factory.faults], ["2", "3", "timeout"])
        self.assertIs(self.factory.faults[0], before[1])
        self.assertIs(self.factory.faults[2], added)
        with self.assertRaisesRegex(
            ValueError, "expected another name: there is a fault 'timeout'"
        ):
            self.factory.reconfigure(
                self.upstream(),
                faults=[DirectedFault(fault=two.fault, stream="upstream", name="timeout")],
            )
        self.assertEqual(len(self.factory.faults), 3)
        self.factory.reconfigure(self.upstream())
        self.assertEqual(self.factory.faults, (added,))

    def test_a_new_order_does_not_let_bytes_overtake_others(self) -> None:
        """A fault whose place has changed begins anew, and what it holds is sent on."""
        one, two = (
            DirectedFault(fault=Latency(delay=delay), stream="upstream", name=str(delay))
            for delay in (1, 2)
        )
        self.arguments = {"faults": [one, two]}
        self.setUp()
        client, service = self.connect_both()
        client.send(b"a")
        self.advance(1.5)
        client.send(b"b")
        self.factory.reconfigure(self.upstream(), faults=[two, one])
        client.send(b"c")
        self.advance(5)
        self.assertEqual(service.got, b"abc")

    def test_a_removed_fault(self) -> None:
        """It can be removed again, which does nothing."""
        live = self.factory.fault("latency", stream="upstream", delay=1)
        live.remove()
        live.remove()
        self.assertEqual(self.factory.faults, ())

    def test_the_seed(self) -> None:
        """One that was not given is logged with the first fault, and only then."""
        with capturedLogs() as events:
            for _ in range(2):
                self.factory.fault("latency", stream="upstream", delay=1)
        lines = [it["log_format"].format(**it) for it in events]
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], r"^seed of the faults: \d+$")
        self.arguments = {"seed": 7}
        self.setUp()
        with capturedLogs() as events:
            self.factory.fault("latency", stream="upstream", delay=1)
        self.assertEqual([*events], [])

    def test_the_seed_decides_to_which_connections_a_fault_applies(self) -> None:
        """Other faults change nothing about that."""
        self.arguments = {"seed": 7}
        found = []
        for others in (0, 3):
            self.setUp()
            for _ in range(others):
                self.factory.fault("latency", stream="upstream", delay=0, probability=0.5)
            live = self.factory.fault("corrupt", stream="upstream", probability=0.5, name="it")
            found.append([live.roll(number) is not None for number in range(50)])
        self.assertEqual(found[0], found[1])
        self.assertTrue(10 < sum(found[0]) < 40)
