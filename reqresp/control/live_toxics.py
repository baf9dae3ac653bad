"""
Live toxics: the faults of one service, as toxiproxy's API shows and changes them.

Knows services and faults.  It must not know proxies or HTTP.
"""

from typing import Any, cast

from reqresp.control.toxics import RefusedError, read_change, read_toxic, show_toxic
from reqresp.faults import DirectedFault, Direction, PlacedFault, Timeout
from reqresp.relay import RelayFactory
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import front_of
from reqresp.server.live_faults import LiveFault
from reqresp.server.stream_faults import StreamFault
from reqresp.services.service import Service


def show_all(service: Service) -> list[dict[str, Any]]:
    """Return all toxics of *service*, those of upstream first, as dicts that `json` accepts."""
    toxics = [show(it) for it in _faults(service)]
    return [it for direction in Direction for it in toxics if it["stream"] == direction.value]


def show(live: LiveFault[Any]) -> dict[str, Any]:
    """Return one toxic, as a dict that `json` accepts."""
    # Faults of replies affect what goes downstream.
    is_directed = isinstance(live, StreamFault)
    stream = live.where if is_directed else Direction.DOWNSTREAM.value
    return show_toxic(live.name, stream, live.fault)


def find(service: Service, name: str) -> LiveFault[Any]:
    """
    Return the toxic *name* of *service*.

    :raises RefusedError: there is none.
    """
    for live in _faults(service):
        if live.name == name:
            return live
    raise RefusedError(404, "toxic not found")


def add(service: Service, body: Any) -> dict[str, Any]:
    """
    Add the toxic that *body*, JSON, asks for; return it.

    :raises RefusedError: it asks for none, or there cannot be such a one.
    """
    directed = read_toxic(body)
    if directed.name in [it.name for it in _faults(service)]:
        raise RefusedError(409, "toxic already exists")
    live = _place(service, directed)
    service.note(f"fault {live.name} added: {service.faults[live.name]}")
    return show(live)


def change(service: Service, name: str, body: Any) -> dict[str, Any]:
    """
    Change a toxic as *body*, JSON, says; return it.

    :raises RefusedError: there is none, or it cannot be so.
    """
    live = find(service, name)
    live.change(**read_change(live.fault, body))
    service.note(f"fault {live.name} changed: {service.faults[live.name]}")
    return show(live)


def remove(service: Service, name: str) -> None:
    """
    Remove a toxic; as in toxiproxy, a timeout closes the connections that it has held up.

    :raises RefusedError: there is none.
    """
    live = find(service, name)
    if isinstance(live, StreamFault) and isinstance(live.fault, Timeout):
        for connection in front_of(service.factory):
            if live.roll(connection.number) is not None:
                connection.close()
    live.remove()
    service.note(f"fault {live.name} removed")


def remove_all(service: Service) -> None:
    """Remove all toxics of *service*."""
    for live in _faults(service):
        remove(service, live.name)


def hand_over(old: Service, new: Service) -> None:
    """Give *new* the faults that *old* has, and no others."""
    for live in _faults(new):
        live.remove()
    for live in _faults(old):
        _place(new, live.placed)


def _faults(service: Service) -> tuple[LiveFault[Any], ...]:
    factory = cast(RelayFactory | ReqRespFactory, service.factory)
    return factory.faults


def _place(service: Service, placed: DirectedFault | PlacedFault) -> LiveFault[Any]:
    """Add a fault as it is; downstream of a server of replies is all replies of a connection."""
    factory = cast(RelayFactory | ReqRespFactory, service.factory)
    is_relay = isinstance(factory, RelayFactory)
    is_upstream = placed.where == Direction.UPSTREAM.value
    if isinstance(placed, DirectedFault) and (is_relay or is_upstream):
        return factory.fault(
            placed.fault,
            stream=placed.stream,
            name=placed.name,
            after=placed.after,
            after_bytes=placed.after_bytes,
            for_=placed.for_,
            shared=placed.shared,
        )
    on = placed.where if isinstance(placed, PlacedFault) else "connect"
    return cast(ReqRespFactory, factory).fault(placed.fault, on=on, name=placed.name)
