"""
Worker: a process that serves on sockets that its parent has opened.

``python -m reqresp.daemon.worker NUMBER SOCKETS [--metrics] REACTOR OPTIONS...``: SOCKETS says, as
JSON, for which service and which of its endpoints each socket is.  Their descriptors are 3 and up;
with ``--metrics`` there is one more, for metrics.  REACTOR is the module to install.

Its parent sends commands on standard input, one a line: ``reload`` and ``stop-now``.  The end of
standard input means that the parent has ended; then the worker ends, too.  Standard output has its
log, as `log_relay` writes it.

What loads OpenSSL is imported late: the options say first whether it is needed.
"""

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet import abstract, fdesc
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.reflect import namedModule

from reqresp.daemon.listeners import Listener
from reqresp.daemon.log_relay import LineSplitter, PipeObserver
from reqresp.daemon.options import Options
from reqresp.daemon.processes import BLOCKED_SIGNALS, FIRST_SOCKET, RELOAD, STOP_NOW
from reqresp.daemon.reactor import prepare
from reqresp.daemon.tls_need import may_need_tls

if TYPE_CHECKING:
    from reqresp.daemon.service import ReqRespService


def main(arguments: Sequence[str]) -> None:
    """
    Serve as *arguments* say, until the parent stops this process.

    :raises SystemExit: a file cannot be used, or has errors; the message names it.
    """
    number, sockets, *more = arguments
    has_metrics = more[0] == "--metrics"
    reactor_module, *given = more[1:] if has_metrics else more
    log = PipeObserver(1)
    # Code that prints must not write into the middle of the log.
    sys.stdout = sys.stderr
    faulthandler.enable()
    globalLogBeginner.beginLoggingTo([log], redirectStandardIO=False)
    options = Options()
    options.parseOptions(given)
    if not may_need_tls(options):
        # Where it is installed, Twisted loads it with every reactor: a fifth of the time that a
        # worker takes to start, and a quarter of its memory.
        sys.modules["OpenSSL"] = None  # type: ignore[assignment]  # it cannot be imported
    namedModule(reactor_module).install()
    from twisted.internet import reactor

    from reqresp.daemon.build import make_server
    from reqresp.daemon.service_listeners import InheritedListeners, named_sockets
    from reqresp.transport.inherited import inherited_endpoint

    prepare(reactor)
    places = json.loads(sockets)
    count = len(places) + has_metrics
    # Private: the parent has logged the warning about listening on all interfaces.
    listeners = [
        Listener(it.name, it, is_private=True)
        for it in (inherited_endpoint(reactor, FIRST_SOCKET + index) for index in range(count))
    ]
    metrics = listeners.pop() if has_metrics else None
    has_file = options["services"] is not None
    inherited = InheritedListeners(named_sockets(places, listeners), has_file=has_file)
    service = make_server(options, inherited, metrics, reactor, worker=int(number))
    _run(service, reactor, log)


def _run(service: "ReqRespService", reactor: Any, log: PipeObserver) -> None:
    """Run *service* as twistd would, and obey the parent."""
    is_stopping: list[bool] = []

    def stop() -> None:
        if not is_stopping:
            is_stopping.append(True)
            reactor.stop()

    def parent_ended() -> None:
        for descriptor in (1, 2):  # nothing reads the log any more
            os.dup2(0, descriptor)
        service.lame_duck.seconds = 0  # a new server may be waiting for the port
        stop()

    def started() -> None:
        # Later than the reactor's own handlers, which treat a second signal as an error.
        _handle(reactor, signal.SIGTERM, stop)
        _handle(reactor, signal.SIGHUP, service.reload)
        # A terminal sends these to the whole group; the parent decides what to do.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)
        CommandReader(reactor, {RELOAD: service.reload, STOP_NOW: service.stop_now}, parent_ended)
        log.write(ready=os.getpid())

    # A service manager may signal the whole group, and then the parent signals its workers again.
    service.on_second_signal = lambda: None
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.callWhenRunning(started)
    reactor.run()


def _handle(reactor: Any, number: int, call: Callable[[], object]) -> None:
    signal.signal(number, lambda *_: reactor.callFromThread(call))


class CommandReader(abstract.FileDescriptor):
    """
    Reads commands from a pipe, standard input by default.

    :param commands: what to call for each line; other lines are ignored.
    :param on_end: called when the pipe has ended.
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
        self._lines = LineSplitter(lambda line: commands.get(line, _ignore)())
        fdesc.setNonBlocking(descriptor)
        self.startReading()

    def fileno(self) -> int:
        """Return the descriptor that is read."""
        return self._descriptor

    def doRead(self) -> Exception | None:
        """Read what has arrived, and call its commands."""
        result: Exception | None = fdesc.readFromFD(self._descriptor, self._lines.feed)
        return result

    def connectionLost(self, reason: Failure) -> None:
        """Call *on_end*: the pipe has ended."""
        super().connectionLost(reason)
        # The descriptor stays in use: otherwise the next opened file would be standard input.
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._descriptor)
        os.close(nothing)
        self._on_end()


def _ignore() -> None:
    """Ignore a command that only later versions know."""


if __name__ == "__main__":
    main(sys.argv[1:])
