"""
RemoteExpectations: the expectations of a server in another process, as a test sees them.

Knows the routes of expectations.  Must not know HTTP.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from reqresp.control._http import ControlError
from reqresp.control._remote_answer import RemoteAnswer, expectation_table
from reqresp.control._service_api import CALLER, ServiceApi
from reqresp.expectations.caller import calling_line
from reqresp.script.rule_parts import PayloadsLike

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


class RemoteExpectation(RemoteAnswer):
    """
    An expectation of a service.

    `ControlClient.on`, `ControlClient.expect` and `ControlClient.expect_next` make it.

    An argument of a method that is not usable raises there.
    """

    def __init__(self, table: Mapping[str, Any], where: str, all_: "RemoteExpectations") -> None:
        super().__init__(table, where)
        self._all = all_
        #: Its number at the server.
        self.number = all_.put(self.table(), None, self._method)

    def _changed(self, method: str) -> None:
        self._all.put(self.table(), self.number, method)

    @property
    def count(self) -> int:
        """The number of requests that it has answered; 0 if it was removed."""
        return self._all.count(self.number)

    @property
    def is_met(self) -> bool:
        """Whether it has answered as many requests as are expected."""
        return self.count >= (self.times or 0)


class RemoteExpectations:
    """The expectations of a service."""

    def __init__(self, api: ServiceApi) -> None:
        self._api = api

    def add(
        self,
        kind: str,
        equals: PayloadsLike | None,
        predicates: Mapping[str, Any],
        times: int | None,
        trigger: Mapping[str, Any] = MappingProxyType({}),
    ) -> RemoteExpectation:
        """
        Add an expectation without an answer; see `ControlClient.on`.

        :param trigger: the keys of what it answers, if that is no request.
        """
        where = CALLER.get() or calling_line()
        table = expectation_table(kind, equals, predicates, times, where, trigger)
        return RemoteExpectation(table, where, self)

    def put(self, table: Mapping[str, Any], number: int | None, method: str) -> int:
        """
        Add the expectation of *table*, or replace the one with this *number*; return its number.

        :param method: what the test has called, for errors about its arguments.
        """
        if number is None:
            added = self._api.ask("POST", "expectations", body=table, method_of_test=method)
            number = added["id"]
        else:
            self._api.ask("PUT", "expectations", str(number), body=table, method_of_test=method)
        return number

    def count(self, number: int | None) -> int:
        """Return how many requests the expectation with this *number* has answered."""
        return sum(it["received"] for it in self._listed() if it["id"] == number)

    def remove(self, expectation: object, number: int | None) -> None:
        """
        Remove an *expectation*, which has this *number*.

        :raises ValueError: the service does not have it.
        """
        try:
            self._api.ask("DELETE", "expectations", str(number))
        except ControlError as error:
            if error.status != 404:
                raise
            raise ValueError(
                f"expected an expectation of this service, found {expectation!r}"
            ) from None

    def clear(self) -> None:
        """Remove all, and forget what has come so far."""
        self._api.ask("DELETE", "expectations")

    def hold_any(self) -> None:
        """Let all requests wait for the test, unless some do."""
        if not any(it.get("hold") for it in self._listed()):
            self.add("on", None, {}, None).hold()

    def _listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.ask("GET", "expectations")["expectations"]
        return found
