"""The routes of faults: what they add, change and remove."""

from typing import Any

from tests.support.controlled import SERVICES, Controlled

FAULTS = "/api/services/smtp/faults"
RELAY = """
[[service]]
name = "relay"
listen = "tcp:2527:interface=127.0.0.1"
upstream = "127.0.0.1:6379"

[[service.fault]]
kind = "latency"
stream = "upstream"
delay = 0.5
"""


class ReplyFaultsTests(Controlled):
    """The faults of a service that answers."""

    def add(self, **fault: Any) -> Any:
        """Add a fault; return it as shown."""
        found = self.ask("POST", FAULTS, {"kind": "latency", "stream": "downstream", **fault})
        self.assertEqual(found.status, 201, found.data)
        return found.json

    def test_add(self) -> None:
        """A fault applies to the next reply of an open connection, and is listed."""
        wire = self.converse(b"EHLO x\n")
        wire.received()
        added = self.add(delay=2)
        self.assertEqual(
            added,
            {
                "name": "latency",
                "kind": "latency",
                "stream": "downstream",
                "delay": 2,
                "jitter": 0.0,
                "since": "turn",
                "probability": 1.0,
            },
        )
        wire.send(b"EHLO x\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(2)
        self.assertEqual(wire.received(), b"250 hello\r\n")
        self.assertEqual(self.get(FAULTS)["faults"], [added])

    def test_a_fault_of_connections(self) -> None:
        """A fault of connections has its own stream."""
        self.assertEqual(self.add(stream="connection", delay=1)["stream"], "connection")
        wire = self.connect()
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"220 ready\r\n")

    def test_change_and_remove(self) -> None:
        """A fault is changed and removed by its name."""
        name = self.add(delay=9, name="slow one")["name"]
        path = f"{FAULTS}/slow%20one"
        changed = self.ask("PATCH", path, {"delay": 1, "probability": 0.5})
        self.assertEqual((changed.status, changed.json["name"]), (200, name))
        self.assertEqual((changed.json["delay"], changed.json["probability"]), (1, 0.5))
        self.assertEqual(self.ask("PATCH", path, {}).json, changed.json)
        self.assertEqual(self.ask("DELETE", path).status, 204)
        self.assertEqual(self.ask("DELETE", path).status, 404)
        self.assertEqual(self.ask("PATCH", path, {"delay": 1}).status, 404)
        self.assertEqual(self.converse(b"EHLO x\n").received(), b"220 ready\r\n250 hello\r\n")

    def test_names(self) -> None:
        """A name is given unless it is chosen, and belongs to one fault."""
        names = [self.add(delay=1)["name"] for _ in range(2)]
        self.assertEqual(names, ["latency", "latency-2"])
        body = {"kind": "blackhole", "stream": "downstream", "name": "latency"}
        found = self.ask("POST", FAULTS, body)
        self.assert_refused(found, 409, "expected another name: there is a fault 'latency'")

    def test_what_clients_send(self) -> None:
        """Such a fault is added, changed and removed as others are."""
        body = {"kind": "bandwidth", "stream": "upstream", "rate": 5, "shared": True}
        found = self.ask("POST", FAULTS, body)
        self.assertEqual(found.status, 201)
        added = {"name": "bandwidth", "probability": 1.0, **body}
        self.assertEqual(found.json, added)
        found = self.ask("PATCH", f"{FAULTS}/bandwidth", {"rate": 6})
        self.assertEqual(found.json, {**added, "rate": 6})
        self.assertEqual(self.get(FAULTS)["faults"], [{**added, "rate": 6}])
        self.assertEqual(self.ask("DELETE", f"{FAULTS}/bandwidth").status, 204)
        self.assertEqual(self.get(FAULTS)["faults"], [])

    def test_problems(self) -> None:
        """A fault that cannot be is 422, and names what is wrong; nothing is changed."""
        for fault, where in (
            ({"delay": -1}, "delay"),
            ({"delay": "1"}, "delay"),
            ({"delay": 1, "since": "now"}, "since"),
            ({"delay": [[]]}, "delay"),
            ({"delay": 1, "probability": 2}, "probability"),
            ({"delay": 1, "stream": "upsteam"}, "stream"),
            ({"delay": 1, "stream": 3}, "stream"),
            ({"delay": 1, "name": ""}, "name"),
            ({"delay": 1, "name": "a\nb"}, "name"),
            ({"delay": 1, "name": 7}, "name"),
            ({"delay": 1, "after": -1}, "after"),
            ({"delay": 1, "for": 1}, "for"),
            ({"delay": 1, "rate": 1}, "rate"),
            ({"delay": 1, "self": 1}, "self"),
            ({"kind": "latencies", "delay": 1}, None),
            ({"kind": [], "delay": 1}, "kind"),
            ({}, "delay"),
        ):
            body = {"kind": "latency", "stream": "downstream", **fault}
            found = self.ask("POST", FAULTS, body)
            self.assertEqual(found.status, 422, (fault, found.data))
            if where is not None:
                self.assertEqual(found.json["problems"][0]["path"], where)
        self.assertEqual(self.ask("POST", FAULTS, {"stream": "downstream"}).status, 422)
        self.assertEqual(self.get(FAULTS)["faults"], [])
        self.add(delay=1)
        for name, value in (
            *(("delay", -1), ("delay", None)),
            *(("rate", 1), ("kind", "timeout"), ("self", 1)),
        ):
            found = self.ask("PATCH", f"{FAULTS}/latency", {name: value})
            self.assertEqual(found.status, 422, name)
            self.assertEqual([it["path"] for it in found.json["problems"]], [name])
        found = self.ask("PATCH", f"{FAULTS}/latency", {"after": 1})
        self.assert_refused(
            found, 422, "after: cannot be changed: remove the fault, and add it again"
        )
        self.assertEqual(self.get(FAULTS)["faults"][0]["delay"], 1)

    def test_the_kinds(self) -> None:
        """Each stream has the kinds that it can have, with defaults, units and bounds."""
        kinds = self.get(FAULTS)["kinds"]
        seconds = {"minimum": 0, "maximum": 10**9}
        share = {"minimum": 0, "maximum": 1}
        none = {"minimum": None, "maximum": None}
        self.assertEqual({*kinds}, {"downstream", "connection", "upstream"})
        self.assertEqual(
            kinds["downstream"]["latency"],
            {
                "delay": {"default": None, "unit": "seconds", **seconds},
                "jitter": {"default": 0.0, "unit": "seconds", **seconds},
                "since": {"default": "turn", "unit": "", **none},
                "probability": {"default": 1.0, "unit": "share", **share},
            },
        )
        self.assertEqual(kinds["connection"]["bandwidth"]["rate"]["unit"], "bytes per second")
        rate = kinds["connection"]["bandwidth"]["rate"]
        self.assertEqual([rate["minimum"], rate["maximum"]], [0, None])
        self.assertIn("stop_reading", kinds["downstream"])


