"""
The routes of expectations: what clients should send, from any language, and the verdict.

Knows the expectations of a service.  Must not know HTTP.
"""

from collections.abc import Sequence
from typing import Any

from attrs import Factory, frozen
from twisted.internet.defer import Deferred

from reqresp._text import format_address
from reqresp.control._bodies import read_body
from reqresp.control._schemas import (
    SCHEMAS,
    array,
    described,
    nullable,
    number_field,
    ref,
    table,
)
from reqresp.control._waits import MAX_TIMEOUT, allow
from reqresp.control.errors import ApiError
from reqresp.control.routes import Call, RawBody, Route
from reqresp.expectations.live import AlreadyAnsweredError, NoRequestsError, NotWaitingError
from reqresp.expectations.written import ExpectationTable, ReplyTable
from reqresp.journal.entries import bytes_as_json
from reqresp.script.json_schema import Schema
from reqresp.script.schema import RequestTable
from reqresp.services.registry import Services
from reqresp.services.service import Service
from reqresp.steps import Request

#: The most requests that a client can wait for.
MAX_TIMES = 10_000

_EXPECTATIONS = "/api/services/{service}/expectations"
_ONE = f"{_EXPECTATIONS}/{{id:int}}"
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}


@frozen(kw_only=True)
class VerifyBody:
    """
    How a verdict is found.

    :param timeout: seconds to wait for missing requests; None: as long as a client is connected,
        and a second at most.
    :param strict: whether a request that nothing answers is a problem.
    :param unused_fails: whether a part of a recording that no client has asked for is a problem.
    """

    timeout: float | None = number_field(0, MAX_TIMEOUT, default=None, is_optional=True)
    strict: bool = True
    unused_fails: bool = False


@frozen(kw_only=True)
class RequestPlace:
    """
    A request.

    :param connection: the number of its connection.
    :param number: its number there.
    """

    connection: int
    number: int


@frozen(kw_only=True)
class _Wait:
    """
    How long to wait for how many requests, and for which.

    :param times: wait until there are so many.
    :param timeout: seconds to wait at most.
    :param held: true: only those that an expectation with *hold* lets wait for a reply now.
    :param without: with *held*: requests that are not wanted.
    """

    times: int = number_field(0, MAX_TIMES, default=0)
    timeout: float = number_field(0, MAX_TIMEOUT, default=0.0)
    held: bool = False
    without: list[RequestPlace] = Factory(list)


_WAIT = SCHEMAS.table(_Wait)["properties"]

#: The schemas that the routes refer to.
COMPONENTS: dict[str, Schema] = {
    "Expectation": SCHEMAS.table(ExpectationTable),
    "ListedExpectation": {
        "type": "object",
        "description": "An expectation, with the keys with which it was added.",
        "properties": {
            "id": described("its number", _COUNT),
            "kind": SCHEMAS.table(ExpectationTable)["properties"]["kind"],
            "received": described("how many requests it has answered", _COUNT),
            "met": described("whether it has answered as many as expected", {"type": "boolean"}),
        },
        "required": ["id", "kind", "received", "met"],
    },
    "Reply": SCHEMAS.table(ReplyTable),
    "WantedRequests": SCHEMAS.merged(RequestTable, _Wait),
}


