"""Faults of what clients send, on real sockets: a client that is slowed down."""

import json
import signal
import socket

import pytest

from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase

#: More than the buffers of two sockets and of a server hold.
MUCH = 64 * 1024 * 1024


class ScriptTests(LiveTestCase):
    """twistd with a script that reads slowly."""

    def test_a_client_is_slowed_down(self) -> None:
        """It cannot send on; the log names the fault; without it, all is read."""
        fault = (
            '[[fault]]\nstream = "upstream"\nname = "thin line"\nkind = "bandwidth"\nrate = 1000\n'
        )
        rest = 'framing = "eof"\n[unmatched]\nreply = "done"\n[limits]\nmax_request = 100000000\n'
        script = self.directory / "it.toml"
        script.write_text(f"{rest}{fault}")
        server = self.serve("--script=it.toml", "--port=0", "--journal=it.jsonl")
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.sendall(bytes(MUCH))
            server.log.wait(r"#1 upstream  \(faults: thin line\)")
            script.write_text(rest)
            server.signal(signal.SIGHUP)
            server.log.wait("reloaded")
            client.settimeout(PATIENCE)
            client.sendall(b"the end")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(100), b"done")
        server.stop()
        lines = [json.loads(it) for it in (self.directory / "it.jsonl").read_text().splitlines()]
        [faulted] = [it for it in lines if it["event"] == "faulted"]
        self.assertEqual((faulted["stream"], faulted["faults"]), ("upstream", ["thin line"]))
