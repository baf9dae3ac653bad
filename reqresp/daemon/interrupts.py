"""
Interrupts: Ctrl-C while plugins are loaded.

`twisted.plugin` catches whatever the import of a plugin raises, KeyboardInterrupt included, logs
it, and continues.  So the server would start although it was asked to stop.  This module must not
know plugins: it looks only at what was logged.
"""

from typing import Any

from twisted.logger import LogBeginner, LogEvent
from twisted.python.failure import Failure

#: Where an event has its failure: as `twisted.python.log.err` logs it, and as a `Logger` does.
_FAILURE_KEYS = ("failure", "log_failure")


def raise_logged_interrupt(beginner: LogBeginner) -> None:
    """
    Raise the KeyboardInterrupt that was logged before *beginner* began, if there was one.

    :raises KeyboardInterrupt: there was one.
    """
    events: list[LogEvent] = []
    collect: Any = events.append
    # A private attribute: the public way to these events is to begin logging, which twistd does.
    beginner._initialBuffer.replayTo(collect)
    for event in events:
        for failure in map(event.get, _FAILURE_KEYS):
            if isinstance(failure, Failure) and failure.check(KeyboardInterrupt):
                failure.raiseException()
