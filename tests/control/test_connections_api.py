"""The routes of connections: what they show, send and end."""

from reqresp.server.pushes import MAX_PUSHED_BYTES
from tests.support.controlled import Controlled

CONNECTIONS = "/api/services/smtp/connections"


class ConnectionsTests(Controlled):
    """The connections of a service."""

    def test_the_list(self) -> None:
        """Each open connection shows its number, its peer, and what it has done."""
        self.converse(b"EHLO x\n")
        self.connect().reset()
        self.reactor.advance(0)
        [connection] = self.get(CONNECTIONS)["connections"]
        self.assertGreater(connection.pop("since"), 0)
        self.assertEqual(
            connection,
            {"number": 1, "peer": "127.0.0.1:50000", "requests": 1, "received": 7, "sent": 22},
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

    def test_what_cannot_be_pushed(self) -> None:
        """Templates, files, wrong encodings and too many bytes are refused."""
        wire = self.connect()
        wire.received()
        for data in ({"template": "{x}"}, {"file": "/etc/passwd"}, {"hex": "f"}, {}, 3):
            found = self.ask("POST", f"{CONNECTIONS}/1/push", {"data": data})
            self.assertEqual(found.status, 422, data)
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
