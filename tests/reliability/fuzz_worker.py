"""
Fuzz worker: so many inputs through each of some decoders, in a process of its own.

``python -m tests.reliability.fuzz_worker INPUTS SEED NAME...`` tells of each name in a line of
JSON; with the seed that a run reports, it meets the same inputs.
"""

import json
import sys
from random import Random
from typing import Any

from tests.reliability.decoding import Subject
from tests.reliability.inputs import pieces
from tests.reliability.subjects import SUBJECTS


def main() -> None:
    """Read the command line, and do as it says."""
    inputs, seed, *names = sys.argv[1:]
    for name in names or SUBJECTS:
        found = fuzz(SUBJECTS[name], int(inputs), Random(f"{seed} {name}"))  # noqa: S311 (no secret)
        sys.stdout.write(json.dumps({"name": name, **found}) + "\n")
        sys.stdout.flush()


def fuzz(subject: Subject, inputs: int, random: Random) -> dict[str, Any]:
    """
    Feed *inputs* until one is a surprise.

    :return: how many were ``fed`` and ``refused``, and the ``surprise``: that input, ready to be
        pasted, and what came of it.
    """
    stream_of, judge = subject.inputs(random), subject.judge
    refused = 0
    for number in range(inputs):
        stream = stream_of()
        cut = pieces(stream, random)
        try:
            refused += judge(stream, cut, number)
        except BaseException as error:  # whatever it is, it should not have been
            surprise = f"input {number}, {cut!r}: {type(error).__name__}: {error}"
            return {"fed": number, "refused": refused, "surprise": surprise}
    return {"fed": inputs, "refused": refused, "surprise": None}


if __name__ == "__main__":
    main()
