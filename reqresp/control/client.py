"""
ControlClient: a server in another process, such as a container, as a test steers it.

Knows the API.  It has the methods of the test servers in `reqresp.testing`, blocking or for
asyncio, and needs neither a reactor nor prometheus_client.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Unpack

from reqresp.control._client_values import exchange_of, request_of
from reqresp.control._http import RequestSender
from reqresp.control._remote_answer import as_predicates, timer
from reqresp.control._service_api import (
    WHEN_SECONDS,
    ServiceApi,
    check_argument,
    in_background,
)
from reqresp.control.client_connections import RemoteConnection, RemoteConnections
from reqresp.control.client_expectations import RemoteExpectation, RemoteExpectations
from reqresp.control.client_faults import RemoteFault, fault_parameters, fault_stream, shown_faults
from reqresp.control.client_held import HeldRequests, RemoteHeldRequest
from reqresp.control.client_verdict import Verdicts
from reqresp.exchanges import Exchange
from reqresp.expectations.futures import AwaitableFuture, check_can_block
from reqresp.expectations.unused import UnusedAction, check_unused, warn_unused
from reqresp.faults import Direction, Fault
from reqresp.script.rule_parts import PayloadsLike, PredicateArguments
from reqresp.steps import Request
from reqresp.transport.accept_modes import AcceptMode, AcceptName, accept_mode, written_mode

#: Seconds that a test waits for what it asserts, by default.
ASSERT_TIMEOUT = 1.0

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


class ControlClient:
    """
    A service of a process that runs with ``--control``.

    :param url: where it is controlled, such as ``http://127.0.0.1:8474``, or ``unix:`` and the path
        of a UNIX socket.
    :param service: the name of the service.
    :param token: the content of its ``--control-token-file``; None: it has none.
    :raises ValueError: the URL is neither.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8474", service: str = "default", token: str | None = None
    ) -> None:
        self._api = ServiceApi(RequestSender(url, token), service)
        self._ask = self._api.ask
        self._expectations = RemoteExpectations(self._api)
        self._held = HeldRequests(self._api)
        self._verdicts = Verdicts(self._api)
        #: The open connections; also those to come, and how many there were.
        self.connections = RemoteConnections(self._api)
        self.push, self.broadcast = self.connections.push, self.connections.broadcast

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._api.server.url}: {self.service}>"

    @property
    def service(self) -> str:
        """The name of the service."""
        return self._api.service

    @property
    def addresses(self) -> list[str]:
        """Where the service listens, such as ``127.0.0.1:2525``."""
        listen: list[str] = self._ask("GET")["listen"]
        return listen

    def reset(self) -> None:
        """Make the service as it was at the start: between two tests."""
        self._ask("POST", "reset")

    # Starting and stopping

    def start(self) -> None:
        """Listen again, on the same ports; do nothing if the service listens."""
        self._ask("POST", "enable")

    def stop(self) -> None:
        """Stop listening, and reset all connections; clients are refused until `start`."""
        self._ask("POST", "disable")

    def accepting(
        self, how: AcceptName | AcceptMode | None = None, *, after: float | None = None
    ) -> None:
        """
        Treat clients that connect from now on otherwise; open connections go on.

        It is so until the service is reset.

        :param how: ``now``, ``late``, ``hold`` or ``refuse``, as for
            `reqresp.testing.Server.accepting`.
        :param after: instead, the seconds that clients wait to be accepted.
        :raises ScriptError: *how* is none of these, or *after* is out of range; it names the line
            of the test.
        :raises TypeError: both are given, or neither.
        """
        accept = written_mode(check_argument("accepting", accept_mode, how, after))
        self._ask("PATCH", body={"accept": accept}, method_of_test="accepting")

    def disconnect_all(self) -> None:
        """Reset all connections, and wait until they are gone."""
        for connection in self.connections:
            connection.abort()
        self.wait_for_close()

    # What is expected

    def on(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> RemoteExpectation:
        """
        Answer matching requests, any number of them; the latest one that matches answers.

        :param equals: the whole request: text, bytes or a script's payload; a list is any of them.
        :param predicates: as for `reqresp.testing.BaseServer.on`.
        :raises ScriptError: a value is not usable; it names the line of the test.
        :raises ControlError: the server cannot be reached, or knows no requests.
        """
        return self._expectations.add("on", equals, predicates, None)

    def expect(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> RemoteExpectation:
        """Expect a matching request this number of *times*, in any order with others; see `on`."""
        return self._expectations.add("expect", equals, predicates, times)

    def expect_next(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> RemoteExpectation:
        """Expect a matching request after those of earlier calls of `expect_next`; see `on`."""
        return self._expectations.add("expect_next", equals, predicates, times)

    def on_event(
        self, event: str, *, when: str | Sequence[str] = "*", times: int | None = None
    ) -> RemoteExpectation:
        """
        Answer an event that is no request.

        :param event: ``connect``, ``idle``, ``refused`` or ``malformed``, as ``on`` of a script.
        :param when: a state or a list of states; ``"*"``: all.
        :param times: how often it answers at most; None: without limit.
        :raises ScriptError: a value is not usable; it names the line of the test.
        """
        trigger = {"on": event}
        return self._expectations.add("on", None, {"when": when}, times, trigger)

    def every(
        self,
        seconds: float,
        *,
        jitter: float = 0.0,
        when: str | Sequence[str] = "*",
        times: int | None = None,
    ) -> RemoteExpectation:
        """
        Send to each client every so many *seconds*, while it is in one of the states.

        :param jitter: seconds that each time comes later at most, at random.
        :param when: a state or a list of states; ``"*"``: all.
        :param times: how often it sends to each client at most; None: without limit.
        :raises ScriptError: a value is not usable; it names the line of the test.
        """
        trigger = timer(seconds, jitter)
        return self._expectations.add("on", None, {"when": when}, times, trigger)

    def clear(self, *expectations: RemoteExpectation) -> None:
        """
        Remove *expectations*; without any, remove all, and forget what has come so far.

        :raises ValueError: an expectation was removed before, or is of another service.
        """
        if not expectations:
            self._expectations.clear()
        for expectation in expectations:
            self._expectations.remove(expectation, expectation.number)

    # Requests that wait for the test

    def when_held(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> AwaitableFuture[RemoteHeldRequest]:
        """
        Return a future of the next request that waits for the test to answer it; see `on`.

        Requests wait that an expectation with `RemoteExpectation.hold` answers.  If there is none,
        one for all requests is added.  Each request is given once, in the order in which they came.
        """
        wanted = as_predicates(equals, predicates)
        self._expectations.hold_any()
        return self._when_held(wanted)

    def _when_held(self, wanted: Mapping[str, Any]) -> AwaitableFuture[RemoteHeldRequest]:
        return in_background(partial(self._held.take, "when_held", wanted, WHEN_SECONDS))

    def next_request(
        self,
        equals: PayloadsLike | None = None,
        *,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> RemoteHeldRequest:
        """
        Wait for the next request that the test has to answer, and return it; see `when_held`.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: none came; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("next_request", "use AsyncControlClient")
        return self._next_request(equals, predicates, timeout, lambda: True)

    def _next_request(
        self,
        equals: PayloadsLike | None,
        predicates: Mapping[str, Any],
        timeout: float,
        is_wanted: Callable[[], bool],
    ) -> RemoteHeldRequest:
        wanted = as_predicates(equals, predicates)
        self._expectations.hold_any()
        found = self._held.take("next_request", wanted, timeout, is_wanted)
        end = monotonic() + timeout
        while found is None and (left := end - monotonic()) > 0 and is_wanted():
            found = self._held.take("next_request", wanted, left, is_wanted)
        if found is None:
            raise self._verdicts.none_held(equals, predicates)
        return found

    # What was received

    def requests(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> list[Request]:
        """Return the matching requests so far; without predicates, all.  See `on`."""
        return self._requests("requests", equals, predicates, 0, 0.0)

    def when(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> AwaitableFuture[list[Request]]:
        """
        Return a future of the matching requests (see `on`), done when there are at least *times*.

        Requests that were received before count.  It is a ``concurrent.futures.Future``, which a
        coroutine of asyncio can await.  It raises what `requests` does.
        """

        def ask(is_wanted: Callable[[], bool]) -> list[Request] | None:
            found = self._requests("when", equals, predicates, times, WHEN_SECONDS)
            return found if len(found) >= times and is_wanted() else None

        return in_background(ask)

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests that have been answered so far, with their replies."""
        return [exchange_of(it) for it in self.connections.entries("answered")]

    def conversation(self) -> str:
        """Return the requests and replies so far, a line for each request."""
        return str(self._verdicts.verdict()["conversation"])

    def problems(self, *, strict: bool = True) -> str:
        """
        Return what was not as expected so far, with the conversation; empty if all was.

        :param strict: as for `verify`.
        """
        return str(self._verdicts.verdict(strict=strict)["report"] or "")

    def report(self) -> str:
        """
        Return the problems, or else the conversation.

        Does not raise: if the server cannot be asked, the text says why.
        """

        return self._verdicts.report()

    def entries(self, /, **filters: str | float | bool) -> list[dict[str, Any]]:
        """
        Return entries of the service's journal as JSON has them, the latest 100.

        :param filters: the parameters of ``/api/services/{service}/entries``, such as
            ``miss=True``, ``connection=3``, ``text="STAT"`` and ``limit=1000``.
        :raises ScriptError: a value is not usable; it names the line of the test.
        """
        found: list[dict[str, Any]] = self._ask(
            "GET", "entries", query=filters, method_of_test="entries"
        )["entries"]
        return found

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
        :raises AssertionError: fewer were received; the message has the requests.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("wait_for", "use AsyncControlClient")
        found = self._requests("wait_for", equals, predicates, times, timeout)
        if len(found) < times:
            raise self._verdicts.wrong_number(equals, predicates, len(found), f"at least {times}")
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
        :raises AssertionError: it is not so; the message has the requests.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("assert_received", "use AsyncControlClient")
        at_least = 1 if times is None else times
        found = self._requests("assert_received", equals, predicates, at_least, timeout)
        if times is None and not found:
            raise self._verdicts.wrong_number(equals, predicates, 0, "at least 1")
        if times is not None and len(found) != times:
            raise self._verdicts.wrong_number(equals, predicates, len(found), str(times))

    def verify(
        self,
        timeout: float | None = None,
        *,
        strict: bool = True,
        unused: UnusedAction = "warn",
    ) -> None:
        """
        Assert that every expectation is met, and that nothing unexpected was received.

        :param timeout: the number of seconds to wait for missing requests at most, also if no
            client is connected; None: as long as a client is connected, and a second at most.
        :param strict: whether a request that nothing answers, is malformed or is not finished is a
            problem.
        :param unused: what happens if no client has asked for a part of a recording that is
            replayed: ``"warn"``, ``"fail"`` or ``"ignore"``.
        :raises AssertionError: it is not so; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("verify", "use AsyncControlClient")
        check_argument("verify", check_unused, unused)
        verdict = self._verdicts.verdict(
            timeout, strict=strict, unused_fails=unused == "fail", method_of_test="verify"
        )
        if verdict["report"] is not None:
            raise AssertionError(verdict["report"])
        if unused == "warn":
            warn_unused(self.service, verdict["unused"])

    def wait_for_connection(
        self, times: int = 1, *, timeout: float = ASSERT_TIMEOUT
    ) -> RemoteConnection:
        """
        Wait until *times* clients have connected since a reset or `clear`; return the last one.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: fewer have; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("wait_for_connection", "use AsyncControlClient")
        found = self.connections.opened(times, timeout)
        if found is None:
            total = self.connections.total
            raise self._verdicts.not_so(f"connections: expected {times}, found {total}")
        return found

    def wait_for_close(
        self, connection: RemoteConnection | None = None, *, timeout: float = ASSERT_TIMEOUT
    ) -> None:
        """
        Wait until *connection* is closed; None: until no connection is open.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: it is still open; the message has the conversation.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("wait_for_close", "use AsyncControlClient")
        if connection is None:
            if not self.connections.closed(None, timeout):
                count = len(self.connections)
                raise self._verdicts.not_so(f"expected no open connection, found {count}")
        elif not self.connections.closed(connection.number, timeout):
            raise self._verdicts.not_so(f"connection {connection.number} is open")

    def assert_no_open_connections(self, *, timeout: float = ASSERT_TIMEOUT) -> None:
        """
        Assert that every client has disconnected, as `wait_for_close` does.

        :param timeout: the number of seconds to wait for them at most.
        :raises AssertionError: one is connected; the message has the conversation.
        """
        self.wait_for_close(timeout=timeout)

    def _requests(
        self,
        method: str,
        equals: PayloadsLike | None,
        predicates: Mapping[str, Any],
        times: int,
        timeout: float,
    ) -> list[Request]:
        body = as_predicates(equals, predicates) | {"times": times, "timeout": timeout}
        found = self._ask("POST", "requests", body=body, seconds=timeout, method_of_test=method)
        return [request_of(it) for it in found["requests"]]

    # What goes wrong

    def fault(
        self,
        kind: str | Fault,
        *,
        stream: str | Direction | None = None,
        on: str | None = None,
        name: str | None = None,
        **parameters: Any,
    ) -> RemoteFault:
        """
        Let something go wrong with what passes from now on, on open connections, too.

        The result changes and removes it; as a context manager, it removes it at the end.

        :param stream: ``downstream``, the default, or ``upstream``, what clients send.
        :param on: of a fault of replies: ``reply``, the default, or ``connect``, drawn when a
            client connects.
        :param parameters: those of the *kind*, as in a script; ``for_`` is ``for``.
        :raises ScriptError: a value is not usable; it names the line of the test.
        """
        body = {"stream": fault_stream(stream, on), **fault_parameters(kind, parameters)}
        if name is not None:
            body["name"] = name
        added = self._ask("POST", "faults", body=body, method_of_test="fault")
        return RemoteFault(self._api, added)

    @property
    def faults(self) -> tuple[RemoteFault, ...]:
        """What goes wrong at present, in the order in which it applies."""
        return tuple(RemoteFault(self._api, it) for it in shown_faults(self._api))
