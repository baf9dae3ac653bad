"""What tcpdump has captured on loopback, imported and replayed."""

import signal
import subprocess
import threading
import time
from unittest import SkipTest

import redis

from tests.support import live, services
from tests.support.command import CommandTestCase
from tests.support.live import PATIENCE, Log
from tests.support.live_case import LiveTestCase

#: A request that says that everything before it was captured.
SENTINEL = b"everything-before-was-captured"


class TcpdumpTests(LiveTestCase, CommandTestCase):
    """A conversation of redis-py with redis-server."""

    def capture(self, port: int) -> "subprocess.Popen[bytes]":
        """Start tcpdump on loopback; it writes ``it.pcap``."""
        with (self.directory / "it.pcap").open("wb") as file:
            process = subprocess.Popen(
                # It would drop the rights to write a file of its own.  Each packet takes 256 KiB of
                # its buffer, whatever its size, so it has 64 MiB: else some are lost.
                [
                    *(live.program("tcpdump"), "-i", "lo", "-p", "-U", "--immediate-mode"),
                    *("-B", str(64 * 1024)),
                    *("-w", "-", "tcp", "port", str(port)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
            )
        log = Log(process.stderr)
        self.addCleanup(log.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        [found] = log.wait("listening on lo|permi(tted|ssion)")
        if not found[0].startswith("listening"):
            raise SkipTest(f"tcpdump may not capture: {log.text()}")
        return process

    def talk(self, port: int) -> list[object]:
        """Return what redis-py gets for some commands, on two connections after each other."""
        got: list[object] = []
        for protocol in (2, 3):
            client = redis.Redis(
                host="127.0.0.1", port=port, protocol=protocol, socket_timeout=PATIENCE
            )
            got += [client.set("key", b"\0\xff" * 40_000), client.get("key")]
            with client.pipeline(transaction=True) as pipeline:
                for number in range(100):
                    pipeline.set(f"key{number}", number)
                    pipeline.get(f"key{number}")
                got += pipeline.execute()
            try:
                client.lpush("key", "a")
            except redis.ResponseError as error:
                got.append(str(error))
            client.close()
        return got

    def wait_for(self, data: bytes) -> None:
        """Wait until *data* was captured."""
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while data not in (self.directory / "it.pcap").read_bytes():
            self.assertLess(time.monotonic(), deadline, "it was not captured")
            pause.wait(0.02)

    def test_a_capture_is_imported_and_replayed(self) -> None:
        """The client gets the same from the replay, with redis stopped."""
        service = services.redis_server()
        self.addCleanup(service.stop)
        process = self.capture(service.port)
        got = self.talk(service.port)
        with redis.Redis(host="127.0.0.1", port=service.port) as client:
            client.echo(SENTINEL)
        self.wait_for(SENTINEL)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), 0)
        service.stop()
        capture = str(self.directory / "it.pcap")
        lines = self.good("import", capture, "--port", str(service.port))
        recording = self.directory / "it.rec"
        recording.write_text("\n".join(lines) + "\n")
        self.good("check", str(recording))
        with self.serve("--replay=it.rec") as server:
            self.assertEqual(self.talk(server.port), got)
        self.assertNotIn("differs from", server.log.text())
