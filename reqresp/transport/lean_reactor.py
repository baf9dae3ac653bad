"""
Lean reactor: Twisted's epoll reactor, with less work for each event.

The same events have the same effects in the same order.  These things differ:

- The log context is entered once, not for each event.  The name of the system in it is made when
  something is logged.
- A readable eager transport is read without the checks that other descriptors need.
- Timed calls are looked for only when one is due or new.  Else the clock is asked once a poll, or,
  if none is pending, not at all.
- ``seconds`` is monotonic: a system clock that is set does not change when timed calls are due.

Choose it with ``twistd --reactor lean-epoll``, or call `install` before anything imports the
reactor.  This module must not know what the transports carry.
"""

from collections.abc import Callable
from select import EPOLLIN
from time import monotonic
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, installReactor
from twisted.python import context, log
from twisted.python.failure import Failure

from reqresp.transport.eager import EagerServer
from reqresp.transport.eager_client import EagerClient

# The transports that are read without the checks that other descriptors need.
_EAGER: frozenset[Any] = frozenset({EagerServer, EagerClient})
#: The longest wait of one poll, in seconds.
#: :source: twisted.internet.base.ReactorBase.timeout
_MAX_WAIT = 2_147_483


# One for all, as in Twisted's reactors: creating a Failure is expensive.
_CONNECTION_DONE = Failure(CONNECTION_DONE)


class _LogContext(dict[str, Any]):
    """
    The log context of a loop; its "system" is the prefix of the *selectable* that is served.

    ``log.msg`` copies the context of the moment, which is when the prefix is asked for.
    """

    __slots__ = ("selectable",)

    def __init__(self, entered: dict[str, Any]) -> None:
        super().__init__(entered)
        self.selectable: Any = None

    def copy(self) -> dict[str, Any]:
        """Return a plain context with the name of the system."""
        made = dict(self)
        if self.selectable is not None:
            made["system"] = self["system"]
        return made

    def __getitem__(self, key: str) -> Any:
        if key != "system" or self.selectable is None:
            return super().__getitem__(key)
        try:
            return self.selectable.logPrefix()
        except Exception:
            selectable, self.selectable = self.selectable, None
            log.err(system="(buggy logPrefix method)")
            self.selectable = selectable
            return "(buggy logPrefix method)"


class LeanReactor(EPollReactor):
    """An epoll reactor that spends less on each event; see the module."""

    seconds = staticmethod(monotonic)

    def mainLoop(self) -> None:  # noqa: N802, Twisted's name
        log_context = _LogContext(context.get(log.ILogContext))
        context.call({log.ILogContext: log_context}, self._loop, log_context)
        log.msg("Main loop terminated.")

    def _loop(self, log_context: _LogContext) -> None:
        while self._started:
            try:
                while self._started:
                    self._turn(log_context)
            except BaseException:  # as in ReactorBase.mainLoop: the loop outlives every error
                log.err(None, "Unexpected error in main loop.")

    def _turn(self, log_context: _LogContext) -> None:
        """
        Make the calls that are due, wait for events, and handle them.

        A method of its own: CPython 3.11 does not specialize the code of a ``while`` loop that it
        enters once.
        """
        log_context.selectable = None
        has_calls = self._pendingTimedCalls or self._newTimedCalls or self.threadCallQueue
        is_quiet = not has_calls and self.running and not self._justStopped
        wait = -1 if is_quiet else self._run_due_calls()
        selectables = self._selectables
        # As many events as there are descriptors, at most.
        for descriptor, event in self._poller.poll(wait, len(selectables)):
            selectable: Any = selectables.get(descriptor)
            if selectable is None:
                continue  # an earlier event of this poll has closed it
            log_context.selectable = selectable
            if event != EPOLLIN or selectable.__class__ not in _EAGER:
                _call_logged(self._doReadOrWrite, selectable, descriptor, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException as error:  # as in _PollLikeMixin._doReadOrWrite
                log.err()
                _call_logged(self._disconnectSelectable, selectable, error, False)
                continue
            if why is not None:
                _call_logged(self._end_reading, selectable, why)

    def _run_due_calls(self) -> float:
        """Make the calls that are due, and return the seconds to wait for events; -1: no limit."""
        has_news = self.threadCallQueue or self._newTimedCalls or self._justStopped
        if not has_news and self.running:
            wait = self._pendingTimedCalls[0].time - self.seconds()
            if wait > 0:
                return min(wait, _MAX_WAIT)
        self.runUntilCurrent()
        if not self.running:
            return 0
        longest = self.timeout()
        return -1 if longest is None else longest

    def _end_reading(self, transport: EagerServer | EagerClient, why: Exception) -> None:
        if why is not CONNECTION_DONE:
            self._disconnectSelectable(transport, why, True)
            return
        # As in _disconnectSelectable, which asks whether the transport can half-close.
        self.removeReader(transport)
        transport.readConnectionLost(_CONNECTION_DONE)

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Watch *reader* no longer for data."""
        descriptor = reader.fileno()
        if descriptor not in self._reads or descriptor in self._writes:
            super().removeReader(reader)
            return
        # As in EPollReactor._remove, without its calls.
        del self._selectables[descriptor]
        self._poller.unregister(descriptor)
        self._reads.remove(descriptor)


def _call_logged(function: Callable[..., object], *arguments: object) -> None:
    """Call *function* as ``twisted.python.log.callWithLogger`` does: the loop outlives errors."""
    try:
        function(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException:
        log.err()


def install() -> None:
    """Make a `LeanReactor` the reactor of this process.

    :raises twisted.internet.error.ReactorAlreadyInstalledError: there is one already.
    """
    installReactor(LeanReactor())
