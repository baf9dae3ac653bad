"""Fuzz: inputs by the million through every decoder, in any pieces."""

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
#: Processes that feed them.
WORKERS = 2
#: The environment's name for a seed, where a run is to be had again.
SEED = "REQRESP_SEED"
_ROOT = Path(__file__).parent.parent.parent


def run(scale: float, say: Say) -> list[Figure]:
    """Share the decoders among processes, and gather what they tell."""
    inputs = scaled(INPUTS, scale, 500)
    seed = int(os.environ.get(SEED) or (randbits(32) if scale >= TELLING else 1))
    say(f"{inputs:,} inputs through each of {len(SUBJECTS)} decoders; the seed is {seed}")
    found = _gather(inputs, seed, say)
    surprises = [one for one in found.values() if one["surprise"]]
    for name, one in found.items():
        if one["surprise"]:
            say(f"{name}: {one['surprise']}")
    return [
        exactly("decoders that were fed", len(found), len(SUBJECTS)),
        at_least("inputs to each", min([one["fed"] for one in found.values()], default=0), inputs),
        at_least(
            "inputs that were refused, by all", sum(one["refused"] for one in found.values()), 1
        ),
        exactly("other exceptions, or requests that depend on how they are cut", len(surprises), 0),
    ]


def _gather(inputs: int, seed: int, say: Say) -> dict[str, Any]:
    told: queue.Queue[bytes | None] = queue.Queue()
    names = list(SUBJECTS)
    workers = [_start(inputs, seed, names[first::WORKERS]) for first in range(WORKERS)]
    for worker in workers:
        threading.Thread(target=_pass_on, args=(worker, told), daemon=True).start()
    found: dict[str, Any] = {}
    running = len(workers)
    try:
        while running:
            line = told.get()
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


def _pass_on(worker: "subprocess.Popen[bytes]", told: "queue.Queue[bytes | None]") -> None:
    assert worker.stdout is not None
    with worker.stdout as lines:
        for line in lines:
            told.put(line)
    told.put(None)