class RelayFaultsTests(Controlled):
    """The faults of a relay."""

    services_text = SERVICES + RELAY

    def test_directions(self) -> None:
        """Faults of a relay have a direction, and a time in which they apply."""
        path = "/api/services/relay/faults"
        shown = self.get(path)
        self.assertEqual({*shown["kinds"]}, {"upstream", "downstream"})
        self.assertNotIn("stop_reading", shown["kinds"]["upstream"])
        [first] = shown["faults"]
        self.assertEqual((first["stream"], first["delay"]), ("upstream", 0.5))
        body = {"kind": "bandwidth", "stream": "downstream", "rate": 9, "shared": True, "for": 3}
        found = self.ask("POST", path, body)
        self.assertEqual(found.status, 201, found.data)
        self.assertEqual((found.json["for"], found.json["shared"]), (3, True))
        for change in ({"stream": "connection"}, {"kind": "stop_reading"}, {"after": -1}):
            self.assertEqual(self.ask("POST", path, body | change).status, 422, change)

    def test_what_only_replies_have(self) -> None:
        """In a relay, delays always count from arrival: it is not shown, and cannot be set."""
        path = "/api/services/relay/faults"
        shown = self.get(path)
        self.assertNotIn("since", shown["kinds"]["upstream"]["latency"])
        self.assertNotIn("since", shown["faults"][0])
        for method, place in (("POST", path), ("PATCH", f"{path}/{shown['faults'][0]['name']}")):
            body = {"kind": "latency", "stream": "upstream", "delay": 1} if place == path else {}
            found = self.ask(method, place, body | {"since": "arrival"})
            self.assertEqual(found.status, 422, found.data)
            self.assertEqual([it["path"] for it in found.json["problems"]], ["since"])
