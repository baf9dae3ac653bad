"""
ServiceApi: the API of one service, as a test asks it.

Knows where paths begin, and which line of the test asks.  Must not know what is asked for.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from http import HTTPStatus
from threading import Thread
from typing import Any, NoReturn, TypeVar

from attrs import frozen

from reqresp._errors import FieldError
from reqresp.control._http import ControlError, RequestSender
from reqresp.expectations.caller import calling_line
from reqresp.expectations.futures import AwaitableFuture
from reqresp.script import Problem, ScriptError

#: Seconds after which a future that is not done asks again: it may be cancelled.
WHEN_SECONDS = 30.0
#: The line of a test that calls from another thread; empty: it calls in this one.
CALLER = ContextVar("CALLER", default="")

#: The path of the problem of a request for an unknown service, as `reqresp.control.errors` has it.
_SERVICE = "service"
#: What the paths of problems begin with: what a test has called takes its place.
_OF_BODY = re.compile(r"^(expectation|request|reply)\b")

T = TypeVar("T")

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


@frozen
class ServiceApi:
    """The API of the *service* with this name."""

    server: RequestSender
    service: str

    def ask(
        self,
        method: str,
        *path: str,
        body: object = None,
        seconds: float | None = None,
        query: Mapping[str, Any] | None = None,
        method_of_test: str = "",
    ) -> Any:
        """
        Ask for *path* of the service; return the JSON of the response.

        :param seconds: how long the server is asked to wait.
        :param method_of_test: what a test has called, for errors about its arguments.
        :raises ControlError: as for `RequestSender.ask`.
        :raises ScriptError: an argument is not usable; it names the line of the test.
        """
        whole = ("api", "services", self.service, *path)
        # The server says what is expected of a timeout that is none.
        wait = seconds if isinstance(seconds, int | float) else 0.0
        try:
            return self.server.ask(method, *whole, body=body, seconds=wait, query=query)
        except ControlError as error:
            if error.status == HTTPStatus.NOT_FOUND and _SERVICE in dict(error.problems):
                raise ControlError(f"{error} (pass service=NAME)", error.status) from None
            if not method_of_test or not error.problems:
                raise
            raise_for_test(method_of_test, *error.problems)


def raise_for_test(method: str, *problems: tuple[str, str]) -> NoReturn:
    """
    Raise that arguments of the *method* that a test has called have *problems*.

    :param problems: the path and the text of each.
    :raises ScriptError: always; it names the line of the test.
    """
    line = CALLER.get() or calling_line()
    raise ScriptError(
        *(Problem(line, None, _argument(method, path), problem) for path, problem in problems)
    ) from None


def check_argument(method: str, check: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """
    Return what *check* returns.

    :raises ScriptError: it has raised a `FieldError`, about an argument of *method*.
    """
    try:
        return check(*arguments, **keywords)
    except FieldError as error:
        raise_for_test(method, (error.field, error.problem))


def _argument(method: str, path: str) -> str:
    if _OF_BODY.match(path):
        rest = _OF_BODY.sub("", path)
        # A key that has the name of the method stands for it.
        return rest.removeprefix(".") if _first_key(rest) == method else f"{method}{rest}"
    return f"{method}.{path}" if path and path != method else method


def _first_key(rest: str) -> str:
    return re.split(r"[.\[]", rest.removeprefix("."), maxsplit=1)[0]


def in_background(ask: Callable[[Callable[[], bool]], T | None]) -> AwaitableFuture[T]:
    """
    Return a future of what *ask* returns, called in a thread until it returns something.

    :param ask: called with a function that returns whether the result is still wanted; after it has
        returned True, the future cannot be cancelled, and *ask* returns the result.
    """
    future: AwaitableFuture[T] = AwaitableFuture()
    token = CALLER.set(CALLER.get() or calling_line())
    context = copy_context()
    CALLER.reset(token)

    def work() -> None:
        while not future.cancelled():
            try:
                found = context.run(ask, future.set_running_or_notify_cancel)
            except Exception as error:
                if future.running() or future.set_running_or_notify_cancel():
                    future.set_exception(error)
                return
            if found is not None:
                future.set_result(found)
                return

    Thread(target=work, daemon=True).start()
    return future
