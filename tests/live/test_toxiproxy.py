"""Clients of toxiproxy, unchanged, and the real twistd that they control, with redis behind it."""

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest import SkipTest

import toxiproxy  # type: ignore[import-untyped]
from toxiproxy.exceptions import InvalidToxic, ProxyExists  # type: ignore[import-untyped]

from tests.support import live, services
from tests.support.live import PATIENCE, Client
from tests.support.live_case import LiveTestCase

#: Where clients in JavaScript are installed, as ``.ci/run`` does it.
JAVASCRIPT = Path(__file__).parent.parent / "javascript"


class ControlledCase(LiveTestCase):
    """A twistd with a control server, and a redis."""

    def setUp(self) -> None:
        super().setUp()
        self.redis = services.redis_server()
        self.addCleanup(self.redis.stop)
        # The service that options describe listens first.
        self.port = self.serve("--control=0", ports=2).ports[1]
        self.url = f"http://127.0.0.1:{self.port}"


class CurlTests(ControlledCase):
    """The walk through toxiproxy's README, with curl in place of its command."""

    def curl(self, path: str, *arguments: str) -> Any:
        """Ask for *path* with curl; return the JSON of the response, or None without one."""
        command = [live.program("curl"), "--silent", "--show-error", "--fail", *arguments]
        output = subprocess.run(
            [*command, self.url + path], check=True, stdout=subprocess.PIPE, timeout=PATIENCE
        ).stdout
        return json.loads(output) if output else None

    def ask_redis(self, listen: str, *words: str) -> str:
        """Return what redis-cli prints."""
        port = listen.rpartition(":")[2]
        command = [live.program("redis-cli"), "-p", port, *words]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        return (done.stdout + done.stderr).decode()

    def test_the_walk_through(self) -> None:
        """A redis gets slow, fast again, and out of reach."""
        body = {"name": "redis", "listen": "localhost:0", "upstream": self.redis.forward}
        # As people write it: curl says that it sends a form.
        redis = self.curl("/proxies", "-d", json.dumps(body))
        self.assertEqual(redis["enabled"], True)
        self.assertEqual(self.curl("/proxies"), {"redis": redis})
        listen = redis["listen"]
        self.assertEqual(self.ask_redis(listen, "SET", "omg", "pandas"), "OK\n")
        self.assertEqual(self.ask_redis(listen, "GET", "omg"), "pandas\n")
        toxic = self.curl(
            *("/proxies/redis/toxics", "-d"),
            '{"type": "latency", "attributes": {"latency": 1000}}',
        )
        self.assertEqual(toxic["name"], "latency_downstream")
        begin = time.monotonic()
        self.assertEqual(self.ask_redis(listen, "DEL", "omg"), "1\n")
        self.assertGreaterEqual(time.monotonic() - begin, 1)
        self.curl("/proxies/redis/toxics/latency_downstream", "-X", "DELETE")
        self.assertEqual(self.ask_redis(listen, "GET", "omg"), "\n")
        self.curl("/proxies/redis", "-X", "DELETE")
        self.assertIn("Connection refused", self.ask_redis(listen, "GET", "omg"))

    def test_an_error(self) -> None:
        """The body of an error is that of toxiproxy."""
        done = subprocess.run(
            [live.program("curl"), "-s", "-w", " %{http_code}", f"{self.url}/proxies/no"],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        self.assertEqual(
            done.stdout.split(b"\n"), [b'{"error":"proxy not found","status":404}', b" 404"]
        )


class PythonTests(ControlledCase):
    """toxiproxy-python."""

    def setUp(self) -> None:
        super().setUp()
        self.toxiproxy = toxiproxy.Toxiproxy()
        self.toxiproxy.update_api_consumer("127.0.0.1", self.port)
        self.proxy = self.toxiproxy.create(upstream=self.redis.forward, name="redis")

    def ping(self) -> tuple[bytes, float]:
        """Return what a redis says through the proxy, and how many seconds that took."""
        begin = time.monotonic()
        with Client(self.address) as client:
            client.send(b"PING\r\nQUIT\r\n")
            return client.rest(), time.monotonic() - begin

    @property
    def address(self) -> tuple[str, int]:
        """Where the proxy listens."""
        host, port = self.proxy.listen.split(":")
        return host, int(port)

    def is_up(self) -> bool:
        """Return whether the proxy accepts connections."""
        with socket.socket() as client:
            return client.connect_ex(self.address) == 0

    def test_proxies(self) -> None:
        """They are created, found, disabled, enabled and destroyed."""
        self.assertTrue(self.toxiproxy.running())
        self.assertEqual(self.toxiproxy.version(), b'{"version": "2.12.0"}\n')
        with self.assertRaises(ProxyExists):
            self.toxiproxy.create(upstream=self.redis.forward, name="redis")
        found = self.toxiproxy.get_proxy("redis")
        self.assertEqual((found.upstream, found.listen), (self.redis.forward, self.proxy.listen))
        with self.proxy.down():
            self.assertFalse(self.is_up())
        self.assertTrue(self.is_up())
        self.proxy.disable()
        self.toxiproxy.reset()
        self.assertTrue(self.is_up())
        self.toxiproxy.destroy_all()
        self.assertEqual(self.toxiproxy.proxies(), {})
        self.assertFalse(self.is_up())

    def test_populate(self) -> None:
        """Those that are there already stay."""
        wanted = {"name": "redis", "upstream": self.redis.forward, "listen": self.proxy.listen}
        other = {**wanted, "name": "other", "listen": "localhost:0"}
        made = self.toxiproxy.populate([wanted, other])
        self.assertEqual([it.name for it in made], ["other"])
        self.assertEqual({*self.toxiproxy.proxies()}, {"redis", "other"})

    def test_toxics(self) -> None:
        """They come and go; those of both directions, and of one type, add up."""
        self.proxy.add_toxic(type="latency", attributes={"latency": 100}, stream="upstream")
        self.proxy.add_toxic(type="latency", attributes={"latency": 100})
        self.proxy.add_toxic(type="latency", attributes={"latency": 100}, name="second")
        reply, took = self.ping()
        self.assertEqual(reply, b"+PONG\r\n+OK\r\n")
        self.assertGreaterEqual(took, 0.3)
        toxic = self.proxy.get_toxic("latency_downstream")
        self.assertEqual((toxic.attributes["latency"], toxic.toxicity), (100, 1))
        with self.assertRaises(InvalidToxic):
            self.proxy.add_toxic(type="latency", attributes={}, stream="lolstream")
        for name in ("latency_upstream", "latency_downstream", "second"):
            self.proxy.destroy_toxic(name)
        self.assertEqual(self.proxy.toxics(), {})
        self.assertEqual(self.ping()[0], b"+PONG\r\n+OK\r\n")

    def test_an_open_connection_is_cut(self) -> None:
        """As libraries that run containers do it: with a rate of 0, both ways."""
        with Client(self.address) as client:
            self.assertEqual(client.ask(b"PING\r\n", 7), b"+PONG\r\n")
            for stream in ("upstream", "downstream"):
                self.proxy.add_toxic(
                    type="bandwidth", attributes={"rate": 0}, stream=stream, name=stream
                )
            client.send(b"PING\r\n")
            client.socket.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                client.receive(1)
            client.socket.settimeout(PATIENCE)
            for stream in ("upstream", "downstream"):
                self.proxy.destroy_toxic(stream)
            self.assertEqual(client.receive(7), b"+PONG\r\n")


class JavaScriptTests(ControlledCase):
    """toxiproxy-node-client."""

    def test_its_suite(self) -> None:
        """Each of its calls does what it does with toxiproxy."""
        node = live.program("node")
        if not (JAVASCRIPT / "node_modules").is_dir():
            raise SkipTest(f"run npm ci in {JAVASCRIPT}")
        environment = {**os.environ, "CONTROL": self.url, "REDIS": self.redis.forward}
        done = subprocess.run(
            [node, "--test", "toxiproxy.test.mjs"],
            cwd=JAVASCRIPT,
            env=environment,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        output = done.stdout.decode()
        self.assertEqual(done.returncode, 0, output)
        [passed] = re.findall(r"pass (\d+)", output)
        self.assertGreater(int(passed), 10)
