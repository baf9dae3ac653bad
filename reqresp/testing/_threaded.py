"""
Server: a test server in a thread of its own, for clients of any kind.

The pytest fixture starts one for a test.
"""

import socket
import ssl
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from reqresp.expectations.futures import AwaitableFuture, check_can_block
from reqresp.script.rule_parts import PayloadsLike, PredicateArguments
from reqresp.steps import Request
from reqresp.testing._arguments import ServerArguments, check_arguments, check_names
from reqresp.testing._base import ASSERT_TIMEOUT, BaseServer
from reqresp.testing._connections import ServerConnection, number_of
from reqresp.testing._expectation import ErrorsWithLine, check_timeout
from reqresp.testing._held import HeldRequest, not_held
from reqresp.testing._reactor_thread import ThreadedReactor
from reqresp.transport.accept_modes import AcceptMode, AcceptName, accept_mode
from reqresp.transport.accepting import Acceptance
from reqresp.transport.eager import EagerServerEndpoint

if TYPE_CHECKING:
    from reqresp.testing._certificates import TLS

#: The number of clients that the system lets wait for the server to accept them.
BACKLOG = 1024

# What to do in a running event loop instead of `Server.verify`.
_VERIFY_INSTEAD = "await asyncio.to_thread(server.verify), or use async with serve(...)"

T = TypeVar("T")

# As in _base.
__tracebackhide__ = True


