"""
Signals: having the reactor do something when one comes.

Knows the main thread's signals, and the reactor's way to be called from their handlers.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def handled(reactor: Any, call: Callable[[], object], *numbers: int) -> Iterator[None]:
    """Have *reactor* *call* on signals *numbers* meanwhile, which only a main thread can take."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_: object) -> None:
        reactor.callFromThread(call)

    handlers = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            # None: it was not set from Python, and cannot be set back from there.
            before = signal.SIG_DFL if handler is None else handler
            # What is about to end is not to be killed by a reload that comes too late.
            late = number == signal.SIGHUP and before == signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if late else before)
