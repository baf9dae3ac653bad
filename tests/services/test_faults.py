"""The faults of a service, whatever it is, for programs that steer it."""

import json
from typing import Any

from attrs import evolve

from reqresp import Corrupt, DirectedFault, Latency, Line, PlacedFault, RelayFactory, Table
from reqresp.faults import KINDS, STREAM_KINDS
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.services.faults import ServiceFaults
from tests.support.conversation import Conversation
from tests.support.relayed import RelayedCase


class ReplyTests(Conversation):
    """A service that answers."""

    def setUp(self) -> None:
        super().setUp()
        slow = PlacedFault("fault[0]", Latency(delay=1), on_connect=True)
        self.made = self.factory(
            Table({}, otherwise=b"A"), framing=Line(), faults=[slow, Corrupt()], seed=1
        )
        self.faults = ServiceFaults(self.made)

    def views(self) -> list[dict[str, Any]]:
        return [it.as_json() for it in self.faults]

    def test_they_are_listed(self) -> None:
        """With their names, their streams, and all of their parameters."""
        self.faults.add("limit_data", "connection", "cut", {"bytes": 7, "probability": 0.5})
        listed = [
            {"name": "latency", "kind": "latency", "stream": "connection"}
            | {"delay": 1, "jitter": 0.0, "since": "turn", "probability": 1.0},
            {"name": "corrupt", "kind": "corrupt", "stream": "downstream"}
            | {"bytes": 1, "probability": 1.0},
            {"name": "cut", "kind": "limit_data", "stream": "connection"}
            | {"bytes": 7, "probability": 0.5},
        ]
        self.assertEqual(self.views(), listed)
        self.assertEqual(self.faults["cut"].as_json(), listed[2])
        shown = "limit_data, connection, bytes 7, probability 0.5"
        self.assertEqual({*str(self.faults["cut"]).split(", ")}, {*shown.split(", ")})

    def test_they_change_and_go(self) -> None:
        """Those of the definition as well, and open connections have what is left."""
        wire = self.join(self.made)
        self.assertEqual(self.faults.change("latency", {"delay": 3}).parameters["delay"], 3)
        self.faults.remove("latency")
        self.faults.remove("corrupt")
        wire.send(b"x\n")
        self.assertEqual((self.views(), wire.received()), ([], b"A\r\n"))
        with self.assertRaisesRegex(KeyError, "unknown fault 'latency'"):
            self.faults.remove("latency")

    def test_a_reset(self) -> None:
        """Those of the definition are as they are there, and others are gone."""
        before = self.views()
        self.faults.change("corrupt", {"bytes": 9})
        self.faults.remove("latency")
        self.faults.add("slicer", parameters={"size": 1})
        self.faults.reset()
        self.assertEqual(self.views(), before)

    def test_what_clients_send(self) -> None:
        """It has the parameters of a direction, is changed and removed, and goes with a reset."""
        before = self.views()
        window = {"after_bytes": 9, "for": 2.5, "shared": True}
        added = self.faults.add("bandwidth", "upstream", "slow", {"rate": 5, **window})
        self.assertEqual((added.name, added.stream), ("slow", "upstream"))
        self.assertEqual(added.parameters, {"probability": 1.0, "rate": 5, **window})
        self.assertEqual(self.faults.change("slow", {"rate": 6}).parameters["rate"], 6)
        with self.assertRaisesRegex(ValueError, "^for: cannot be changed: remove the fault, and"):
            self.faults.change("slow", {"for": 1})
        self.faults.reset()
        self.assertEqual(self.views(), before)

    def test_wrong_arguments(self) -> None:
        """One line says what is expected; nothing is added."""
        before = self.views()
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"kind": "latncy"}, "kind: unknown kind of fault 'latncy'; did you mean latency?"),
            ({"parameters": {"byte": 1}}, "byte: unknown parameter 'byte'; did you mean"),
            ({"parameters": {"bytes": 0}}, "bytes: expected an integer from 1 to 65536"),
            ({"parameters": {"for": 1}}, "for: unknown parameter 'for'"),
            ({"parameters": {"self": 1}}, "self: unknown parameter 'self'"),
            ({"kind": "latency"}, "delay: the key is missing"),
            ({"kind": "corrupt", "name": "corrupt"}, "expected another name: there is a fault"),
            (
                {"kind": "corrupt", "stream": "upsteam"},
                "stream: expected upstream or downstream or connection, found 'upsteam'",
            ),
            (
                {"kind": "corrupt", "stream": 7},
                "expected upstream or downstream or connection, found 7",
            ),
        )
        for arguments, message in cases:
            with self.assertRaises(ValueError) as caught:
                self.faults.add(**{"kind": "corrupt", **arguments})
            self.assertIn(message, str(caught.exception))
        self.assertEqual(self.views(), before)

    def test_kinds(self) -> None:
        """Each kind says what it takes, and a fault can be made of that."""
        self.assertEqual([*self.faults.kinds], ["upstream", "downstream", "connection"])
        self.assertEqual([*self.faults.kinds["upstream"]], [*STREAM_KINDS])
        kinds = self.faults.kinds["connection"]
        seconds = {"minimum": 0, "maximum": 10**9}
        share = {"minimum": 0, "maximum": 1}
        none = {"minimum": None, "maximum": None}
        self.assertEqual([*kinds], [*KINDS])
        self.assertEqual(
            kinds["latency"],
            {
                "delay": {"default": None, "unit": "seconds", **seconds},
                "jitter": {"default": 0.0, "unit": "seconds", **seconds},
                "since": {"default": "turn", "unit": "", **none},
                "probability": {"default": 1.0, "unit": "share", **share},
            },
        )
        self.assertEqual(kinds["bandwidth"]["rate"]["unit"], "bytes per second")
        self.assertEqual(kinds["slicer"]["size"]["unit"], "bytes")
        bounds = {name: kinds["slicer"][name]["minimum"] for name in ("size", "variation")}
        self.assertEqual(bounds, {"size": 1, "variation": 0})
        self.assertEqual(kinds["corrupt"]["bytes"]["maximum"], 2**16)
        for kind, parameters in kinds.items():
            given: dict[str, Any] = {
                name: 5 for name, it in parameters.items() if it["default"] is None
            }
            self.faults.add(kind, parameters=given)
        json.dumps([self.views(), self.faults.kinds])

    def test_a_factory_without_faults(self) -> None:
        """It is refused."""

        class Other(FrontFactory):
            def build_connection(self, peer: Any) -> Any:
                raise AssertionError

        with self.assertRaisesRegex(TypeError, "^factory: expected one with faults, found <"):
            ServiceFaults(Other(front_of(self.made)))


