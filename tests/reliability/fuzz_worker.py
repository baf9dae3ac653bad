"""
Fuzz worker: a process that feeds inputs to decoders.

``python -m tests.reliability.fuzz_worker INPUTS SEED NAME...`` prints a line of JSON for each name.
The seed that a run reports gives the same inputs again.
"""

import json
import sys
from random import Random
from typing import Any

from tests.reliability.decoding import Subject
from tests.reliability.inputs import pieces
from tests.reliability.subjects import SUBJECTS


def main() -> None:
    """Run the command."""
    inputs, seed, *names = sys.argv[1:]
    for name in names or SUBJECTS:
        found = fuzz(SUBJECTS[name], int(inputs), Random(f"{seed} {name}"))  # noqa: S311 (no secret)
        sys.stdout.write(json.dumps({"name": name, **found}) + "\n")
        sys.stdout.flush()


def fuzz(subject: Subject, inputs: int, random: Random) -> dict[str, Any]:
    """
    Feed *inputs* inputs, or fewer if one fails.

    :return: how many were ``fed`` and ``refused``, and the ``failure``: that input, as a Python
        literal, and the error.
    """
    stream_of, judge = subject.inputs(random), subject.judge
    refused = 0
    for number in range(inputs):
        stream = stream_of()
        cut = pieces(stream, random)
        try:
            refused += judge(stream, cut, number)
        except BaseException as error:  # any other error is a failure
            failure = f"input {number}, {cut!r}: {type(error).__name__}: {error}"
            return {"fed": number, "refused": refused, "failure": failure}
    return {"fed": inputs, "refused": refused, "failure": None}


if __name__ == "__main__":
    main()
