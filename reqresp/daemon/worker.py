"""
Worker: the process that serves, on sockets that its parent has opened.

``python -m reqresp.daemon.worker NUMBER SOCKETS [--measured] REACTOR OPTIONS...``: the sockets are
descriptors 3 and up, the last of them for metrics if there are any; REACTOR is the module to
install.  Its parent says on standard input what is to be done, a line each: ``reload``, ``hasten``;
the end of that is the end of the parent, and then of the worker.  Its log is on standard output.
"""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import abstract, fdesc
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.reflect import namedModule

from reqresp.daemon.build import make_server
from reqresp.daemon.listeners import Listener
from reqresp.daemon.log_relay import Lines, PipeObserver
from reqresp.daemon.options import Options
from reqresp.daemon.processes import FIRST_SOCKET, HELD
from reqresp.daemon.service import ReqRespService
from reqresp.transport.inherited import inherited_endpoint


def main(arguments: Sequence[str]) -> None:
    """
    Serve as *arguments* say, until told to stop.

    :raises SystemExit: something is of no use; it says what.
    """
    number, sockets, *more = arguments
    has_metrics = more[0] == "--measured"
    module, *given = more[has_metrics:]
    log = PipeObserver(1)
    # Who prints something does not write in the midst of the log.
    sys.stdout = sys.stderr
    faulthandler.enable()
    globalLogBeginner.beginLoggingTo([log], redirectStandardIO=False)
    namedModule(module).install()
    from twisted.internet import reactor

    options = Options()
    options.parseOptions(given)
    # The parent has said where it listens on every interface.
    listeners = [
        Listener(it.name, it, is_private=True)
        for it in (
            inherited_endpoint(reactor, FIRST_SOCKET + index) for index in range(int(sockets))
        )
    ]
    measured = listeners.pop() if has_metrics else None
    service = make_server(options, listeners, measured, reactor, worker=int(number))
    _run(service, reactor, log)


def _run(service: ReqRespService, reactor: Any, log: PipeObserver) -> None:
    """Do for *service* what twistd would, and what the parent says."""
    is_stopping: list[bool] = []

    def stop() -> None:
        if not is_stopping:
            is_stopping.append(True)
            reactor.stop()

    def orphaned() -> None:
        for descriptor in (1, 2):  # nobody reads what is said any more
            os.dup2(0, descriptor)
        service.lame_duck.seconds = 0  # whoever is to take its place wants the port
        stop()

    def begin() -> None:
        # The reactor has its own handlers by now, which take a second signal for an error.
        _handle(reactor, signal.SIGTERM, stop)
        _handle(reactor, signal.SIGHUP, service.hang_up)
        # These go to the whole group, and to the parent, who tells us or knows better.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        Commands(reactor, {b"reload": service.hang_up, b"hasten": service.hasten}, orphaned)
        log.write(ready=os.getpid())

    # A service manager may have signalled all of the group, and then our parent does.
    service.on_second_signal = lambda: None
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.callWhenRunning(begin)
    reactor.run()


def _handle(reactor: Any, number: int, call: Callable[[], object]) -> None:
    signal.signal(number, lambda *_: reactor.callFromThread(call))


class Commands(abstract.FileDescriptor):
    """
    Does what comes on standard input.

    :param commands: what to call for each line; others are ignored.
    :param on_end: is called when no more can come.
    """

    def __init__(
        self,
        reactor: Any,
        commands: dict[bytes, Callable[[], object]],
        on_end: Callable[[], object],
        descriptor: int = 0,
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._on_end = on_end
        self._lines = Lines(lambda line: commands.get(line, _nothing)())
        fdesc.setNonBlocking(descriptor)
        self.startReading()

    def fileno(self) -> int:
        """The descriptor that is read."""
        return self._descriptor

    def doRead(self) -> Exception | None:
        """Read, and do, what has come."""
        result: Exception | None = fdesc.readFromFD(self._descriptor, self._lines.feed)
        return result

    def connectionLost(self, reason: Failure) -> None:
        """No more can come."""
        super().connectionLost(reason)
        # Something has to be there: the next file opened would be standard input.
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._descriptor)
        os.close(nothing)
        self._on_end()


def _nothing() -> None:
    """Ignore a command that a later version may have."""


if __name__ == "__main__":
    main(sys.argv[1:])
