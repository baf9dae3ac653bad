"""
RemoteConnections: the connections of a server in another process, as a test sees them.

Knows the routes of connections and of entries.  Must not know HTTP, nor which service it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, overload

from attrs import field, frozen
from twisted.internet.interfaces import IAddress

from reqresp._errors import check_seconds
from reqresp.control._client_values import address_of, request_of
from reqresp.control._http import ControlError
from reqresp.control._remote_answer import as_payload
from reqresp.control._service_api import (
    WHEN_SECONDS,
    ServiceApi,
    check_argument,
    in_background,
)
from reqresp.expectations.futures import AwaitableFuture
from reqresp.script.rule_parts import PayloadLike
from reqresp.steps import Request

#: Entries that one response has, at most.
_MAX_ENTRIES = 1000
#: More bytes than an entry can have: all of them are shown.
_ALL_BYTES = 10**18 - 1

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


@frozen
class RemoteConnection:
    """
    A connection of a client, open or closed.

    :param number: its number; the first of a service is 1.
    :param peer: the client's address.
    :param since: when it was opened, in seconds since the epoch.
    """

    number: int
    peer: IAddress
    since: float = field(eq=False)
    _all: "RemoteConnections" = field(repr=False, eq=False)

    @property
    def is_open(self) -> bool:
        """Whether the client is connected."""
        return self._all.find(self.number) is not None

    @property
    def requests(self) -> list[Request]:
        """The requests that came on it so far."""
        return [it for it in self._all.requests() if it.connection == self.number]

    @property
    def state(self) -> str:
        """
        The state of its conversation.

        :raises ControlError: it is closed, or its service forwards all bytes.
        """
        found = self._all.find(self.number)
        if found is None:
            raise ControlError(f"connection {self.number} is closed")
        if found["state"] is None:
            raise ControlError("the service forwards all bytes, and knows no states")
        state: str = found["state"]
        return state

    def send(self, *payloads: PayloadLike, raw: bool = False) -> None:
        """
        Send *payloads* to the client now, after the reply that is under way, or none of them.

        :param raw: send them without frames.
        :raises ControlError: it is closed, it sends no more, or its client does not read.
        :raises ScriptError: a payload is not usable; it names the line of the test.
        """
        self._all.send("send", self.number, payloads, raw=raw)

    def close(self) -> None:
        """Close it after what was sent is delivered; do nothing if it is closed."""
        self._all.end(self.number, "close")

    def abort(self) -> None:
        """Reset it now; do nothing if it is closed."""
        self._all.end(self.number, "reset")


class RemoteConnections(Sequence[RemoteConnection]):
    """
    The open connections of a service, by their numbers; also those to come.

    Each use asks the server.
    """

    def __init__(self, api: ServiceApi) -> None:
        self._api = api

    @property
    def total(self) -> int:
        """How many clients have connected since the service was reset or cleared."""
        return len(self.entries("connected"))

    def __len__(self) -> int:
        return len(self._listed())

    def __iter__(self) -> Iterator[RemoteConnection]:
        """Iterate over the connections that are open at present."""
        made = (self._made(it["number"], it["peer"], it["since"]) for it in self._listed())
        return iter([*made])

    @overload
    def __getitem__(self, at: int) -> RemoteConnection: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[RemoteConnection]: ...

    def __getitem__(self, at: int | slice) -> RemoteConnection | Sequence[RemoteConnection]:
        return [*self][at]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._api.service}>"

    # Until something happens

    def when_opened(self, times: int = 1) -> AwaitableFuture[RemoteConnection]:
        """
        Return a future of the connection that is opened as the *times*-th, once it was.

        It is a ``concurrent.futures.Future``, which a coroutine of asyncio can await.
        """

        def ask(is_wanted: Callable[[], bool]) -> RemoteConnection | None:
            found = self.opened(times, WHEN_SECONDS)
            return found if found is not None and is_wanted() else None

        return in_background(ask)

    def when_closed(self, number: int | None = None) -> AwaitableFuture[bool]:
        """Return a future that is done once a connection is closed; None: once all are."""

        def ask(is_wanted: Callable[[], bool]) -> bool | None:
            return True if self.closed(number, WHEN_SECONDS) and is_wanted() else None

        return in_background(ask)

    def opened(self, times: int, seconds: float) -> RemoteConnection | None:
        """
        Return the connection that is opened as the *times*-th.

        :param seconds: how long to wait for it, at most.
        :returns: None: fewer clients have connected.
        """
        found = self.entries(
            "connected", times=times, timeout=seconds, method_of_test="wait_for_connection"
        )[times - 1 : times]
        return next((self._made(it["connection"], it["peer"], it["at"]) for it in found), None)

    def closed(self, number: int | None, seconds: float) -> bool:
        """
        Return whether a connection is closed; None: whether all are.

        :param seconds: how long to wait for that, at most.
        :raises ScriptError: *seconds* is no number.
        """
        check_argument("wait_for_close", check_seconds, seconds, "timeout")
        end = monotonic() + seconds
        while wanted := [it for it in self._listed() if number in (None, it["number"])]:
            left = end - monotonic()
            if left <= 0:
                return False
            query = {"event": "disconnected", "connection": wanted[0]["number"], "limit": 1}
            wait = {"times": 1, "timeout": round(left, 3)}
            self._api.ask("GET", "entries", query=query | wait, seconds=left)
        return True

    def entries(
        self, event: str, *, times: int = 0, timeout: float = 0.0, method_of_test: str = ""
    ) -> list[dict[str, Any]]:
        """
        Return all entries of this kind since the service was reset or cleared.

        :param times: wait until there are so many.
        :param timeout: the number of seconds to wait at most.
        :param method_of_test: what a test has called, for errors about its arguments.
        """
        after = self._api.ask("GET", "expectations")["since"] - 1
        found: list[dict[str, Any]] = []
        query = {"event": event, "limit": _MAX_ENTRIES, "max_bytes": _ALL_BYTES}
        wait = {"times": times, "timeout": timeout}
        while True:
            page = self._api.ask(
                "GET",
                "entries",
                query={**query, **wait, "after": after},
                seconds=timeout,
                method_of_test=method_of_test,
            )["entries"]
            found += page
            if len(page) < _MAX_ENTRIES:
                return found
            after, wait = page[-1]["id"], {}

    # One connection, for `RemoteConnection`

    def requests(self) -> list[Request]:
        """Return the requests that came so far, on all connections."""
        return [request_of(it) for it in self._api.ask("POST", "requests")["requests"]]

    def find(self, number: int) -> Mapping[str, Any] | None:
        """Return what the server says of the connection with this *number*; None: it is closed."""
        return next((it for it in self._listed() if it["number"] == number), None)

    def send(self, method: str, number: int, payloads: Sequence[PayloadLike], *, raw: bool) -> None:
        """
        Send *payloads* to the connection with this *number*; see `RemoteConnection.send`.

        :param method: what the test has called, for errors about its arguments.
        """
        if payloads:
            path, body = ("connections", str(number), "push"), _push_body(payloads, raw)
            self._api.ask("POST", *path, body=body, method_of_test=method)

    def push(self, *payloads: PayloadLike, connection: int, raw: bool = False) -> None:
        """Send *payloads* to the connection with this number, as `RemoteConnection.send` does."""
        self.send("push", connection, payloads, raw=raw)

    def broadcast(self, *payloads: PayloadLike, to: str = "all", raw: bool = False) -> int:
        """
        Send *payloads* to clients that are connected, between the frames of each, or none of them.

        :param to: ``all``, or ``state:NAME``: those in a state.
        :param raw: send them without frames.
        :returns: how many receive all of them.
        :raises ScriptError: a payload or *to* is not usable; it names the line of the test.
        :raises ControlError: the service forwards all bytes.
        """
        if not payloads:
            return 0
        body = {**_push_body(payloads, raw), "to": to}
        found = self._api.ask("POST", "connections", "push", body=body, method_of_test="broadcast")
        sent: int = found["sent"]
        return sent

    def end(self, number: int, how: str) -> None:
        """End the connection with this *number*; do nothing if it is closed."""
        try:
            self._api.ask("POST", "connections", str(number), how)
        except ControlError as error:
            if error.status != 404:
                raise

    def _listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.ask("GET", "connections")["connections"]
        return found

    def _made(self, number: int, peer: str, since: float) -> RemoteConnection:
        return RemoteConnection(number, address_of(peer), since, self)


def _push_body(payloads: Sequence[PayloadLike], raw: bool) -> dict[str, Any]:
    return {"data": [as_payload(it) for it in payloads], "framed": not raw}
