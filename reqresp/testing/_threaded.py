"""
Testing: servers to test clients against, whatever these are written with.

`serve` starts one in a thread of its own, as the pytest fixture does.
"""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, Protocol, Unpack

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from reqresp.steps import Request, Wait
from reqresp.testing._base import BaseServer, Behaving
from reqresp.testing._expectation import Expectation, Payloads, Predicating
from reqresp.testing._in_memory import MemoryServer
from reqresp.testing._on_reactor import LocalServer
from reqresp.testing._reactor_thread import ThreadedReactor
from reqresp.transport.eager import EagerServerEndpoint

__all__ = [
    "Expectation",
    "LocalServer",
    "MemoryServer",
    "Server",
    "StartServer",
    "Wait",
    "serve",
]

#: Seconds that a test waits for what it asserts, unless it says otherwise.
PATIENCE = 1.0


class Server(BaseServer):
    """
    A server in a thread of its own, on a port of its own.

    It listens when it is made.  What it is to do is said as in `BaseServer`, of which it takes the
    parameters; what is not said is unexpected.

    :param host: the address to listen on.
    :param tls: whether clients are to speak TLS, for which there is `client_context`.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", tls: bool = False, **what: Unpack[Behaving]
    ) -> None:
        self.host = host
        #: Trusts this server; for clients that speak TLS.
        self.client_context: ssl.SSLContext | None = None
        self._tls: Any = None
        self._listening: Any = None
        self._is_over = False
        # Bound, it keeps the port while nobody listens, and with SO_REUSEADDR somebody can.
        self._reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reserved.bind((host, 0))
            #: The port's number.
            self.port: int = self._reserved.getsockname()[1]
            if tls:
                from reqresp.testing._certificates import make_contexts

                self._tls, self.client_context = make_contexts(host)
            self._thread = ThreadedReactor()
        except BaseException:
            self._reserved.close()
            raise
        try:
            super().__init__(self._thread.reactor, **what)
            self.start()
        except BaseException:
            self._reserved.close()
            self._thread.stop()
            raise

    @property
    def clock(self) -> IReactorTime:
        """What keeps its time: for handlers, which can ``await deferLater(server.clock, ...)``."""
        clock: IReactorTime = self._thread.reactor
        return clock

    @property
    def name(self) -> str:  # type: ignore[override]  # known once it listens
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def _call(self, function: Any, *arguments: Any) -> Any:
        # When all is over, nothing changes any more.
        return function(*arguments) if self._is_over else self._thread.call(function, *arguments)

    # Its life

    def start(self) -> None:
        """
        Listen, on the same port as before; nothing happens if it does.

        :raises RuntimeError: it has ended.
        """
        if self._is_over:
            raise RuntimeError("a server that has ended cannot be started again")
        if self._listening is None:
            self._listening = self._call(self._listen)

    def stop(self) -> None:
        """
        Listen no more, and reset all connections; clients are refused until it is started again.

        Nobody else gets the port meanwhile, unless they ask for just that one with SO_REUSEADDR.
        """
        if self._listening is not None:
            self._call(self._listening.stopListening)
            self._listening = None
        self.disconnect_all()

    def disconnect_all(self) -> None:
        """Reset all connections, and wait until they are gone."""
        self._read()  # who has connected may not be accepted yet
        self._call(self._disconnect)

    def end(self) -> None:
        """Stop for good; the thread ends, and the port is given back."""
        if self._is_over:
            return
        self._thread.check()
        try:
            self.stop()
        finally:
            try:
                self._thread.stop()
            finally:
                self._is_over = True
                self._watch.give_up()
                self._reserved.close()

    def _listen(self) -> Deferred[Any]:
        reactor = self._thread.reactor
        factory: Any = self.factory
        if self._tls is not None:
            from reqresp.transport.tls import wrap

            # Not listenSSL, which has the global reactor keep its time.
            factory = wrap(factory, self._tls, reactor)
        endpoint = EagerServerEndpoint(reactor, self.port, backlog=1024, interface=self.host)
        return endpoint.listen(factory)

    # What was

    def wait_for(
        self,
        equals: Payloads | None = None,
        *,
        times: int = 1,
        timeout: float = PATIENCE,
        **predicates: Unpack[Predicating],
    ) -> list[Request]:
        """
        Wait until requests like this (see `on`) came so many *times*, and give them.

        :raises AssertionError: they did not come within *timeout* seconds; it tells what did.
        """
        __tracebackhide__ = True
        found = self.when(equals, times=times, **predicates)
        try:
            return found.result(0 if self._is_over else timeout)
        except TimeoutError:
            found.cancel()
        came = self.requests(equals, **predicates)
        if len(came) < times:
            raise AssertionError(self._missed(equals, predicates, times, len(came)))
        return came  # just in time

    def assert_received(
        self,
        equals: Payloads | None = None,
        *,
        times: int | None = None,
        timeout: float = PATIENCE,
        **predicates: Unpack[Predicating],
    ) -> None:
        """
        Assert that requests like this (see `on`) came, as often as *times* says; once at least.

        :raises AssertionError: they came less often within *timeout* seconds, or more often.
        """
        __tracebackhide__ = True
        least = 1 if times is None else times
        self.wait_for(equals, times=least, timeout=timeout, **predicates)
        if times is None:
            return
        self._read()
        came = len(self.requests(equals, **predicates))
        if came != times:
            raise AssertionError(self._missed(equals, predicates, times, came))

    def verify(self, timeout: float = PATIENCE) -> None:
        """
        Assert that all that was expected came, and nothing else.

        While a client is connected, what is missing is waited for, *timeout* seconds at most.

        :raises AssertionError: it is not so; the message tells the conversation.
        """
        __tracebackhide__ = True
        if not self._is_over:
            self._read()
            settled: Future[None] = self._call(self._watch.until, lambda: self._is_settled)
            wait([settled], timeout)
            settled.cancel()
        self._verify()

    def _read(self) -> None:
        """Have the server read all that has arrived by now."""
        if not self._is_over:
            self._thread.call(self._thread.when_read, PATIENCE)


class StartServer(Protocol):
    """What the fixture ``reqresp_server`` is: starts a server that ends with the test."""

    def __call__(
        self, *, host: str = "127.0.0.1", tls: bool = False, **what: Unpack[Behaving]
    ) -> Server:
        """Start one; see `Server`."""


@contextmanager
def serve(
    *, host: str = "127.0.0.1", tls: bool = False, **what: Unpack[Behaving]
) -> Iterator[Server]:
    """
    Start a `Server`, of which these are the parameters, and end it behind the block.

    :raises AssertionError: at the end of a block that raises nothing itself: what was expected
        did not come, or something else did (see `Server.verify`).
    """
    __tracebackhide__ = True
    server = Server(host=host, tls=tls, **what)
    try:
        yield server
        server.verify()
    except Exception as error:
        # As the fixture does beside a test's own error.
        if (told := _report(server)) not in str(error):
            error.add_note(told)
        raise
    finally:
        server.end()


def _report(server: Server) -> str:
    try:
        return server.report()
    except Exception as error:  # its thread may be busy: it is another error that counts
        return f"{type(error).__name__}: {error}"
