"""
RemoteConnection: a connection of a server in another process, as a test sees it.

Knows the routes of connections.  Must not know HTTP, nor which service it is.
"""

from collections.abc import Callable
from typing import Any, Literal

from attrs import field, frozen
from twisted.internet.interfaces import IAddress

from reqresp.control._http import ControlError
from reqresp.control._remote_expectation import as_payload
from reqresp.script.rule_parts import PayloadLike
from reqresp.steps import Request

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


@frozen
class RemoteConnection:
    """
    A connection of a client that was open when the server was asked.

    :param number: its number; the first of a service is 1.
    :param peer: the client's address.
    :param since: when it was opened, in seconds since the epoch.
    :param ask: asks the API for a path of the service, and returns its answer.
    :param all_requests: returns all requests that the service has received so far.
    """

    number: int
    peer: IAddress
    since: float = field(eq=False)
    _ask: Callable[..., Any] = field(repr=False, eq=False)
    _all_requests: Callable[[], list[Request]] = field(repr=False, eq=False)

    @property
    def is_open(self) -> bool:
        """Whether the client is connected."""
        found = self._ask("GET", "connections")["connections"]
        return any(it["number"] == self.number for it in found)

    @property
    def requests(self) -> list[Request]:
        """The requests that came on it so far."""
        return [it for it in self._all_requests() if it.connection == self.number]

    def send(self, *payloads: PayloadLike, raw: Literal[True]) -> None:
        """
        Send *payloads* to the client now, as they are, after the reply that is under way.

        :param raw: has to be true: the API sends bytes without frames.
        :raises ControlError: it is closed, it sends no more, or its client does not read.
        :raises ScriptError: a payload is not usable; it names the line of the test.
        """
        if not raw:
            raise ValueError("send: expected raw=True: bytes are sent without frames over HTTP")
        for payload in payloads:
            body = {"data": as_payload(payload)}
            self._ask(
                "POST", "connections", str(self.number), "push", body=body, method_of_test="send"
            )

    def close(self) -> None:
        """Close it after what was sent is delivered; do nothing if it is closed."""
        self._end("close")

    def abort(self) -> None:
        """Reset it now; do nothing if it is closed."""
        self._end("reset")

    def _end(self, how: str) -> None:
        try:
            self._ask("POST", "connections", str(self.number), how)
        except ControlError as error:
            if error.status != 404:
                raise
