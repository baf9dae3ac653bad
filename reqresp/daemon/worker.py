"""
Worker: a process that serves on sockets that its parent has opened.

``python -m reqresp.daemon.worker NUMBER REACTOR OPTIONS... SOCKETS``: SOCKETS says, as JSON, for
which service and which of its endpoints each socket is; null: for metrics, the last one.  Their
descriptors are 3 and up.  REACTOR is the module to install.

Standard input is a socket, on which its parent sends commands, one a line: ``reload`` and
``stop-now``; before a reload ``sockets`` and lines such as ``socket ["smtp", "tcp:2525"]``, each
with the descriptor of a socket.  The end of standard input means that the parent has ended; then
the worker ends, too.  Standard output has its log, as `log_relay` writes it.

What loads OpenSSL is imported late: the options say first whether it is needed.
"""

import faulthandler
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from socket import recv_fds, socket
from typing import TYPE_CHECKING, Any

from twisted.internet import abstract
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.reflect import namedModule

from reqresp.daemon.listeners import Listener
from reqresp.daemon.log_relay import LineSplitter, PipeObserver
from reqresp.daemon.options import Options
from reqresp.daemon.processes import (
    BLOCKED_SIGNALS,
    FIRST_SOCKET,
    RELOAD,
    SOCKET,
    SOCKETS,
    STOP_NOW,
)
from reqresp.daemon.reactor import prepare
from reqresp.daemon.tls_need import may_need_tls

if TYPE_CHECKING:
    from reqresp.daemon.service import ReqRespService
    from reqresp.daemon.service_listeners import InheritedListeners, Place

#: Bytes that are read from the parent at once, and descriptors that can come with them.
_READ_BYTES = 64 * 1024
_MAX_DESCRIPTORS = 100


def main(arguments: Sequence[str]) -> None:
    """
    Serve as *arguments* say, until the parent stops this process.

    :raises SystemExit: a file cannot be used, or has errors; the message names it.
    """
    number, reactor_module, *given, sockets = arguments
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
    from reqresp.daemon.service_listeners import InheritedListeners

    prepare(reactor)
    places = json.loads(sockets)
    listeners = [_listener(reactor, FIRST_SOCKET + at) for at in range(len(places))]
    metrics = listeners.pop() if None in places else None
    has_file = options["services"] is not None
    named = [(_place(place), it) for place, it in zip(places, listeners, strict=False)]
    inherited = InheritedListeners(named, has_file=has_file)
    service = make_server(options, inherited, metrics, reactor, worker=int(number))
    _run(service, inherited, reactor, log)


def _listener(reactor: Any, descriptor: int) -> Listener:
    from reqresp.transport.inherited import inherited_endpoint

    endpoint = inherited_endpoint(reactor, descriptor)
    # Private: the parent has logged the warning about listening on all interfaces.
    return Listener(endpoint.name, endpoint, is_private=True)


def _place(written: Sequence[str]) -> "Place":
    service, description = written
    return service, description


def _run(
    service: "ReqRespService",
    inherited: "InheritedListeners",
    reactor: Any,
    log: PipeObserver,
) -> None:
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

    def add_socket(place: Sequence[str], descriptor: int) -> None:
        inherited.add(_place(place), _listener(reactor, descriptor))

    def started() -> None:
        # Later than the reactor's own handlers, which treat a second signal as an error.
        _handle(reactor, signal.SIGTERM, stop)
        _handle(reactor, signal.SIGHUP, service.reload)
        # A terminal sends these to the whole group; the parent decides what to do.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)
        commands = {
            RELOAD: service.reload,
            STOP_NOW: service.stop_now,
            SOCKETS: inherited.begin_set,
        }
        CommandReader(reactor, commands, parent_ended, add_socket)
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
    Reads commands from a socket, standard input by default.

    :param commands: what to call for each line; other lines are ignored.
    :param on_end: called when the socket has ended.
    :param on_socket: called with what a socket is for, and its descriptor.
    """

    def __init__(
        self,
        reactor: Any,
        commands: Mapping[bytes, Callable[[], object]],
        on_end: Callable[[], object],
        on_socket: Callable[[Any, int], object],
        descriptor: int = 0,
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._commands = commands
        self._on_end = on_end
        self._on_socket = on_socket
        self._lines = LineSplitter(self._received)
        #: The descriptors that have come, each at the latest with the first byte of its line.
        self._descriptors: deque[int] = deque()
        self.channel = socket(fileno=descriptor)
        self.channel.setblocking(False)
        self.startReading()

    def fileno(self) -> int:
        """Return the descriptor that is read."""
        return self._descriptor

    def doRead(self) -> Exception | None:
        """Read what has arrived, and call its commands."""
        try:
            data, descriptors, _, _ = recv_fds(self.channel, _READ_BYTES, _MAX_DESCRIPTORS)
        except BlockingIOError:
            return None
        except OSError:
            return ConnectionLost()
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors += descriptors
        self._lines.feed(data)
        return None if data else ConnectionDone()

    def _received(self, line: bytes) -> None:
        name, _, what = line.partition(b" ")
        if name == SOCKET:
            self._on_socket(json.loads(what), self._descriptors.popleft())
        else:
            self._commands.get(line, _ignore)()

    def connectionLost(self, reason: Failure) -> None:
        """Call *on_end*: the socket has ended."""
        super().connectionLost(reason)
        self.channel.detach()
        # The descriptor stays in use: otherwise the next opened file would be standard input.
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._descriptor)
        os.close(nothing)
        self._on_end()


def _ignore() -> None:
    """Ignore a command that only later versions know."""


if __name__ == "__main__":
    main(sys.argv[1:])
