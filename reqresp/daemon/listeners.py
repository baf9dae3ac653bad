"""
Listeners: opening endpoints, and ending twistd with one clear line if that fails.

It must not know what is served there.
"""

import sys
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

#: Addresses that mean every interface.
_ALL_INTERFACES = {"0.0.0.0", "::"}  # noqa: S104 (to compare with, not to listen on)


class CannotStart(SystemExit, Exception):  # noqa: N818 (it ends twistd, as SystemExit does)
    """
    End twistd with status 1; the reason has been reported.

    A SystemExit, so that no traceback is printed.  An Exception, so that twistd removes its pid
    file and notifies the process that started the daemon.
    """

    code = 1


@frozen
class Listener:
    """
    An *endpoint* to listen on, and its *name* in messages.

    :param factory: serves this endpoint; None: the service's own factory does.
    :param is_private: whether listening on all interfaces needs no warning, as with TLS.
    :param closes_last: whether it stays open until all connections have ended.
    :param is_shared: whether another process keeps the socket open, and accepts waiting clients.
    """

    name: str
    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory | None = None
    is_private: bool = False
    closes_last: bool = False
    is_shared: bool = False


def listen(
    listener: Listener, factory: IProtocolFactory, on_late_failure: Callable[[], object]
) -> Deferred[Any]:
    """
    Listen with *listener*, for its own factory or else for *factory*.

    :param on_late_failure: called if an endpoint fails after this function has returned.
    :returns: a Deferred of the port; of None if it failed late.
    :raises CannotStart: it failed at once; the reason has been reported.
    """
    failures: list[CannotStart] = []
    has_returned = False

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        message = f"reqresp: cannot listen on {listener.name}: {_reason(failure.value)}"
        if has_returned:
            _log.critical("{problem}", problem=message)
            on_late_failure()
        else:
            failures.append(report_failure(message))

    factory = factory if listener.factory is None else listener.factory
    port: Deferred[Any] = maybeDeferred(listener.endpoint.listen, factory)
    port.addCallback(_warn_if_exposed, listener).addErrback(failed)
    if failures:
        raise failures[0]
    has_returned = True
    return port


def report_failure(message: str) -> CannotStart:
    """Write *message* to the log and to standard error; return the exception that ends twistd."""
    _log.critical("{problem}", problem=message)
    # Not sys.stderr, which twistd has replaced by its log.
    print(message, file=sys.__stderr__)
    return CannotStart(message)


def _warn_if_exposed(port: Any, listener: Listener) -> Any:
    host = getattr(port.getHost(), "host", "")
    if host in _ALL_INTERFACES and not listener.is_private:
        _log.warn(
            "listening on {name}: all interfaces, without TLS; anyone who can reach this machine"
            " can connect and read the traffic",
            name=listener.name,
        )
    return port


def _reason(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        error = error.socketError
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
