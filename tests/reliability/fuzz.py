"""Fuzz: a million inputs for each decoder, in random pieces."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from secrets import randbits
from typing import Any

from tests.reliability.subjects import SUBJECTS
from tests.reliability.values import TELLING, Figure, Say, at_least, exactly, scaled

INPUTS = 1_000_000
#: The number of processes.
WORKERS = 2
#: The environment variable with a seed, to repeat a run.
SEED = "REQRESP_SEED"
_ROOT = Path(__file__).parent.parent.parent


def run(scale: float, say: Say) -> list[Figure]:
    """Divide the decoders among processes, and collect their results."""
    inputs = scaled(INPUTS, scale, 500)
    seed = int(os.environ.get(SEED) or (randbits(32) if scale >= TELLING else 1))
    say(f"{inputs:,} inputs through each of {len(SUBJECTS)} decoders; the seed is {seed}")
    found = _gather(inputs, seed, say)
    failures = [one for one in found.values() if one["failure"]]
    for name, one in found.items():
        if one["failure"]:
            say(f"{name}: {one['failure']}")
    return [
        exactly("decoders", len(found), len(SUBJECTS)),
        at_least(
            "inputs for each decoder",
            min([one["fed"] for one in found.values()], default=0),
            inputs,
        ),
        at_least(
            "refused inputs, all decoders together",
            sum(one["refused"] for one in found.values()),
            1,
        ),
        exactly("other exceptions, or requests that depend on the cut", len(failures), 0),
    ]


def _gather(inputs: int, seed: int, say: Say) -> dict[str, Any]:
    results: queue.Queue[bytes | None] = queue.Queue()
    names = list(SUBJECTS)
    workers = [_start(inputs, seed, names[first::WORKERS]) for first in range(WORKERS)]
    for worker in workers:
        threading.Thread(target=_pass_on, args=(worker, results), daemon=True).start()
    found: dict[str, Any] = {}
    running = len(workers)
    try:
        while running:
            line = results.get()
            if line is None:
                running -= 1
                continue
            one = json.loads(line)
            found[one["name"]] = one
            say(f"{one['name']}: {one['fed']:,} inputs, {one['refused']:,} refused")
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return found


def _start(inputs: int, seed: int, names: list[str]) -> "subprocess.Popen[bytes]":
    command = ["-m", "tests.reliability.fuzz_worker", str(inputs), str(seed), *names]
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, cwd=_ROOT)


def _pass_on(worker: "subprocess.Popen[bytes]", results: "queue.Queue[bytes | None]") -> None:
    assert worker.stdout is not None
    with worker.stdout as lines:
        for line in lines:
            results.put(line)
    results.put(None)
