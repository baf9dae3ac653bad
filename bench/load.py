"""
Load: what asks a server, and what it says of it.

Knows load generators and their output; nothing of which server answers.
"""

import csv
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Protocol

from attrs import evolve, frozen

from bench.clients import ask_keys
from bench.values import UnavailableError

# redis-benchmark tries for ever to reach a server that is gone.
_LIMIT = 30.0
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@frozen
class Outcome:
    """What a load saw: *p50* and *p99* are milliseconds, None where it does not time replies."""

    requests: int
    rate: float
    p50: float | None = None
    p99: float | None = None


class Load(Protocol):
    """Something that asks and counts."""

    def run(self, port: int) -> Outcome: ...

    def times(self, factor: float) -> "Load":
        """The same with *factor* times the work: to warm up, to try out, for a slow server."""
        ...


@frozen
class RedisBenchmark:
    """redis-benchmark's ``PING_INLINE``: ``PING`` and CRLF, answered by ``+PONG`` and CRLF."""

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
    """wrk: HTTP/1.1 requests for some seconds."""

    seconds: int
    connections: int = 50

    def run(self, port: int) -> Outcome:
        options = ["-t", "1", "-c", str(self.connections), "-d", f"{self.seconds}s", "--latency"]
        return parse_wrk(_output(["wrk", *options, f"http://127.0.0.1:{port}/"]))

    def times(self, factor: float) -> "Wrk":
        return evolve(self, seconds=max(1, round(self.seconds * factor)))


@frozen
class Keys:
    """Our own client: as many different keys, equally often, and every reply compared."""

    requests: int
    keys: int
    depth: int = 16
    connections: int = 50

    def run(self, port: int) -> Outcome:
        begun = time.monotonic()
        asked = ask_keys(port, self.keys, self.depth, self.connections, self.requests)
        return Outcome(asked, asked / (time.monotonic() - begun))

    def times(self, factor: float) -> "Keys":
        # Every key once, or what a server learns of each would be counted as what it costs.
        return evolve(self, requests=max(self.keys, self.depth, round(self.requests * factor)))


def parse_redis_benchmark(output: str, requests: int) -> Outcome:
    """
    Read the last line of ``--csv``; it does not tell the number of requests.

    :raises UnavailableError: there is no such line.
    """
    lines = [line for line in output.splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(lines))
    if not rows:
        raise UnavailableError("redis-benchmark gave no figures")
    row = rows[-1]
    return Outcome(
        requests, float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"])
    )


def parse_wrk(output: str) -> Outcome:
    """
    Read wrk's report with ``--latency``.

    :raises UnavailableError: it is incomplete, or tells of replies that were no success.
    """
    total = re.search(r"(\d+) requests in ", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if total is None or rate is None or int(total[1]) == 0:
        raise UnavailableError("wrk got no reply")
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
