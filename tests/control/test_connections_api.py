"""The routes of connections: what they show, send and end."""

from typing import Any

from reqresp.server.pushes import MAX_PUSHED_BYTES
from tests.support.controlled import SERVICES, Controlled

RELAY = """
[[service]]
name = "relay"
listen = "tcp:2527:interface=127.0.0.1"
upstream = "127.0.0.1:6379"
"""
CONNECTIONS = "/api/services/smtp/connections"


class ConnectionsTests(Controlled):
    """The connections of a service."""

    services_text = SERVICES + RELAY

    def test_the_list(self) -> None:
        """Each open connection shows its number, its peer, and what it has done."""
        self.converse(b"EHLO x\n")
        self.connect().reset()
        self.reactor.advance(0)
        [connection] = self.get(CONNECTIONS)["connections"]
        self.assertGreater(connection.pop("since"), 0)
        self.assertEqual(
            connection,
            {"number": 1, "peer": "127.0.0.1:50000", "requests": 1, "received": 7, "sent": 22}
            | {"state": "start"},
        )

    def test_push(self) -> None:
        """Bytes are sent as they are, and the journal has them."""
        wire = self.converse(b"EHLO x\n")
        wire.received()
        for data in ("421 bye\r\n", {"hex": "FF00"}, {"base64": "/wA="}, {"text": "é"}):
            found = self.ask("POST", f"{CONNECTIONS}/1/push", {"data": data})
            self.assertEqual((found.status, found.data), (204, b""))
        self.assertEqual(wire.received(), b"421 bye\r\n\xff\x00\xff\x00\xc3\xa9")
        found = self.get("/api/services/smtp/entries?event=sent")["entries"]
        self.assertEqual(next(it["data"] for it in found if it["by"] == "push"), "421 bye\r\n")

    def test_push_in_a_frame(self) -> None:
        """Bytes are framed as replies are, and what no frame can express is refused."""
        wire = self.converse(b"EHLO x\n")
        wire.received()
        path = f"{CONNECTIONS}/1/push"
        self.assertEqual(self.ask("POST", path, {"data": "421 bye", "framed": True}).status, 204)
        self.assertEqual(wire.received(), b"421 bye\r\n")
        found = self.ask("POST", path, {"data": "a\nb", "framed": True})
        self.assertEqual((found.status, found.json["problems"][0]["path"]), (422, "data"))
        found = self.ask("POST", f"{CONNECTIONS}/9/push", {"data": "a", "framed": True})
        self.assert_refused(found, 404, "no open connection has the number 9")

    def test_broadcast(self) -> None:
        """Bytes are sent to all clients, or to those in a state, as they are or in a frame."""
        one, two = self.converse(b"EHLO x\n"), self.converse(b"DATA\n")
        for wire in (one, two):
            wire.received()
        states = [it["state"] for it in self.get(CONNECTIONS)["connections"]]
        self.assertEqual(states, ["start", "data"])
        for body, sent in (
            ({"data": "a"}, 2),
            ({"data": "b", "framed": True, "to": "state:data"}, 1),
        ):
            found = self.ask("POST", f"{CONNECTIONS}/push", body)
            self.assertEqual((found.status, found.json), (200, {"sent": sent}))
        self.assertEqual((one.received(), two.received()), (b"a", b"ab\r\n"))
        for wrong in ({"data": {"hex": "x"}}, {"data": "a\nb", "framed": True}):
            found = self.ask("POST", f"{CONNECTIONS}/push", wrong)
            self.assertEqual((found.status, found.json["problems"][0]["path"]), (422, "data"))

    def test_push_several(self) -> None:
        """All of them are sent, each in a frame unless it is raw; or none, if one is unusable."""
        wire = self.converse(b"EHLO x\n")
        wire.received()
        for path in (f"{CONNECTIONS}/1/push", f"{CONNECTIONS}/push"):
            payloads = ["a", {"hex": "ff", "raw": True}, "b"]
            found = self.ask("POST", path, {"data": payloads, "framed": True})
            self.assertIn(found.status, (200, 204), found.data)
            self.assertEqual(wire.received(), b"a\r\n\xffb\r\n")
            cases: list[tuple[list[Any], str, str]] = [
                (["a", "b\nc"], "data", "expected a payload without the delimiter"),
                (["a", {"hex": "f"}], "data[1]", "expected pairs of hex digits, found 'f'"),
                (["a", 3], "data[1]", "expected a string or an object, found 3"),
                ([], "data", "expected at least one element, found an empty list"),
            ]
            for data, place, problem in cases:
                found = self.ask("POST", path, {"data": data, "framed": True})
                [wrong] = found.json["problems"]
                self.assertEqual((found.status, wrong["path"]), (422, place), data)
                self.assertIn(problem, wrong["problem"])
            self.assertEqual(wire.received(), b"")

    def test_nobody_to_broadcast_to(self) -> None:
        """An addressee that no client can be is refused, and states are named."""
        self.connect()
        for to, problem in (
            ("everyone", 'expected "all" or "state:NAME", found \'everyone\''),
            ("others", 'expected "all" or "state:NAME", found \'others\''),
            ("state:nope", "unknown state 'nope'; expected one of: data, start"),
        ):
            found = self.ask("POST", f"{CONNECTIONS}/push", {"data": "a", "to": to})
            self.assert_refused(found, 422, f"to: {problem}")
            self.assertEqual(found.json["problems"][0]["path"], "to")
        found = self.ask("POST", f"{CONNECTIONS}/push", {"data": "a", "to": "state:data"})
        self.assertEqual(found.json, {"sent": 0})

    def test_broadcast_to_a_state_of_an_expectation(self) -> None:
        """A state that an expectation alone names is known."""
        expectation = {"kind": "on", "equals": "GO", "reply": "gone", "goto": "far"}
        self.assertEqual(
            self.ask("POST", "/api/services/smtp/expectations", expectation).status, 201
        )
        body = {"data": "a", "to": "state:far"}
        self.assertEqual(self.ask("POST", f"{CONNECTIONS}/push", body).json, {"sent": 0})
        self.converse(b"GO\n")
        self.assertEqual(self.ask("POST", f"{CONNECTIONS}/push", body).json, {"sent": 1})

    def test_a_relay(self) -> None:
        """It knows neither frames nor states."""
        path = "/api/services/relay/connections"
        self.assertEqual(self.get(path), {"connections": []})
        for route in ("push", "1/push"):
            found = self.ask("POST", f"{path}/{route}", {"data": "a", "framed": True})
            message = "relay forwards all bytes, and knows no frames and no states"
            self.assert_refused(found, 409, message)

    def test_what_cannot_be_pushed(self) -> None:
        """Templates, files, wrong encodings and too many bytes are refused."""
        wire = self.connect()
        wire.received()
        for data in ({"template": "{x}"}, {"file": "/etc/passwd"}, {"hex": "f"}, {}, 3):
            found = self.ask("POST", f"{CONNECTIONS}/1/push", {"data": data})
            self.assertEqual(found.status, 422, data)
        found = self.ask("POST", f"{CONNECTIONS}/1/push", {"data": {}})
        self.assert_refused(found, 422, "data: expected text, hex or base64")
        wire.stop_reading()
        most = MAX_PUSHED_BYTES - 100
        statuses = [
            self.ask("POST", f"{CONNECTIONS}/1/push", {"data": "x" * (most // 2)}).status
            for _ in range(4)
        ]
        self.assertEqual(statuses[-1], 409)

    def test_close_and_reset(self) -> None:
        """A connection is closed in order, or reset."""
        first, second = self.connect(), self.connect()
        self.assertEqual(self.ask("POST", f"{CONNECTIONS}/1/close").status, 204)
        self.assertEqual(self.ask("POST", f"{CONNECTIONS}/2/reset").status, 204)
        self.assertTrue(first.got_eof)
        self.assertFalse(first.got_reset)
        self.assertTrue(second.got_reset)

    def test_no_connection(self) -> None:
        """A connection that is not open is 404."""
        for what, body in (("push", {"data": "x"}), ("close", None), ("reset", None)):
            found = self.ask("POST", f"{CONNECTIONS}/9/{what}", body)
            self.assert_refused(found, 404, "no open connection has the number 9")
            found = self.ask("POST", f"/api/services/no/connections/9/{what}", body)
            self.assertEqual(found.status, 404)
