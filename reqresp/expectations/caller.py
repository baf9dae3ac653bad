"""Find the line of the test that called this package, and leave out the package's own."""

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import attr

# Files whose frames are skipped: this package, and what enters context managers for a test.
_STDLIB = Path(contextlib.__file__).parent
_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_NOT_A_TEST = (
    _PACKAGE,
    contextlib.__file__,
    str(_STDLIB / "unittest") + os.sep,
)


# Files of this package, and those through which attrs makes its values.
_OWN = (_PACKAGE, str(Path(attr.__file__).parent) + os.sep, "<attrs generated")

E = TypeVar("E", bound=BaseException)


def without_own_frames(error: E) -> E:
    """Return *error* with a traceback that has no frame of this package."""
    kept = []
    traceback = error.__traceback__
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_OWN):
            kept.append(traceback)
        traceback = traceback.tb_next
    for it in reversed(kept):
        traceback = TracebackType(traceback, it.tb_frame, it.tb_lasti, it.tb_lineno)
    return error.with_traceback(traceback)


def calling_line() -> str:
    """Return file name and line, such as ``test_pop.py:12``, of the caller outside of reqresp."""
    path, line = calling_place()
    return f"{Path(path).name}:{line}"


def calling_place() -> tuple[str, int]:
    """Return the path of the file, and the line, of the caller outside of reqresp."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_A_TEST):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
