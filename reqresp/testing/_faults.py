"""
ServerFault: a fault of a test server that is added while it runs, as a test sees it.

Must not know how the server runs, nor what a fault does.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from reqresp.faults import DirectedFault, Direction, Fault
from reqresp.faults.removable import Removable
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory
from reqresp.server.live_faults import LiveFault
from reqresp.testing._expectation import ErrorsWithLine

# As in _base.
__tracebackhide__ = True


def divide_faults(
    faults: Sequence[Fault | DirectedFault], *, is_relay: bool, is_recorded: bool
) -> tuple[list[Fault], list[DirectedFault]]:
    """
    Return which of *faults* are injected into replies, and which into directions.

    :param is_relay: whether a server forwards all bytes, and so has no replies.
    :param is_recorded: whether it has a recording, so that at other times it replays.
    :raises TypeError: one of them does not fit to that.
    """
    replies = [it for it in faults if not isinstance(it, DirectedFault)]
    streams = [it for it in faults if isinstance(it, DirectedFault)]
    if (is_relay or is_recorded) and replies:
        raise TypeError(f"faults: expected DirectedFault(...) with upstream, found {replies[0]!r}")
    for it in streams if is_recorded else ():
        _check_recorded("faults", it.stream)
    return replies, streams


def _check_recorded(name: str, stream: object) -> None:
    """
    Check that a fault applies to what clients send, as it can in a replay as well.

    :raises TypeError: it does not; the message begins with *name*.
    """
    if stream not in (Direction.UPSTREAM, Direction.UPSTREAM.value):
        found = stream.value if isinstance(stream, Direction) else stream
        raise TypeError(
            f"{name}: expected stream='upstream' with recording, as a replay has no service;"
            f" found stream={found!r}"
        )


class ServerFault(Removable):
    """
    A fault of a server; made by `BaseServer.fault`.

    As a context manager, it removes itself at the end of the block.

    :param call: calls a function where the server runs.
    """

    def __init__(self, live: LiveFault[Any], call: Callable[..., Any]) -> None:
        self._live = live
        self._call = call

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.fault}, {self._live.where}>"

    @property
    def name(self) -> str:
        """Its name, which no other fault of the server has."""
        return self._live.name

    @property
    def fault(self) -> Fault:
        """What goes wrong, with the parameters that it has now."""
        return self._live.fault

    @property
    def stream(self) -> Direction | None:
        """The direction in which it goes wrong; None: it goes wrong with replies."""
        placed = self._live.placed
        return placed.stream if isinstance(placed, DirectedFault) else None

    def change(self, **parameters: Any) -> None:
        """
        Change *parameters* of the fault, its probability included.

        They hold when this returns, for open connections, too: for bytes that are on their way
        through a server with an upstream, or from the next reply on.

        :raises ScriptError: a value is out of range; nothing has changed.
        :raises TypeError: a parameter is unknown; the message has a similar one.
        """
        with ErrorsWithLine("change"):
            self._call(partial(self._live.change, **parameters))

    def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        self._call(self._live.remove)


class ServerFaults:
    """
    The faults of the server that *factory* makes.

    :param call: calls a function where the server runs.
    :param is_recorded: whether the server has a recording.
    """

    def __init__(
        self, factory: FrontFactory, call: Callable[..., Any], *, is_recorded: bool
    ) -> None:
        self._factory = factory
        self._call = call
        self._is_recorded = is_recorded

    def add(
        self,
        kind: str | Fault,
        stream: str | Direction | None,
        on: str | None,
        parameters: dict[str, Any],
    ) -> ServerFault:
        """
        Add a fault, as `BaseServer.fault` says.

        :raises TypeError: *stream* or *on* does not fit to the server.
        """
        if self._is_recorded:
            _check_recorded("fault", stream)
        factory: Any = self._factory  # each kind has a method of its own
        if isinstance(factory, ReqRespFactory):
            place: dict[str, Any] = {"on": on, "stream": stream}
        else:
            if on is not None or stream is None:
                raise TypeError(
                    "fault: the server forwards all bytes, and has no replies; expected"
                    " stream='upstream' or 'downstream', and no on="
                )
            place = {"stream": stream}
        with ErrorsWithLine("fault"):
            live = self._call(partial(factory.fault, kind, **place, **parameters))
            return ServerFault(live, self._call)

    def all(self) -> tuple[ServerFault, ...]:
        """Return the present faults, in the order in which they apply."""
        factory: Any = self._factory  # each kind has some
        return tuple(ServerFault(it, self._call) for it in factory.faults)