class ExpectationsApi:
    """The routes of the expectations of *services*."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the routes."""
        expectation = RawBody(ref("Expectation"))
        request = table(
            data=described("the request", ref("Payload")),
            peer=described("the address of the client", _TEXT),
            connection=described("the number of the connection", _COUNT),
            number=described("the number of the request on it", _COUNT),
        )
        return [
            Route(
                method="GET",
                path=_EXPECTATIONS,
                answer=self._list,
                summary="List the expectations, with how many requests each has received.",
                reply=table(
                    expectations=described("in their order", array(ref("ListedExpectation"))),
                    since=described("the number of the first entry that counts", _COUNT),
                ),
            ),
            Route(
                method="POST",
                path=_EXPECTATIONS,
                answer=self._add,
                summary="Add an expectation, from the next request on.",
                status=201,
                body=expectation,
                reply=table(id=described("its number", _COUNT)),
                errors=(409,),
            ),
            Route(
                method="DELETE",
                path=_EXPECTATIONS,
                answer=self._clear,
                summary="Remove all expectations, and forget what has come so far.",
                status=204,
            ),
            Route(
                method="PUT",
                path=_ONE,
                answer=self._replace,
                summary="Replace an expectation that has answered no request yet.",
                status=204,
                body=expectation,
                errors=(409,),
            ),
            Route(
                method="DELETE",
                path=_ONE,
                answer=self._remove,
                summary="Remove an expectation.",
                status=204,
            ),
            Route(
                method="POST",
                path="/api/services/{service}/verify",
                answer=self._verify,
                summary="Say whether all expectations are met, and what came otherwise.",
                body=VerifyBody,
                reply=table(
                    ok=described("whether all is as expected", {"type": "boolean"}),
                    report=described("what is not, as a failed test says it", nullable(_TEXT)),
                    unused=described(
                        "the parts of a recording that no client has asked for", array(_TEXT)
                    ),
                    conversation=described("what has come so far, for people", _TEXT),
                ),
            ),
            Route(
                method="POST",
                path="/api/services/{service}/requests",
                answer=self._requests,
                summary="Find the requests so far that fulfil predicates, or wait for them.",
                body=RawBody(ref("WantedRequests")),
                reply=table(requests=described("in their order", array(request))),
                errors=(409,),
            ),
            Route(
                method="POST",
                path="/api/services/{service}/connections/{connection:int}/reply",
                answer=self._reply,
                summary="Answer the request that waits for a reply on a connection.",
                status=204,
                body=RawBody(ref("Reply")),
                errors=(409,),
            ),
        ]

    def _list(self, call: Call) -> Any:
        expectations = self._service(call).expectations
        return {"expectations": [*expectations.list()], "since": expectations.since}

    def _add(self, call: Call) -> Any:
        service = self._service(call)
        try:
            number = service.expectations.add(call.body)
        except NoRequestsError as error:
            raise ApiError(409, str(error)) from None
        return {"id": number}

    def _clear(self, call: Call) -> None:
        self._service(call).expectations.clear()

    def _replace(self, call: Call) -> None:
        service, number = self._service(call), call.path["id"]
        try:
            service.expectations.replace(number, call.body)
        except KeyError:
            raise _unknown(number) from None
        except (AlreadyAnsweredError, NoRequestsError) as error:
            raise ApiError(409, str(error)) from None

    def _remove(self, call: Call) -> None:
        service, number = self._service(call), call.path["id"]
        try:
            service.expectations.remove(number)
        except KeyError:
            raise _unknown(number) from None

    def _verify(self, call: Call) -> Deferred[Any]:
        expectations = self._service(call).expectations
        timeout = call.body.timeout
        verdict = expectations.verify(
            timeout, strict=call.body.strict, unused_fails=call.body.unused_fails
        )
        allow(call, verdict, timeout or 0)
        return verdict.addCallback(
            lambda text: {
                "ok": text is None,
                "report": text,
                "unused": expectations.unused(),
                "conversation": expectations.conversation(),
            }
        )

    def _requests(self, call: Call) -> Deferred[Any]:
        predicates = dict(call.body)
        wait = {key: predicates.pop(key) for key in _WAIT if key in predicates}
        wanted = read_body(_Wait, wait)
        expectations = self._service(call).expectations
        try:
            if wanted.held:
                without = {(it.connection, it.number) for it in wanted.without}
                found = expectations.waiting(predicates, wanted.times, wanted.timeout, without)
            else:
                found = expectations.requests(predicates, wanted.times, wanted.timeout)
        except NoRequestsError as error:
            raise ApiError(409, str(error)) from None
        allow(call, found, wanted.timeout)
        return found.addCallback(_describe_requests)

    def _reply(self, call: Call) -> None:
        try:
            self._service(call).expectations.reply(call.path["connection"], call.body)
        except (NotWaitingError, NoRequestsError) as error:
            raise ApiError(409, str(error)) from None

    def _service(self, call: Call) -> Service:
        return self._services[call.path["service"]]


def _describe_requests(requests: Sequence[Request]) -> dict[str, Any]:
    return {
        "requests": [
            {
                "data": bytes_as_json(it.data),
                "peer": format_address(it.peer),
                "connection": it.connection,
                "number": it.number,
            }
            for it in requests
        ]
    }


def _unknown(number: int) -> ApiError:
    return ApiError(404, f"no expectation has the id {number}")
