"""
ServerFault: a fault of a test server that forwards clients, as a test sees it.

Must not know how the server runs, nor what a fault does.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from reqresp.faults import DirectedFault, Direction, Fault
from reqresp.server.front_factory import FrontFactory
from reqresp.testing._expectation import ErrorsWithLine

if TYPE_CHECKING:  # a server without upstream needs no relay
    from reqresp.relay import RelayFactory
    from reqresp.relay.live_faults import LiveFault

# As in _base.
__tracebackhide__ = True


def divide_faults(
    faults: Sequence[Fault | DirectedFault], *, forwards: bool
) -> tuple[list[Fault], list[DirectedFault]]:
    """
    Return which of *faults* are injected into replies, and which into directions.

    :param forwards: whether a server has an upstream, and so no replies.
    :raises TypeError: one of them does not fit to that.
    """
    replies = [it for it in faults if not isinstance(it, DirectedFault)]
    streams = [it for it in faults if isinstance(it, DirectedFault)]
    if forwards and replies:
        raise TypeError(f"faults: expected DirectedFault(...) with upstream, found {replies[0]!r}")
    if streams and not forwards:
        raise TypeError(f"faults: expected upstream=(host, port) with {streams[0]!r}")
    return replies, streams


class ServerFault:
    """
    A fault of a server; made by `BaseServer.fault`.

    As a context manager, it removes itself at the end of the block.

    :param call: calls a function where the server runs.
    """

    def __init__(self, live: "LiveFault", call: Callable[..., Any]) -> None:
        self._live = live
        self._call = call

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.fault}, {self.stream.value}>"

    @property
    def name(self) -> str:
        """Its name, which no other fault of the server has."""
        return self._live.name

    @property
    def fault(self) -> Fault:
        """What goes wrong, with the parameters that it has now."""
        return self._live.fault

    @property
    def stream(self) -> Direction:
        """The direction in which it goes wrong."""
        return self._live.stream

    def change(self, **parameters: Any) -> None:
        """
        Change *parameters* of the fault, its probability included.

        They hold when this returns, for open connections, too, and for bytes that are on their way.

        :raises ScriptError: a value is out of range; nothing has changed.
        :raises TypeError: a parameter is unknown; the message has a similar one.
        """
        with ErrorsWithLine("change"):
            self._call(partial(self._live.change, **parameters))

    def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        self._call(self._live.remove)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


class ServerFaults:
    """
    The faults of the server that *factory* makes.

    :param call: calls a function where the server runs.
    """

    def __init__(self, factory: FrontFactory, call: Callable[..., Any]) -> None:
        self._factory = factory
        self._call = call

    def add(self, kind: str | Fault, arguments: dict[str, Any]) -> ServerFault:
        """
        Add a fault, as `BaseServer.fault` says; *arguments* are those of `RelayFactory.fault`.

        :raises TypeError: the server has no upstream.
        """
        relay = self._relay()
        if relay is None:
            raise TypeError(
                "fault: the server answers by itself, or from a recording; expected one with"
                " upstream=(host, port), or faults=[...] for its replies"
            )
        with ErrorsWithLine("fault"):
            return ServerFault(self._call(partial(relay.fault, kind, **arguments)), self._call)

    def all(self) -> tuple[ServerFault, ...]:
        """Return the present faults, in the order in which they apply."""
        relay = self._relay()
        return () if relay is None else tuple(ServerFault(it, self._call) for it in relay.faults)

    def _relay(self) -> "RelayFactory | None":
        from reqresp.relay import RelayFactory

        return self._factory if isinstance(self._factory, RelayFactory) else None
