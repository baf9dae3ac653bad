"""
RemoteHeldRequest: a request of a server in another process, which waits for the test.

Knows the routes of requests that wait.  Must not know HTTP.
"""

from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from typing import Any

from twisted.internet.interfaces import IAddress

from reqresp.control._client_values import request_of, step_table
from reqresp.control._remote_answer import as_payload
from reqresp.control._service_api import ServiceApi
from reqresp.script.rule_parts import PayloadLike
from reqresp.steps import Request, Step

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


class RemoteHeldRequest:
    """
    A request whose client waits until the test answers it.

    :param answered: called once the server has its answer.
    """

    def __init__(self, request: Request, api: ServiceApi, answered: Callable[[], object]) -> None:
        #: The request as it came.
        self.request = request
        self._api = api
        self._answered = answered

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.data!r}, connection {self.connection}>"

    @property
    def data(self) -> bytes:
        """Its bytes, without the framing."""
        return self.request.data

    @property
    def connection(self) -> int:
        """The number of its connection."""
        return self.request.connection

    @property
    def peer(self) -> IAddress:
        """The client's address."""
        return self.request.peer

    def reply(
        self,
        *payloads: PayloadLike,
        raw: bool = False,
        to: str | None = None,
        **payload: str | bool,
    ) -> None:
        """
        Answer it with *payloads*, each in a frame of its own; see `RemoteExpectation.reply`.

        :raises ScriptError: a payload is not usable.
        :raises ControlError: it was answered before, or its connection has ended.
        """
        given = [*payloads, payload] if payload else [*payloads]
        whom = {} if to is None else {"to": to}
        self._answer("reply", [{"send": as_payload(it, raw=raw), **whom} for it in given])

    def answer(self, *steps: bytes | Step) -> None:
        """
        Answer it with bytes and *steps*, such as ``Close()``; without any, with silence.

        :raises TypeError: a step is neither.
        :raises ControlError: it was answered before, or its connection has ended.
        """
        self._answer("answer", [step_table(it) for it in steps])

    def _answer(self, method: str, steps: list[dict[str, Any]]) -> None:
        answer = {"do": steps} if steps else {"silent": True}
        body = {**answer, "number": self.request.number}
        path = ("connections", str(self.connection), "reply")
        self._api.ask("POST", *path, body=body, method_of_test=method)
        self._answered()


class HeldRequests:
    """Gives each request of a service that waits for the test once."""

    def __init__(self, api: ServiceApi) -> None:
        self._api = api
        self._given: set[tuple[int, int]] = set()  # the connection and the number of each
        self._lock = Lock()

    def take(
        self,
        method: str,
        predicates: Mapping[str, Any],
        seconds: float,
        is_wanted: Callable[[], bool],
    ) -> RemoteHeldRequest | None:
        """
        Return the first request that waits and was not given before; None: there is none.

        :param method: what the test has called, for errors about its arguments.
        :param seconds: how long to wait for one, at most.
        :param is_wanted: asked before one is given.
        """
        with self._lock:
            given = [{"connection": it, "number": number} for it, number in self._given]
        body = {**predicates, "held": True, "times": 1, "timeout": seconds, "without": given}
        asked = self._api.ask("POST", "requests", body=body, seconds=seconds, method_of_test=method)
        found = [request_of(it) for it in asked["requests"]]
        with self._lock:
            for it in found:
                place = it.connection, it.number
                if place not in self._given and is_wanted():
                    self._given.add(place)
                    return RemoteHeldRequest(it, self._api, partial(self._given.discard, place))
        return None
