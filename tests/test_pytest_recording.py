"""Recording in tests: ``recording=`` and ``--reqresp-record``, in runs of pytest."""

import os
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import nested
from tests.support.live import PATIENCE

#: Tests of a client that are recorded.
TESTS = """\
import os
import socket

import pytest

from reqresp import Table
from reqresp.testing import Server


@pytest.fixture(scope="module")
def upstream():
    if "SERVICE" not in os.environ:  # it is stopped
        yield ("127.0.0.1", 1)
        return
    service = Server(respond=Table({b"a": os.environ["SERVICE"].encode()}))
    yield service.host, service.port
    service.end()


def ask(server):
    with socket.create_connection((server.host, server.port), 60) as client:
        client.sendall(b"a\\n")
        return client.recv(100).decode().rstrip()


def test_login(reqresp_server, upstream):
    server = reqresp_server(upstream=upstream, recording="recordings/login.rec")
    assert ask(server) in ("1", "2")


def test_logout(reqresp_server, upstream):
    server = reqresp_server(upstream=upstream, recording="logout.rec", record="once")
    assert ask(server) == os.environ.get("EXPECTED", "1")
"""


class RecordingTests(SynchronousTestCase):
    """Two tests of a client, in a directory below that in which pytest runs."""

    FILES = ("logout.rec", "recordings/login.rec")

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name, "sub")
        self.directory.mkdir()
        (self.directory / "test_it.py").write_text(TESTS)

    def run_tests(self, *options: str, **environment: str) -> tuple[int, str]:
        """Run the tests; return the status and the output."""
        ended = subprocess.run(
            nested.pytest("-c", "/dev/null", "--rootdir", ".", "sub/test_it.py", *options),
            cwd=self.directory.parent,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return ended.returncode, ended.stdout

    def files(self) -> tuple[str, ...]:
        """Return the files that are there now."""
        found = [it for it in self.directory.rglob("*") if it.is_file()]
        names = sorted(str(it.relative_to(self.directory)) for it in found)
        return tuple(it for it in names if not it.endswith((".py", ".pyc")))

    def test_once(self) -> None:
        """The first run records beside the tests, and later runs need no service."""
        for more in ((), ("-n", "2")):
            status, output = self.run_tests(*more, SERVICE="1")
            self.assertEqual((status, self.files()), (0, self.FILES), output)
            status, output = self.run_tests(*more)
            self.assertEqual(status, 0, output)
            for name in self.FILES:
                (self.directory / name).unlink()

    def test_a_test_that_fails(self) -> None:
        """Only what a test that has passed has recorded is kept."""
        status, output = self.run_tests(SERVICE="2")
        self.assertEqual((status, self.files()), (1, ("recordings/login.rec",)), output)

    def test_none(self) -> None:
        """Without the file, the error has the command that records it."""
        status, output = self.run_tests("--reqresp-record=none", SERVICE="1")
        self.assertEqual((status, self.files()), (1, ()))
        self.assertRegex(
            output,
            r"recording: \S*/sub/logout\.rec does not exist; to record it, run:"
            r" pytest --reqresp-record=once sub/test_it\.py::test_logout\n",
        )

    def test_rewrite_and_all(self) -> None:
        """The option overrides ``record=``: the service answers, and the file changes."""
        self.run_tests(SERVICE="1")
        path = self.directory / "logout.rec"
        for mode, conversations in (("rewrite", 1), ("all", 2)):
            status, output = self.run_tests(f"--reqresp-record={mode}", SERVICE="2", EXPECTED="2")
            self.assertEqual(status, 0, output)
            text = path.read_text()
            self.assertEqual(text.count("< 2\\r\\n\n"), conversations, text)
            self.assertNotIn("< 1", text)

    def test_another_mode(self) -> None:
        """Another word is refused by pytest."""
        status, output = self.run_tests("--reqresp-record=new")
        self.assertEqual(status, 4)
        self.assertIn("invalid choice: 'new'", output)

    def test_no_client(self) -> None:
        """A test that passes and records nothing says so."""
        start = 'reqresp_server(upstream="localhost:1", recording="a")'
        test = f"def test_it(reqresp_server):\n    {start}\n"
        (self.directory / "test_it.py").write_text(test)
        status, output = self.run_tests("-W", "default")
        self.assertEqual((status, self.files()), (0, ()), output)
        self.assertRegex(
            output, r"UserWarning: recording: \S*/sub/a: nothing was recorded: no client"
        )
