"""
Shared sockets: those that a parent has opened, and all its workers accept from.

They follow the services of a file: a socket stays open as long as a service listens there.  It must
not know processes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen
from twisted.internet.protocol import Factory

from reqresp.daemon.service_listeners import Place
from reqresp.services.answers import accept_mode_of, is_relay
from reqresp.services.ports import Listener, open_port
from reqresp.services.registry import Wanted
from reqresp.transport.accept_modes import Accept

#: What no worker can undo alone: the sockets of the others change with it.
_LASTING = {Accept.HOLD, Accept.REFUSE}


@frozen
class SharedSocket:
    """
    A socket that is open.

    :param place: the service, and its endpoint, that it is for.
    :param port: as Twisted has opened it.
    """

    place: Place
    port: Any


@frozen
class Planned:
    """
    A socket that a service wants.

    :param open: the socket that is open there already; None: none is.
    """

    place: Place
    listener: Listener
    open: SharedSocket | None


class SharedSockets:
    """The sockets of services, in the order of their endpoints."""

    def __init__(self) -> None:
        self._open: Sequence[SharedSocket] = ()

    def __iter__(self) -> Iterator[SharedSocket]:
        return iter(self._open)

    def add(self, place: Place, port: Any) -> None:
        """Add a *port* that was opened for *place*."""
        self._open = [*self._open, SharedSocket(place, accepts_nobody(port))]

    def plan(self, wanted: Iterable[tuple[Place, Listener]]) -> list[Planned]:
        """
        Return which sockets stay for what is *wanted*, and which are missing.

        A port that the system has chosen stays with its service.  Another address can pass to
        another service.
        """
        free = [*self._open]
        planned: list[Planned] = []
        for place, listener in wanted:
            found = next((it for it in free if it.place == place), None)
            if found is None and listener.on_port is None:
                found = next((it for it in free if it.place[1] == place[1]), None)
            if found is not None:
                free.remove(found)
            planned.append(Planned(place, listener, found))
        return planned

    async def use(self, planned: Iterable[Planned]) -> Sequence[Any]:
        """
        Open the sockets that are missing, and return the ports that no service wants any more.

        :raises ListenError: one cannot be opened; then nothing has changed.
        """
        opened: list[Any] = []
        sockets: list[SharedSocket] = []
        try:
            for it in planned:
                if it.open is not None:
                    sockets.append(evolve(it.open, place=it.place))
                    continue
                opened.append(await open_port(it.listener, NoClients()))
                sockets.append(SharedSocket(it.place, accepts_nobody(opened[-1])))
        except BaseException:
            for port in opened:
                port.stopListening()
            raise
        stays = [it.port for it in sockets]
        gone = [it.port for it in self._open if it.port not in stays]
        self._open = sockets
        return gone


def accepts_nobody(port: Any) -> Any:
    """Return *port*, which leaves its clients to other processes."""
    port.stopReading()
    # Closing the port in this process must not shut down the socket that workers accept from.
    port._shouldShutdown = False
    return port


def check_modes(
    planned: Iterable[Planned], before: Mapping[str, Wanted], after: Mapping[str, Wanted]
) -> None:
    """
    Check that workers can go on with the sockets that stay.

    :param before: the services by their names; *after*: those that they become.
    :raises ValueError: they cannot, since a socket does not accept all clients.
    """
    for it in planned:
        if it.open is None:
            continue
        (old, old_loaded), (new, loaded) = before[it.open.place[0]], after[it.place[0]]
        was, becomes = accept_mode_of(old, old_loaded.script), accept_mode_of(new, loaded.script)
        begins_anew = (
            old.name != new.name
            or not old.serves_alike(new)
            or is_relay(old, old_loaded.script) != is_relay(new, loaded.script)
        )
        is_refused = becomes is Accept.REFUSE and was is not becomes
        if is_refused or (begins_anew and _LASTING & {was, becomes}):
            raise ValueError(
                f'service {new.name!r}: accept = "hold" or "refuse" on a socket that stays:'
                " with --workers, this takes a restart"
            )


class NoClients(Factory):
    """The factory of ports that do not accept."""

    noisy = False

    def logPrefix(self) -> str:
        """Return the name that Twisted logs for what listens."""
        return "all workers"