class Server(BaseServer):
    """
    A test server in a thread of its own, on a port of its own.

    It listens once it is made.  It takes all arguments of `BaseServer` but the clock.  If it is
    garbage-collected without `end`, it ends, with a ResourceWarning.

    :param host: the address to listen on.
    :param tls: True: clients use TLS, with a certificate that is made for the server; an
        ``ssl.SSLContext``, or the paths of a certificate and of its key: TLS with these;
        ``"expired"``, ``"wrong_name"`` or ``"unknown_ca"``: a certificate that clients must refuse.
    :param start_tls: the same, for connections that begin without TLS and that `StartTLS` encrypts.
    :raises OSError: it cannot listen on *host*.
    :raises ImportError: a package that TLS needs is not installed.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        tls: "TLS" = False,
        start_tls: "TLS" = False,
        **arguments: Unpack[ServerArguments],
    ) -> None:
        check_names(arguments, "host", "tls", "start_tls")
        check_arguments(host=host)
        if tls is not False and start_tls is not False:
            raise TypeError("expected one of tls, start_tls; found both")
        #: The address that it listens on.
        self.host = host
        #: Trusts the server's certificate: for clients that use TLS.  None: the test has made the
        #: server's context itself, or clients do not use TLS.
        self.client_context: ssl.SSLContext | None = None
        self._tls: Any = None
        self._listening: Any = None
        self._has_ended = False
        # This socket is bound and does not listen.  It keeps the port while the server is stopped.
        # With SO_REUSEADDR, the server can listen on the same port.
        self._reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reserved.bind((host, 0))
            #: The port that it listens on.
            self.port: int = self._reserved.getsockname()[1]
            if tls is not False:
                self._tls, self.client_context = _make_tls("tls", tls, host)
            certificates = None
            if start_tls is not False:
                certificates, self.client_context = _make_tls("start_tls", start_tls, host)
            self._thread = ThreadedReactor()
        except BaseException:
            self._reserved.close()
            raise
        try:
            super().__init__(self._thread.reactor, **arguments)
            if certificates is not None:
                from reqresp.transport.tls import TLSStarter

                self.factory.start_tls = TLSStarter(certificates, self._thread.reactor)
            self.start()
        except BaseException:
            self._reserved.close()
            self._thread.stop()
            raise
        # Called when nothing refers to this server any more, and when the program ends.
        self._end_when_collected = weakref.finalize(
            self, _end_collected, self.name, self._thread, self._reserved
        )

    @property
    def clock(self) -> IReactorTime:
        """The server's clock, for handlers: ``await deferLater(server.clock, 0.1)``."""
        clock: IReactorTime = self._thread.reactor
        return clock

    @property
    def call_timeout(self) -> float:
        """
        The number of seconds that a method waits for the server's thread at most.

        A handler that blocks keeps that thread busy.
        """
        return self._thread.timeout

    @call_timeout.setter
    def call_timeout(self, seconds: float) -> None:
        check_timeout("call_timeout", seconds, "")
        self._thread.timeout = seconds

    @property
    def name(self) -> str:  # type: ignore[override]  # known once it listens
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def _condition(self) -> str:
        if self._has_ended:
            return "ended"
        return "listening" if self._listening is not None else "stopped"

    def _call(self, function: Any, *arguments: Any) -> Any:
        # After the end the thread is gone, and nothing changes any more.
        return function(*arguments) if self._has_ended else self._thread.call(function, *arguments)

    # Starting and stopping

    def start(self) -> None:
        """
        Listen again, on the same port; does nothing if the server listens.

        :raises RuntimeError: the server has ended.
        """
        if self._has_ended:
            raise RuntimeError("the server has ended: it cannot be started again")
        if self._listening is None:
            self._listening = self._call(self._listen)
            self._acceptance = Acceptance(self._listening)
            if self._script is not None:
                self._call(self._acceptance.set, self._script.accept)

    def stop(self) -> None:
        """
        Stop listening, and reset all connections; clients are refused until `start`.

        The port stays reserved, except from a program that binds to this very port with
        SO_REUSEADDR.
        """
        self.stop_listening()
        self.disconnect_all()

    def stop_listening(self) -> None:
        """Accept no more clients until `start`; open connections go on."""
        if self._listening is not None:
            self._call(self._close_port)
            self._listening = None

    def accepting(
        self, how: AcceptName | AcceptMode | None = None, *, after: float | None = None
    ) -> None:
        """
        Treat clients that connect from now on otherwise; open connections go on.

        :param how: ``"now"``: accept them, as at first.  ``"late"``: they connect, and wait until
            that is changed.  ``"hold"``: ``connect()`` gets no answer, and times out unless that is
            changed.  ``"refuse"``: ``connect()`` is refused with a reset.
        :param after: instead, the seconds that clients wait to be accepted, once they connected.
        :raises ScriptError: *how* is none of these, or *after* is out of range.
        :raises TypeError: both are given, or neither.
        :raises RuntimeError: the server has ended.
        """
        with ErrorsWithLine("accepting"):
            accept = accept_mode(how, after)
        self.start()
        self._call(self._acceptance.set, accept)

    def _close_port(self) -> Any:
        self._acceptance.close()
        return self._listening.stopListening()

    def disconnect_all(self) -> None:
        """Reset all connections, and wait until they are gone."""
        self._read_all()  # accepts clients that have connected
        self._call(self._disconnect)

    def end(self) -> None:
        """Stop for good: the thread ends, and the port is released."""
        if self._has_ended:
            return
        self._thread.check()
        self._end_when_collected.detach()
        try:
            self.stop()
            self._finish_recording()
        finally:
            try:
                self._thread.stop()
            finally:
                self._has_ended = True
                self._waiters.cancel_all()
                self._reserved.close()

    def _listen(self) -> Deferred[Any]:
        reactor = self._thread.reactor
        factory: Any = self.factory
        if self._tls is not None:
            from reqresp.transport.tls import wrap

            # Not listenSSL, which uses the clock of the global reactor.
            factory = wrap(factory, self._tls, reactor)
        endpoint = EagerServerEndpoint(reactor, self.port, backlog=BACKLOG, interface=self.host)
        return endpoint.listen(factory)

    # Assertions

    def wait_for(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> list[Request]:
        """
        Wait until at least *times* matching requests (see `on`) have been received; return them.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: fewer were received; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("wait_for", _instead("wait_for"))
        found = self._wait_for("wait_for", equals, predicates, times, timeout)
        if len(found) < times:
            raise self._wrong_number(equals, predicates, len(found), f"at least {times}")
        return found

    def assert_received(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int | None = None,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> None:
        """
        Assert that exactly *times* matching requests (see `on`) are received; None: at least one.

        :param timeout: the number of seconds to wait for them at most.
        :raises AssertionError: it is not so; the message has the conversation.
        :raises RuntimeError: it would have to wait, and so block the event loop of asyncio that
            runs in this thread.
        """
        at_least = 1 if times is None else times
        found = self._wait_for("assert_received", equals, predicates, at_least, timeout)
        if times is None:
            if not found:
                raise self._wrong_number(equals, predicates, 0, "at least 1")
            return
        self._read_all()
        received = len(self.requests(equals, **predicates))
        if received != times:
            raise self._wrong_number(equals, predicates, received, str(times))

    def next_request(
        self,
        equals: PayloadsLike | None = None,
        *,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> HeldRequest:
        """
        Wait for the next request that the test has to answer, and return it; see `when_held`.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: none came; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        found = self.when_held(equals, **predicates)
        problem = partial(not_held, equals, predicates)
        return self._result("next_request", "when_held", found, timeout, problem)

    def wait_for_connection(
        self, times: int = 1, *, timeout: float = ASSERT_TIMEOUT
    ) -> ServerConnection:
        """
        Wait until *times* clients have connected since the start; return the last of these.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: fewer have; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        found = self.connections.when_opened(times)
        instead = "connections.when_opened"
        return self._result(
            "wait_for_connection",
            instead,
            found,
            timeout,
            lambda: self.connections.not_opened(times),
        )

    def wait_for_close(
        self, connection: ServerConnection | None = None, *, timeout: float = ASSERT_TIMEOUT
    ) -> None:
        """
        Wait until *connection* is closed; None: until no connection is open.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: it is still open; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        found = self.connections.when_closed(number_of("wait_for_close", connection))
        instead = "connections.when_closed"
        self._result(
            "wait_for_close",
            instead,
            found,
            timeout,
            lambda: self.connections.not_closed(connection),
        )

    def assert_no_open_connections(self, *, timeout: float = ASSERT_TIMEOUT) -> None:
        """
        Assert that every client has disconnected, as `wait_for_close` does.

        :param timeout: the number of seconds to wait for them at most.
        :raises AssertionError: one is connected; the message has the conversation.
        """
        self.wait_for_close(timeout=timeout)

    def _result(
        self,
        call: str,
        instead: str,
        future: AwaitableFuture[T],
        timeout: float,
        problem: Callable[[], str],
    ) -> T:
        """
        Return the result of *future*, for which the method *call* waits.

        :param instead: the method whose result a coroutine awaits.
        :raises AssertionError: it is not done in time; the message begins with *problem*.
        """
        seconds = 0 if self._has_ended else timeout
        try:
            check_timeout(call, timeout)
            if future.would_wait(seconds):
                check_can_block(call, f"await server.{instead}(...)")
            return future.result(seconds)
        except TimeoutError:
            raise self._not_so(problem()) from None
        finally:
            future.cancel()

    def _wait_for(
        self,
        call: str,
        equals: PayloadsLike | None,
        predicates: PredicateArguments,
        times: int,
        timeout: float,
    ) -> list[Request]:
        check_timeout(call, timeout)
        seconds = 0 if self._has_ended else timeout
        future = self.when(equals, times=times, **predicates)
        try:
            if future.would_wait(seconds):
                check_can_block(call, _instead(call))
            return future.result(seconds)
        except TimeoutError:
            return self.requests(equals, **predicates)
        finally:
            future.cancel()

    def verify(self, timeout: float | None = None) -> None:
        """
        Assert that every expectation is met, and that nothing unexpected was received.

        :param timeout: the number of seconds to wait for missing requests at most, also if no
            client is connected; None: as long as a client is connected, and a second at most.
        :raises AssertionError: it is not so; the message has the conversation.
        :raises RuntimeError: it would have to wait, and so block the event loop of asyncio that
            runs in this thread.
        """
        seconds = ASSERT_TIMEOUT if timeout is None else timeout
        check_timeout("verify", seconds)
        if not self._has_ended:
            self._read_all()
            self._settle(seconds, timeout is not None)
        self._verify()

    def _settle(self, seconds: float, waits_for_clients: bool) -> None:
        settled = self._call(
            self._waiters.until,
            partial(self._is_settled, waits_for_clients=waits_for_clients),
        )
        try:
            if settled.would_wait(seconds):
                check_can_block("verify", _VERIFY_INSTEAD)
            wait([settled], seconds)
        finally:
            settled.cancel()

    def _read_all(self) -> None:
        """Wait until the server has read everything that has arrived by now."""
        if not self._has_ended:
            self._thread.call(self._thread.when_read, ASSERT_TIMEOUT)


def _make_tls(name: str, tls: "TLS", host: str) -> tuple[Any, ssl.SSLContext | None]:
    """
    Return what Twisted needs for TLS, and a context for clients.

    :param name: of the argument *tls*, for messages.

    :raises TypeError: *tls* is nothing of `TLS`.
    :raises ValueError: a context or a file cannot be used.
    :raises ImportError: a package is not installed; the message has the extra.
    """
    from reqresp.testing._certificates import make_contexts

    with ErrorsWithLine():
        try:
            server, client = make_contexts(name, tls, host)
            from reqresp.testing._ssl_connections import SSLConnections
        except ImportError as error:
            raise ImportError(
                f"{name}: {error.name or error} is not installed:"
                " run pip install 'reqresp[testing]'"
            ) from error
        return SSLConnections(server), client


def _end_collected(name: str, thread: ThreadedReactor, reserved: socket.socket) -> None:
    """End a server that nothing refers to.  Any thread can call this, so it does not wait."""
    thread.stop_later()
    reserved.close()
    warnings.warn(
        f"the test server {name} was not ended: call end(), or make it with serve(...)",
        ResourceWarning,
        stacklevel=2,
    )


def _instead(call: str) -> str:
    """Return what to do in a running event loop instead of *call*, which waits for requests."""
    return f"await server.when(...), or asyncio.to_thread(server.{call}, ...)"


class StartServer(Protocol):
    """The type of the fixture ``reqresp_server``: starts servers that end with the test."""

    def __call__(
        self,
        *,
        host: str = "127.0.0.1",
        tls: "TLS" = False,
        start_tls: "TLS" = False,
        **arguments: Unpack[ServerArguments],
    ) -> Server:
        """Start a server and return it; the arguments are those of `Server`."""
