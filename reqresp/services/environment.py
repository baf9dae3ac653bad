"""
Environment: what all services of one process have in common.

Plain values that the process sets.  It must not know any service.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, maybeDeferred

from reqresp._errors import FieldError
from reqresp.server.observers import Observer
from reqresp.services.definition import Definition
from reqresp.services.endpoints import EndpointSpec, make_endpoint
from reqresp.services.ports import Listener


def make_listeners(
    definition: Definition, make: Callable[[EndpointSpec], Any]
) -> Sequence[Listener]:
    """
    Return where a service listens.

    :param make: returns the Twisted endpoint of a specification.
    :raises FieldError: an endpoint cannot be made; the message shows it.
    """

    def made(spec: EndpointSpec) -> Any:
        try:
            return make(spec)
        except ValueError as error:
            raise FieldError("listen", str(error)) from None

    return [
        Listener(
            spec.name,
            made(spec),
            is_private=spec.is_encrypted or definition.tls is not None,
            is_shared=spec.is_shared,
            on_port=_on_port(spec, make) if spec.is_any_port else None,
        )
        for spec in definition.listen
    ]


def _on_port(spec: EndpointSpec, make: Callable[[EndpointSpec], Any]) -> Callable[[int], Any]:
    return lambda number: make(spec.with_port_number(number))


@frozen(kw_only=True)
class Environment:
    """
    What all services of one process have in common.

    :param reactor: connects, listens, and times waits and timeouts.
    :param listeners: returns where a service listens; None: at the endpoints of its definition.
    :param observers: returns what is notified of a service's events, besides its own; called once
        for each service.
    :param keeps_journal: whether each service has a journal in memory, for those that control it.
    :param has_counters: whether each service counts what its connections do.
    :param worker: the number of this worker; None: the process has no workers.
    :param first: the number of the first connection of each service.
    :param run: calls a function that may take long, and returns a Deferred of its result.
    :param drain: seconds to finish the replies of a service that is removed.
    :param base: the directory that paths are relative to in what is sent while the process runs.
    """

    reactor: Any
    listeners: Callable[[Definition], Sequence[Listener]] | None = None
    observers: Callable[[Definition], Iterable[Observer]] = lambda _: ()
    keeps_journal: bool = False
    has_counters: bool = False
    worker: int | None = None
    first: int = 1
    run: Callable[..., Deferred[Any]] = maybeDeferred
    drain: float = 0.0
    base: Path = Path()

    def listeners_of(self, definition: Definition) -> Sequence[Listener]:
        """
        Return where a service listens.

        :raises FieldError: an endpoint cannot be made; the message shows it.
        """
        if self.listeners is not None:
            return self.listeners(definition)
        return make_listeners(definition, lambda spec: make_endpoint(self.reactor, spec))
