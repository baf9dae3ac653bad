"""The fixture ``reqresp_server`` that records redis, and replays it with redis stopped."""

import os
import subprocess

from reqresp.recording import load
from tests.support import nested, services
from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase

#: A test of redis-py; which of both answers makes no difference to it.
TESTS = """\
import os

import pytest
import redis


@pytest.mark.parametrize("protocol", [2, 3])
def test_it(reqresp_server, protocol):
    server = reqresp_server(
        upstream=("127.0.0.1", int(os.environ["SERVICE"])), recording=f"redis-{protocol}.rec"
    )
    with redis.Redis(
        host=server.host, port=server.port, protocol=protocol, socket_timeout=60
    ) as client:
        client.delete("key", "list")
        assert client.set("key", b"\\0\\xff\\r\\n") is True
        assert client.get("key") == b"\\0\\xff\\r\\n"
        assert client.rpush("list", "a", "b") == 2
        with client.pipeline() as pipeline:
            assert pipeline.incr("list:count").incr("list:count").execute()[1] % 2 == 0
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.get("list")
        subscriber = client.pubsub(ignore_subscribe_messages=True)
        subscriber.subscribe("news")
        subscriber.get_message(timeout=60)
        assert client.publish("news", "hello") == 1
        message = None
        while message is None:
            message = subscriber.get_message(timeout=60)
        assert message["data"] == b"hello"
        subscriber.close()
"""


class FixtureTests(LiveTestCase):
    """Two runs of pytest: one with redis, and one without."""

    def run_tests(self, port: int, *options: str) -> str:
        """Run the tests, which have to pass, and return what pytest prints."""
        ended = subprocess.run(
            nested.pytest("-c", "/dev/null", "--rootdir", ".", "test_it.py", *options),
            cwd=self.directory,
            env=os.environ | {"SERVICE": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return ended.stdout

    def test_recorded_once_and_replayed(self) -> None:
        """The same assertions hold; the second run needs no redis, and changes no file."""
        (self.directory / "test_it.py").write_text(TESTS)
        service = services.redis_server()
        self.addCleanup(service.stop)
        self.run_tests(service.port)
        service.stop()
        files = [self.directory / f"redis-{protocol}.rec" for protocol in (2, 3)]
        before = [it.read_bytes() for it in files]
        for file in files:
            self.assertGreaterEqual(len(load(file).conversations), 2)
        for more in ((), ("--reqresp-record=none",)):
            output = self.run_tests(service.port, *more)
            self.assertIn("2 passed", output)
            self.assertNotIn("UnusedRecordingWarning", output)
        self.assertEqual([it.read_bytes() for it in files], before)
