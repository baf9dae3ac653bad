"""
Load: the load generators, and how their output is read.

Knows load generators.  It must not know which server replies.
"""

import csv
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Protocol

from attrs import evolve, frozen

from bench.clients import ask_keys, ask_paced, receive_bulk
from bench.values import UnavailableError

# redis-benchmark tries without end to connect to a server that has ended.
_LIMIT = 30.0
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@frozen
class Outcome:
    """The result of a load; *p50* and *p99* are milliseconds, None if replies are not timed."""

    requests: int
    rate: float
    p50: float | None = None
    p99: float | None = None


class Load(Protocol):
    """Sends requests to a server and counts the replies."""

    def run(self, port: int) -> Outcome: ...

    def times(self, factor: float) -> "Load":
        """Return the same load with *factor* times the work."""
        ...


@frozen
class RedisBenchmark:
    """redis-benchmark's ``PING_INLINE``: the request ``PING``, the reply ``+PONG``, with CRLF."""

    requests: int
    connections: int = 50
    depth: int = 1
    keep_alive: bool = True

    def run(self, port: int) -> Outcome:
        options = {
            "-h": "127.0.0.1",
            "-p": port,
            "-t": "ping_inline",
            "-n": self.requests,
            "-c": self.connections,
            "-P": self.depth,
            "-k": int(self.keep_alive),
        }
        words = [str(word) for option in options.items() for word in option]
        output = _output(["redis-benchmark", *words, "--csv"])
        return parse_redis_benchmark(output, self.requests)

    def times(self, factor: float) -> "RedisBenchmark":
        rounds = max(1, round(self.requests * factor / self.depth))
        return evolve(self, requests=max(rounds * self.depth, self.connections * self.depth))


@frozen
class Wrk:
    """wrk: HTTP/1.1 requests for a number of seconds."""

    seconds: int
    connections: int = 50

    def run(self, port: int) -> Outcome:
        options = ["-t", "1", "-c", str(self.connections), "-d", f"{self.seconds}s", "--latency"]
        return parse_wrk(_output(["wrk", *options, f"http://127.0.0.1:{port}/"]))

    def times(self, factor: float) -> "Wrk":
        return evolve(self, seconds=max(1, round(self.seconds * factor)))


@frozen
class Keys:
    """Our own client: it sends all keys equally often, and checks every reply."""

    requests: int
    keys: int
    depth: int = 16
    connections: int = 50

    def run(self, port: int) -> Outcome:
        begun = time.monotonic()
        asked = ask_keys(port, self.keys, self.depth, self.connections, self.requests)
        return Outcome(asked, asked / (time.monotonic() - begun))

    def times(self, factor: float) -> "Keys":
        # At least every key once, so that the warm-up includes what a server caches for each.
        return evolve(self, requests=max(self.keys, self.depth, round(self.requests * factor)))


@frozen
class Paced:
    """Our own client: so many requests a second, while some pages show what the server does."""

    seconds: float
    rate: int
    pages: int = 0
    connections: int = 20

    def run(self, port: int) -> Outcome:
        begun = time.monotonic()
        asked = ask_paced(port, self.rate, self.seconds, self.connections, self.pages)
        return Outcome(asked, asked / (time.monotonic() - begun))

    def times(self, factor: float) -> "Paced":
        return evolve(self, seconds=self.seconds * factor)


@frozen
class Bulk:
    """Our own client: it asks for one reply of a megabyte after the other, and drops it."""

    replies: int
    connections: int = 4
    size: int = 1_000_000

    def run(self, port: int) -> Outcome:
        begun = time.monotonic()
        received = receive_bulk(port, self.size, self.connections, self.replies)
        return Outcome(received, received / (time.monotonic() - begun))

    def times(self, factor: float) -> "Bulk":
        return evolve(self, replies=max(1, round(self.replies * factor)))


def parse_redis_benchmark(output: str, requests: int) -> Outcome:
    """
    Return the result in the last line of ``--csv``, which lacks the number of *requests*.

    :raises UnavailableError: there is no such line.
    """
    lines = [line for line in output.splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(lines))
    if not rows:
        raise UnavailableError("redis-benchmark printed no figures")
    row = rows[-1]
    return Outcome(
        requests, float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"])
    )


def parse_wrk(output: str) -> Outcome:
    """
    Return the result in wrk's report with ``--latency``.

    :raises UnavailableError: the report is incomplete, or has failed requests.
    """
    total = re.search(r"(\d+) requests in ", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if total is None or rate is None or int(total[1]) == 0:
        raise UnavailableError("wrk received no reply")
    failed = re.search(r"Socket errors:.*|Non-2xx.*", output)
    if failed is not None:
        raise UnavailableError(f"wrk: {failed[0]}")
    p50, p99 = (_percentile(output, percent) for percent in (50, 99))
    return Outcome(int(total[1]), float(rate[1]), p50, p99)


def _percentile(output: str, percent: int) -> float | None:
    found = re.search(rf"\b{percent}%\s+([\d.]+)(us|ms|s|m)\b", output)
    return None if found is None else float(found[1]) * _MILLISECONDS[found[2]]


def _output(command: Sequence[str]) -> str:
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} took longer than {_LIMIT:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise UnavailableError(f"{command[0]}: {said[-1] if said else done.returncode}")
    return done.stdout
