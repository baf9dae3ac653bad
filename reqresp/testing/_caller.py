"""Find the line of the test that called this package."""

import contextlib
import os
import sys
from pathlib import Path

# Files whose frames are skipped: this package, and what enters context managers for a test.
_STDLIB = Path(contextlib.__file__).parent
_NOT_A_TEST = (
    str(Path(__file__).parent.parent) + os.sep,
    contextlib.__file__,
    str(_STDLIB / "unittest") + os.sep,
)


def calling_line() -> str:
    """Return file name and line, such as ``test_pop.py:12``, of the caller outside of reqresp."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_A_TEST):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
