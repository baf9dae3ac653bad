"""The real twistd on a system clock that is set back by an hour."""

import os
import signal

import pytest

from tests.support import live
from tests.support.live import Server
from tests.support.live_case import LiveTestCase

#: Python runs this first, in workers, too.  The clock is an hour back for each byte in the file.
SITE = """\
import os, time

def set_back(now=time.time, path=os.environ["SET_BACK"], stat=os.stat):
    return now() - 3600 * stat(path).st_size

time.time = set_back
"""
SCRIPT = """\
framing = "line"
limits.idle_timeout = 3
rule = [
    { equals = "a", reply = "A" },
    { equals = "slow", delay = 1, reply = "S" },
    { equals = "late", delay = 1000, reply = "L" },
]
"""
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"


class ClockTests(LiveTestCase):
    """Every wait ends in its time; a stock reactor uses the time of day."""

    def setUp(self) -> None:
        super().setUp()
        (self.directory / "sitecustomize.py").write_text(SITE)
        (self.directory / "it.toml").write_text(SCRIPT)
        self.hours = self.directory / "hours"
        self.hours.touch()

    def start(self, *options: str) -> Server:
        """Start a server with a clock that can be set back."""
        paths = os.pathsep.join([str(self.directory), os.environ.get("PYTHONPATH", "")])
        server = live.start(
            self.directory,
            *("--reactor=poll", "reqresp", "--port=0", "--script=it.toml", "--drain=2"),
            *("--proxy-protocol", *options),
            env=os.environ | {"PYTHONPATH": paths, "SET_BACK": str(self.hours)},
        )
        return self.stopped(server)

    def set_back(self) -> None:
        """Set the clock back by another hour."""
        with self.hours.open("a") as file:
            file.write("-")

    def check(self, server: Server) -> None:
        """Set the clock back while a reply waits, a header, an idle client, and a drain."""
        waiting = self.connect(server)
        waiting.send(HEADER[:10])
        client = self.connect(server)
        self.begin(client, b"slow\n", HEADER)
        self.set_back()
        self.assertEqual(client.receive(3), b"S\r\n")
        self.assertEqual(client.rest(), b"")
        self.assertTrue(waiting.is_reset())
        late = self.connect(server)
        self.begin(late, b"late\n", HEADER)
        server.signal(signal.SIGTERM)
        server.log.wait(r"Port \d+ Closed")
        self.set_back()
        self.assertTrue(late.is_reset())
        self.assertEqual(server.wait(), -signal.SIGTERM)

    def test_one_process(self) -> None:
        """The log shows that the clock was set."""
        server = self.start()
        before = server.log.wait(r"^(\S+) .* starting on \d+$")[0][1]
        self.check(server)
        self.assertLess(server.log.lines()[-1][: len(before)], before)

    @pytest.mark.timeout(180)  # two processes start
    def test_workers(self) -> None:
        """What waits in a worker does so by monotonic time, too."""
        server = self.start("--workers=1")
        server.log.wait(r"\(pid \d+\) is ready")
        self.check(server)
