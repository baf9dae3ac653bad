"""State of this process that a test changes: signal handlers and standard error."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

#: The signals whose handlers programs of reqresp set.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def former_handler(number: int, _frame: object) -> None:
    """
    Handle a signal before the code under test does, and after it.

    :raises AssertionError: a signal has arrived then.
    """
    raise AssertionError(f"signal {number} has reached the former handler")


class SignalHandlers:
    """The handlers of `SIGNALS`: `former_handler` at first; *test* sets the old ones back."""

    def __init__(self, test: SynchronousTestCase) -> None:
        for number in SIGNALS:
            before = signal.getsignal(number)
            test.addCleanup(signal.signal, number, signal.SIG_DFL if before is None else before)
            self[number] = former_handler

    def __getitem__(self, number: int) -> Any:
        return signal.getsignal(number)

    def __setitem__(self, number: int, handler: Callable[..., Any] | signal.Handlers) -> None:
        signal.signal(number, handler)

    @property
    def changed(self) -> set[int]:
        """The signals that have another handler than `former_handler`."""
        return {number for number in SIGNALS if self[number] is not former_handler}


@contextmanager
def standard_error() -> Iterator[Callable[[], str]]:
    """Replace the descriptor of standard error; what is returned returns the text so far."""
    assert sys.__stderr__ is not None
    sys.__stderr__.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:

        def text() -> str:
            assert sys.__stderr__ is not None
            sys.__stderr__.flush()
            return os.pread(file.fileno(), 2**20, 0).decode()

        os.dup2(file.fileno(), 2)
        try:
            yield text
        finally:
            os.dup2(kept, 2)
            os.close(kept)
