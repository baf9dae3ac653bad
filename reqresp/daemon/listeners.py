"""
Listeners: opening endpoints, and ending twistd with one clear line if that fails.

It must not know what is served there.
"""

import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.services.errors import ListenError
from reqresp.services.ports import Listener as Listener
from reqresp.services.ports import open_port

_log = Logger()


class CannotStart(SystemExit, Exception):  # noqa: N818 (it ends twistd, as SystemExit does)
    """
    End twistd with status 1; the reason has been reported.

    A SystemExit, so that no traceback is printed.  An Exception, so that twistd removes its pid
    file and notifies the process that started the daemon.
    """

    code = 1


def listen(
    listener: Listener, factory: IProtocolFactory, on_late_failure: Callable[[], object]
) -> Deferred[Any]:
    """
    Listen with *listener*, for its own factory or else for *factory*.

    :param on_late_failure: called if an endpoint fails after this function has returned.
    :returns: a Deferred of the port; of None if it failed late.
    :raises CannotStart: it failed at once; the reason has been reported.
    """
    factory = factory if listener.factory is None else listener.factory
    return started(open_port(listener, factory), on_late_failure)


def started(opening: Deferred[Any], on_late_failure: Callable[[], object]) -> Deferred[Any]:
    """
    Return a Deferred of what *opening* has opened; of None if it failed late.

    :param opening: fails with a `ListenError`.
    :param on_late_failure: called if it fails after this function has returned.
    :raises CannotStart: it failed at once; the reason has been reported.
    """
    failures: list[CannotStart] = []
    has_returned = False

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        failure.trap(ListenError)
        message = f"reqresp: {failure.value}"
        if has_returned:
            _log.critical("{problem}", problem=message)
            on_late_failure()
        else:
            failures.append(report_failure(message))

    opening.addErrback(failed)
    if failures:
        raise failures[0]
    has_returned = True
    return opening


def report_failure(message: str) -> CannotStart:
    """Write *message* to the log and to standard error; return the exception that ends twistd."""
    _log.critical("{problem}", problem=message)
    # Not sys.stderr, which twistd has replaced by its log.
    print(message, file=sys.__stderr__)
    return CannotStart(message)
