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
    listener: Listener,
    factory: IProtocolFactory,
    on_late_failure: Callable[[], object],
    *,
    is_log_seen: bool = False,
) -> Deferred[Any]:
    """
    Listen with *listener*, for its own factory or else for *factory*.

    :param on_late_failure: called if an endpoint fails after this function has returned.
    :param is_log_seen: as for `report_failure`.
    :returns: a Deferred of the port; of None if it failed late.
    :raises CannotStart: it failed at once; the reason has been reported.
    """
    factory = factory if listener.factory is None else listener.factory
    option = f"--{listener.serves}: " if listener.serves else ""
    opening = open_port(listener, factory)
    return started(opening, on_late_failure, option, is_log_seen=is_log_seen)


def started(
    opening: Deferred[Any],
    on_late_failure: Callable[[], object],
    option: str = "",
    *,
    is_log_seen: bool = False,
) -> Deferred[Any]:
    """
    Return a Deferred of what *opening* has opened; of None if it failed late.

    :param opening: fails with a `ListenError`.
    :param on_late_failure: called if it fails after this function has returned.
    :param option: what the message begins with.
    :param is_log_seen: as for `report_failure`.
    :raises CannotStart: it failed at once; the reason has been reported.
    """
    failures: list[CannotStart] = []
    has_returned = False

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        failure.trap(ListenError)
        message = f"reqresp: {option}{failure.value}"
        if has_returned:
            _log.critical("{problem}", problem=message)
            on_late_failure()
        else:
            failures.append(report_failure(message, is_log_seen=is_log_seen))

    opening.addErrback(failed)
    if failures:
        raise failures[0]
    has_returned = True
    return opening


def report_failure(message: str, *, is_log_seen: bool = False) -> CannotStart:
    """
    Write *message* to the log and to standard error; return the exception that ends twistd.

    :param is_log_seen: whether both lead to one place: then it is written once.
    """
    if not is_log_seen:
        _log.critical("{problem}", problem=message)
    # Not sys.stderr, which twistd has replaced by its log.
    print(message, file=sys.__stderr__)
    return CannotStart(message)
