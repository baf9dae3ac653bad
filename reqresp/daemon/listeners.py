"""
Listening: opening what a server listens on, or ending twistd with a line that says why not.

Knows endpoints, and nothing of what comes in there.
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

#: Addresses that stand for every interface.
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 (to find out, not to listen there)


class CannotStart(SystemExit, Exception):  # noqa: N818 (what it says to twistd is no error but an end)
    """
    Ends twistd with status 1, the reason having been told.

    A SystemExit, so that no traceback is printed; an Exception, so that twistd removes its pid file
    and tells the process that started the daemon.
    """

    code = 1


@frozen
class Listener:
    """
    An *endpoint* to listen on, and the *name* it has in messages.

    :param factory: serves it, if that is not the service's own.
    :param is_private: whether nobody can read along, or that is no matter.
    :param is_last: whether it listens until all else has ended.
    :param is_kept: whether somebody else keeps its socket open, and will accept who waits there.
    """

    name: str
    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory | None = None
    is_private: bool = False
    is_last: bool = False
    is_kept: bool = False


def listen(
    listener: Listener, factory: IProtocolFactory, too_late: Callable[[], object]
) -> Deferred[Any]:
    """
    Listen with *listener*, for *factory* unless it has one of its own.

    :param too_late: is called where an endpoint needs time to find out that it cannot.
    :returns: fires with the port; with None where there is none.
    :raises CannotStart: it cannot, which has been told.
    """
    cannot: list[CannotStart] = []
    has_returned = False

    def blame(failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        told = f"reqresp: cannot listen on {listener.name}: {_reason(failure.value)}"
        if has_returned:
            _log.critical("{told}", told=told)
            too_late()
        else:
            cannot.append(tell(told))

    def welcome(port: Any) -> Any:
        host = getattr(port.getHost(), "host", "")
        if host in _EVERYWHERE and not listener.is_private:
            _log.warn(
                "listening on {name}, every interface of this machine, without TLS: whoever"
                " reaches it can connect and read along",
                name=listener.name,
            )
        return port

    factory = factory if listener.factory is None else listener.factory
    port: Deferred[Any] = maybeDeferred(listener.endpoint.listen, factory)
    port.addCallback(welcome).addErrback(blame)
    if cannot:
        raise cannot[0]
    has_returned = True
    return port


def tell(why: str) -> CannotStart:
    """Tell *why* it cannot be started, in the log and to who starts it; give what ends it."""
    cannot = CannotStart(why)
    _log.critical("{cannot}", cannot=cannot)
    # The true one: by now twistd has turned sys.stderr into its log.
    print(cannot, file=sys.__stderr__)
    return cannot


def _reason(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        error = error.socketError
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
