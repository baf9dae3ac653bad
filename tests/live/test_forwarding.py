"""A server that answers some requests and forwards the rest, with redis behind it."""

import json

import redis

from tests.support import services
from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase

SCRIPT = """
framing = "resp"
upstream = {{ address = "{host}:{port}" }}
unmatched = {{ forward = true }}

[[rule]]
name   = "faked"
equals = "GET stock"
reply  = "$1\\r\\n0"
"""


class RedisTests(LiveTestCase):
    """redis-py, in front of it reqresp, and behind that redis-server."""

    def setUp(self) -> None:
        super().setUp()
        service = services.redis_server()
        self.addCleanup(service.stop)
        script = self.directory / "fake.toml"
        script.write_text(SCRIPT.format(host=service.host, port=service.port))
        self.server = self.serve(f"--script={script}", "--journal=it.jsonl", "--record=it.rec")

    def client(self, protocol: int) -> "redis.Redis":
        """Return a client of the server that speaks this version of RESP."""
        client = redis.Redis(
            host="127.0.0.1",
            port=self.server.port,
            protocol=protocol,
            socket_timeout=PATIENCE,
        )
        self.addCleanup(client.close)
        return client

    def test_one_command_is_faked_by_a_rule(self) -> None:
        """Everything else is redis's, in a pipeline as well; large values, too."""
        large = bytes(range(256)) * 8192
        for protocol in (2, 3):
            client = self.client(protocol)
            client.set("stock", "7")
            client.delete("hits", "large")
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(500):
                    pipeline.incr("hits")
                    pipeline.get("stock")
                    pipeline.get("hits")
                got = pipeline.execute()
            expected = [it for at in range(1, 501) for it in (at, b"0", str(at).encode())]
            self.assertEqual(got, expected)
            self.assertEqual(client.strlen("stock"), 1)
            client.append("large", large[: 32 * 1024])
            for start in range(32 * 1024, len(large), 32 * 1024):
                client.append("large", large[start : start + 32 * 1024])
            self.assertEqual(client.get("large"), large)
            self.assertEqual(client.get("stock"), b"0")

    def test_subscriptions(self) -> None:
        """Messages arrive in a client that has subscribed, beside faked answers of another."""
        for protocol in (2, 3):
            client = self.client(protocol)
            subscriber = client.pubsub()
            self.addCleanup(subscriber.close)
            subscriber.subscribe("a", "b")
            kinds = [subscriber.get_message(timeout=PATIENCE) for _ in range(2)]
            self.assertEqual([it and it["type"] for it in kinds], ["subscribe"] * 2)
            for number in range(100):
                client.publish("a", str(number))
                self.assertEqual(client.get("stock"), b"0")
            messages = [subscriber.get_message(timeout=PATIENCE) for _ in range(100)]
            self.assertEqual(
                [it and it["data"] for it in messages], [str(it).encode() for it in range(100)]
            )

    def test_what_is_written_down(self) -> None:
        """The journal has both kinds of answers; the recording has what passed upstream only."""
        client = self.client(2)
        client.set("a", "1")
        client.get("stock")
        client.close()
        self.server.stop()
        lines = [json.loads(it) for it in (self.directory / "it.jsonl").read_text().splitlines()]
        answered = {it["request"]: it for it in lines if it["event"] == "answered"}
        set_a = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
        self.assertEqual(answered["SET a 1"]["received"], set_a)
        self.assertEqual(answered["SET a 1"]["steps"], [{"forward": "+OK\r\n"}])
        self.assertEqual(answered["SET a 1"]["by"], "unmatched")
        self.assertEqual(answered["GET stock"]["by"], "faked")
        recording = (self.directory / "it.rec").read_text()
        self.assertIn("SET", recording)
        self.assertIn("+OK", recording)
        self.assertNotIn("stock", recording)