class RelayTests(RelayedCase):
    """A service that only forwards."""

    slow = DirectedFault(fault=Latency(delay=1), stream="upstream", name="slow", after=2)
    arguments = {"faults": [slow], "seed": 1}

    def setUp(self) -> None:
        super().setUp()
        self.faults = ServiceFaults(self.factory)

    def test_they_are_listed(self) -> None:
        """With their direction, and the window that they have."""
        window: dict[str, Any] = {"shared": True, "for": 5}
        self.faults.add("bandwidth", "downstream", parameters={"rate": 9, **window})
        self.assertEqual(
            [it.as_json() for it in self.faults],
            [
                {"name": "slow", "kind": "latency", "stream": "upstream"}
                | {"delay": 1, "jitter": 0.0, "probability": 1.0, "after": 2},
                {"name": "bandwidth", "kind": "bandwidth", "stream": "downstream"}
                | {"rate": 9, "probability": 1.0, "for": 5, "shared": True},
            ],
        )
        self.assertIsInstance(self.factory, RelayFactory)

    def test_a_reset(self) -> None:
        """Those of the definition are as they are there, and others are gone."""
        self.faults.change("slow", {"delay": 5})
        self.faults.add("corrupt", "upstream")
        self.faults.reset()
        self.assertEqual([it.directed for it in self.factory.faults], [self.slow])
        self.faults.remove("slow")
        self.faults.reset()
        self.assertEqual([it.directed for it in self.factory.faults], [self.slow])
        self.factory.reconfigure(self.upstream(), faults=[evolve(self.slow, after=3)])
        self.faults.reset()
        self.assertEqual([it.directed.after for it in self.factory.faults], [3])

    def test_kinds(self) -> None:
        """They are those of directions, for both of them."""
        self.assertEqual([*self.faults.kinds], ["upstream", "downstream"])
        self.assertEqual([*self.faults.kinds["upstream"]], [*STREAM_KINDS])
