"""
ControlClient: a server in another process, such as a container, as a test steers it.

Knows the API.  It has the methods of the test servers in `reqresp.testing`, blocking or for
asyncio, and needs neither a reactor nor prometheus_client.
"""

import base64
import re
from collections.abc import Mapping
from contextvars import ContextVar, copy_context
from threading import Thread
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, Unpack, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from reqresp.control._http import ControlError, RequestSender
from reqresp.control._remote_expectation import RemoteExpectation, as_predicates
from reqresp.control.client_connections import RemoteConnection
from reqresp.expectations.caller import calling_line
from reqresp.expectations.futures import AwaitableFuture, check_can_block
from reqresp.expectations.report import describe
from reqresp.expectations.unused import UnusedAction, warn_unused
from reqresp.script import Problem, ScriptError
from reqresp.script.rule_parts import PayloadsLike, PredicateArguments
from reqresp.steps import Request

#: Seconds that a test waits for what it asserts, by default.
ASSERT_TIMEOUT = 1.0
#: Requests that an error shows: the last ones.
MAX_SHOWN = 50
#: The line of a test that calls from another thread; empty: it calls in this one.
CALLER = ContextVar("CALLER", default="")
#: Seconds after which a future that is not done asks again: it may be cancelled.
WHEN_SECONDS = 30.0
#: The longest name of an expectation, and what a name cannot have.
_MAX_NAME = 60
_UNNAMED = re.compile(r"[^\w .:/+-]")

T = TypeVar("T")

