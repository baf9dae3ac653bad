"""
Run many tests that use the fixture ``reqresp_server``, in parallel, several times.

The defaults are ``python -m tests.many_servers --tests 200 --processes 4 --times 20``.  The exit
status is 1 after the first run that fails or writes to standard error.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import nested

#: The number of seconds that a run can take.
RUN_TIMEOUT = 300

TESTS = """
import gc
import os
import socket
import threading

import pytest

from reqresp.testing import serve


@pytest.mark.parametrize("number", range({tests}))
def test_a_conversation(reqresp_server, number):
    what = [{{}}, {{"tls": True}}, {{"host": "::1"}}, {{"framing": "netstring"}}][number % 4]
    server = reqresp_server(**what, greeting="hello")
    server.on("NOOP").reply("+OK").fault("slicer", size=1)
    server.expect_next("STAT").wait(0.001).reply(str(number))
    framed = (lambda text: f"{{len(text)}}:{{text}},") if "framing" in what else "{{}}\\r\\n".format
    said = ""
    for turn in range(2):
        with socket.create_connection((server.host, server.port), 60) as client:
            if server.client_context:
                client = server.client_context.wrap_socket(client, server_hostname=server.host)
            with client, client.makefile("rb") as file:
                request = framed(["STAT", "NOOP"][turn])
                client.sendall(request.encode())
                expected = framed("hello") + framed([str(number), "+OK"][turn])
                assert file.read(len(expected)).decode() == expected
        if not turn:
            server.stop()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((server.host, server.port), 60)
            server.start()
    server.assert_received("STAT", times=1)


@pytest.fixture(scope="session")
def a_server_before():
    with serve():  # the first one makes Twisted keep a descriptor in reserve
        pass


@pytest.fixture(autouse=True)
def nothing_is_left(a_server_before):
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
"""


def run(tests: int, processes: int) -> str:
    """Run *tests* once; return the output of a run that fails, else an empty string."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "test_many.py").write_text(TESTS.format(tests=tests))
        # No pytest-twisted: it opens descriptors during the tests.
        done = subprocess.run(
            nested.pytest("-q", "-W", "error", "-n", str(processes)),
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT,
            check=False,
        )
    passed = f"{tests} passed" in done.stdout and not done.returncode and not done.stderr
    return "" if passed else done.stdout + done.stderr


def main() -> int:
    """Run as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.many_servers", description=__doc__)
    parser.add_argument("--tests", type=int, default=200, help="number of tests (default: 200)")
    parser.add_argument("--processes", type=int, default=4, help="number of processes (default: 4)")
    parser.add_argument("--times", type=int, default=20, help="number of runs (default: 20)")
    given = parser.parse_args()
    for number in range(1, given.times + 1):
        began = time.perf_counter()
        if wrong := run(given.tests, given.processes):
            sys.stderr.write(f"{wrong}\nrun {number} of {given.times} failed\n")
            return 1
        took = time.perf_counter() - began
        sys.stdout.write(f"run {number}: {given.tests} passed in {took:.1f} s\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
