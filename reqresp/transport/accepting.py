"""
Accepting: how a port that listens treats clients that connect, switched while it is open.

The kernel completes connections before a server accepts them, as many as its queue holds.  This
module must not know what serves the clients.
"""

import select
import socket
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp._errors import FieldError
from reqresp.transport.accept_modes import (
    Accept,
    AcceptAfter,
    AcceptMode,
    AcceptName,
    accept_mode,
)

#: Seconds in which a client of our own connects, on loopback, to fill a queue.
MAX_FILLING = 0.2
#: How often a port accepts waiting clients at a time; each time one client or more.
_MAX_ACCEPTS = 4096


class Acceptance:
    """
    How *port*, which Twisted has opened, treats clients; it accepts them at once when it is made.

    :param port: as ``listen`` of an `IStreamServerEndpoint` returns it, of TCP or UNIX sockets.
    :raises FieldError: *port* has no socket that listens.
    """

    def __init__(self, port: Any) -> None:
        if not IReadDescriptor.providedBy(port):
            raise FieldError("accept", "expected a port with a socket, to accept otherwise")
        self._port: Any = port
        from reqresp.transport.inherited import SharedPort, SharedUNIXPort  # late: it loads OpenSSL

        self._is_shared = isinstance(port, SharedPort | SharedUNIXPort)
        self._filler: socket.socket | None = None
        self._delay: _Delay | None = None
        #: What happens to clients now.
        self.accept: AcceptMode = Accept.NOW

    def set(
        self, how: AcceptName | AcceptMode | None = None, *, after: float | None = None
    ) -> None:
        """
        Treat clients like that from now on; those that are connected go on.

        For ``hold``, the queue is made as small as the kernel allows, which is one client, and
        filled by a client of our own.  Linux then ignores who connects: a client tries again after
        1, 3, 7 ... seconds, and connects once that is changed.

        :param how: ``now``, ``late``, ``hold`` or ``refuse``, see `Accept`; or an `AcceptMode`.
        :param after: instead, the seconds that clients wait to be accepted, see `AcceptAfter`.
        :raises FieldError: *how* or *after* is unknown or out of range, or the port cannot do that.
        :raises TypeError: both are given, or neither.
        """
        accept = accept_mode(how, after)
        self.check(accept)
        self.begin(accept)

    def check(self, accept: AcceptMode) -> None:
        """:raises FieldError: the port cannot treat clients like that now."""
        if accept is Accept.REFUSE and self._is_shared and self.accept is not accept:
            # The other processes would see their listening socket end.
            raise FieldError("accept", "refuse takes a restart with --workers")
        check_family(accept, is_unix=self._port.socket.family == socket.AF_UNIX)

    def begin(self, accept: AcceptMode) -> None:
        """Treat clients like that, which `check` has accepted or the reactor has not polled yet."""
        if accept == self.accept:
            return
        self._leave()
        if accept is Accept.NOW:
            self._port.startReading()
        else:
            self._port.stopReading()
        self.accept = accept
        if accept is Accept.HOLD:
            self._fill()
        elif accept is Accept.REFUSE:
            self._refuse()
        elif isinstance(accept, AcceptAfter):
            self._delay = _Delay(self._port, accept.after)

    def close(self, *, stays_open: bool = False) -> None:
        """
        Forget the client of our own, and begin nothing more; call it before the port is closed.

        :param stays_open: whether another process goes on with the socket, in its old state.
        """
        if self.accept is Accept.REFUSE and not stays_open:
            return
        self._leave()

    def _leave(self) -> None:
        """Have the socket as it was at first; who waits goes on to wait."""
        if self._delay is not None:
            self._delay.stop()
            self._delay = None
        if self.accept in (Accept.HOLD, Accept.REFUSE):
            self._empty()
            # A socket that another process has opened does not say how long its queue was.
            backlog = None if self._is_shared else self._port.backlog  # None, also of systemd's
            self._port.socket.listen(socket.SOMAXCONN if backlog is None else backlog)
        self.accept = Accept.LATE if self.accept is not Accept.NOW else self.accept

    def _refuse(self) -> None:
        """Accept who waits, then let the socket listen no more; it keeps its address."""
        accept_waiting(self._port)
        own = self._port.socket
        address = own.getsockname()
        _stop_listening(own)
        with suppress(OSError):  # a port that the system has not chosen is kept
            own.bind(address)

    def _fill(self) -> None:
        """Leave no room in the kernel's queue."""
        own = self._port.socket
        own.listen(0)
        if _has_clients(own):
            return  # of a queue for one client, which is the least
        filler = socket.socket(own.family, socket.SOCK_STREAM)
        filler.settimeout(MAX_FILLING)
        try:
            filler.connect(own.getsockname())
        except OSError:  # another client was faster
            filler.close()
            return
        self._filler = filler

    def _empty(self) -> None:
        """Remove the client of our own from the kernel's queue, in which nobody is before it."""
        filler, self._filler = self._filler, None
        if filler is None:
            return
        if not self._is_shared:  # others may have accepted it
            with suppress(BlockingIOError):  # its kernel has given it up
                accepted, _ = self._port.socket.accept()
                accepted.close()
        filler.close()


@implementer(IReadDescriptor)
class _Delay:
    """
    Accepts who waits at *port*, which does not read, some *seconds* after the first has come.
    """

    def __init__(self, port: Any, seconds: float) -> None:
        self._port = port
        self._seconds = seconds
        self._call: Any = None
        port.reactor.addReader(self)

    def stop(self) -> None:
        """Accept no more clients."""
        self._port.reactor.removeReader(self)
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def fileno(self) -> int:
        """Return the descriptor that can be read when a client has come."""
        descriptor: int = self._port.fileno()
        return descriptor

    def logPrefix(self) -> str:
        """Return what Twisted's log calls it."""
        return "accept"

    def doRead(self) -> None:
        """Handle that a client has come."""
        self._port.reactor.removeReader(self)
        self._call = self._port.reactor.callLater(self._seconds, self._accept)

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002, the interface has it
        """Handle that the reactor stops."""
        self.stop()

    def _accept(self) -> None:
        self._call = None
        accept_waiting(self._port)
        self._port.reactor.addReader(self)


def _stop_listening(own: socket.socket) -> None:
    """
    Have *own* listen no more, as connect(2) does with an address of the family ``AF_UNSPEC``.

    Nothing changes if it does not listen, since another process was faster.  With shutdown(2) in
    place of this, what clients send would end at once when it listens again.
    """
    import ctypes  # late: few ports refuse

    address = bytes(16)  # whose family is 0, AF_UNSPEC
    library = ctypes.CDLL(None, use_errno=True)
    if library.connect(own.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), "cannot stop listening")


def check_family(accept: AcceptMode, *, is_unix: bool) -> None:
    """:raises FieldError: sockets of the family cannot treat clients like that."""
    if is_unix and accept is Accept.REFUSE:
        raise FieldError(
            "accept",
            "expected now, late, hold or { after = SECONDS } for a UNIX socket, found refuse",
        )


def accept_waiting(port: Any) -> None:
    """Accept the clients that wait at *port*, which has a file descriptor."""
    # Bounded: clients that keep coming must not keep the server from other work.
    for _ in range(_MAX_ACCEPTS):
        if not _has_clients(port):
            return
        port.doRead()


def _has_clients(listening: Any) -> bool:
    """Return whether clients wait at *listening*, which has a file descriptor."""
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    # A socket that another process has shut down reports POLLHUP.
    return any(event & select.POLLIN for _, event in poll.poll(0))