#: What the paths of problems begin with: what a test has called takes its place.
_OF_BODY = re.compile(r"^(expectation|request)\b")

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
        self._server = RequestSender(url, token)
        #: The name of the service.
        self.service = service

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._server.url}: {self.service}>"

    @property
    def addresses(self) -> list[str]:
        """Where the service listens, such as ``127.0.0.1:2525``."""
        listen: list[str] = self._ask("GET")["listen"]
        return listen

    def reset(self) -> None:
        """Make the service as it was at the start: between two tests."""
        self._ask("POST", "reset")

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
        return self._expect("on", equals, predicates, None)

    def expect(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> RemoteExpectation:
        """Expect a matching request this number of *times*, in any order with others; see `on`."""
        return self._expect("expect", equals, predicates, times)

    def expect_next(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> RemoteExpectation:
        """Expect a matching request after those of earlier calls of `expect_next`; see `on`."""
        return self._expect("expect_next", equals, predicates, times)

    def clear(self) -> None:
        """Remove all expectations, and forget what has come so far."""
        self._ask("DELETE", "expectations")

    def _expect(
        self,
        kind: str,
        equals: PayloadsLike | None,
        predicates: Mapping[str, Any],
        times: int | None,
    ) -> RemoteExpectation:
        number: int | None = None

        def send(table: Mapping[str, Any], method: str) -> None:
            self._ask("PUT", "expectations", str(number), body=table, method_of_test=method)

        expectation = RemoteExpectation(expectation_table(kind, equals, predicates, times), send)
        number = self.add(expectation.table())
        return expectation

    def add(self, table: Mapping[str, Any]) -> int:
        """
        Add an expectation as the API expects it; return its number.

        :raises ScriptError: it has problems; it has all of them.
        """
        kind = str(table.get("kind"))
        added = self._ask("POST", "expectations", body=table, method_of_test=kind)
        number: int = added["id"]
        return number

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
        future: AwaitableFuture[list[Request]] = AwaitableFuture()
        token = CALLER.set(CALLER.get() or calling_line())
        context = copy_context()
        CALLER.reset(token)

        def ask() -> list[Request]:
            return self._requests("when", equals, predicates, times, WHEN_SECONDS)

        def wait() -> None:
            try:
                found = context.run(ask)
                while len(found) < times and not future.cancelled():
                    found = context.run(ask)
            except Exception as error:
                _set(future, error=error)
                return
            _set(future, found)

        Thread(target=wait, daemon=True).start()
        return future

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
        :raises AssertionError: it is not so; the message has the requests.
        :raises RuntimeError: an event loop of asyncio runs in this thread, and would be blocked.
        """
        check_can_block("assert_received", "use AsyncControlClient")
        at_least = 1 if times is None else times
        found = self._requests("assert_received", equals, predicates, at_least, timeout)
        if times is None and not found:
            raise self._wrong_number(equals, predicates, 0, "at least 1")
        if times is not None and len(found) != times:
            raise self._wrong_number(equals, predicates, len(found), str(times))

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
        seconds = ASSERT_TIMEOUT if timeout is None else timeout
        body = {"strict": strict, "unused_fails": unused == "fail", "timeout": timeout}
        body = {name: value for name, value in body.items() if value is not None}
        verdict = self._ask("POST", "verify", body=body, seconds=seconds)
        if verdict["report"] is not None:
            raise AssertionError(verdict["report"])
        if unused == "warn":
            warn_unused(self.service, verdict["unused"])

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
        return [_request(it) for it in found["requests"]]

    def _wrong_number(
        self, equals: PayloadsLike | None, predicates: Mapping[str, Any], found: int, expected: str
    ) -> AssertionError:
        times = "time" if found == 1 else "times"
        received = self._requests("requests", None, {}, 0, 0.0)[-MAX_SHOWN:]
        lines = [f"  #{it.connection} < {it.data!r}" for it in received]
        return AssertionError(
            "\n".join(
                [
                    f"reqresp {self.service}: received {describe(equals, predicates)} {found}"
                    f" {times}, expected {expected}",
                    *(lines or ["  no request received"]),
                ]
            )
        )

    # Connections

    @property
    def connections(self) -> list[RemoteConnection]:
        """The connections that are open at present, by their numbers."""
        return [
            RemoteConnection(
                it["number"], _address(it["peer"]), it["since"], self._ask, self.requests
            )
            for it in self._ask("GET", "connections")["connections"]
        ]

    # What goes wrong

    def fault(
        self, kind: str, *, stream: str = "downstream", name: str | None = None, **parameters: Any
    ) -> "RemoteFault":
        """
        Let something go wrong with what passes from now on, on open connections, too.

        The result changes and removes it; as a context manager, it removes it at the end.

        :param stream: ``upstream`` or ``downstream``; if the service answers, also ``connection``.
        :param parameters: those of the *kind*, as in a script; ``for_`` is ``for``.
        :raises ScriptError: a value is not usable; it names the line of the test.
        """
        body = {"kind": kind, "stream": stream, **_parameters(parameters)}
        if name is not None:
            body["name"] = name
        return RemoteFault(
            self, self._ask("POST", "faults", body=body, method_of_test="fault")["name"]
        )

    @property
    def faults(self) -> list[dict[str, Any]]:
        """What goes wrong at present, in the order in which it applies."""
        found: list[dict[str, Any]] = self._ask("GET", "faults")["faults"]
        return found

    # HTTP

    def _ask(
        self,
        method: str,
        *path: str,
        body: object = None,
        seconds: float = 0.0,
        query: Mapping[str, Any] | None = None,
        method_of_test: str = "",
    ) -> Any:
        """
        Ask the API for *path* of the service.

        :param method_of_test: what a test has called, for errors about its arguments.
        """
        whole = ("api", "services", self.service, *path)
        try:
            return self._server.ask(method, *whole, body=body, seconds=seconds, query=query)
        except ControlError as error:
            if not method_of_test:
                raise
            _raise_for_test(error, method_of_test)


class RemoteFault:
    """
    A fault of a service; made by `ControlClient.fault`.

    As a context manager, it removes itself at the end of the block.
    """

    def __init__(self, client: ControlClient, name: str) -> None:
        self._client = client
        #: Its name, which no other fault of the service has.
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def change(self, **parameters: Any) -> None:
        """
        Change *parameters* of the fault, its probability included, for open connections, too.

        :raises ScriptError: a value is not usable; nothing has changed.
        """
        body = _parameters(parameters)
        self._client._ask("PATCH", "faults", self.name, body=body, method_of_test="change")

    def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        try:
            self._client._ask("DELETE", "faults", self.name)
        except ControlError as error:
            if error.status != 404:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


def _set(
    future: AwaitableFuture[T], result: T | None = None, error: BaseException | None = None
) -> None:
    """Complete *future* with a *result* or an *error*, unless it was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(cast(T, result))
    else:
        future.set_exception(error)


def expectation_table(
    kind: str, equals: PayloadsLike | None, predicates: Mapping[str, Any], times: int | None
) -> dict[str, Any]:
    """Return an expectation without an answer, with the line of the test as its name."""
    name = _UNNAMED.sub("", calling_line())[-_MAX_NAME:].lstrip("_.:/+- ")
    table = {"kind": kind, "name": name, **as_predicates(equals, predicates)}
    return table if times is None else table | {"times": times}


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removesuffix("_"): value for name, value in given.items()}


def _raise_for_test(error: ControlError, method: str) -> NoReturn:
    """Raise *error* as one that names the line of the test, if the test has caused it."""
    if error.problems:
        line = CALLER.get() or calling_line()
        problems = [
            Problem(line, None, _OF_BODY.sub(method, path) or method, problem)
            for path, problem in error.problems
        ]
        raise ScriptError(*problems) from None
    raise error


def _request(found: Mapping[str, Any]) -> Request:
    data = found["data"]
    payload = data.encode() if isinstance(data, str) else base64.b64decode(data["base64"])
    return Request(payload, _address(found["peer"]), found["connection"], found["number"])


def _address(text: str) -> IAddress:
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        address: IAddress = UNIXAddress(text)
        return address
    host = host.removeprefix("[").removesuffix("]")
    make = IPv6Address if ":" in host else IPv4Address
    return make("TCP", host, int(port))
