"""
Service listeners: where the services of a process listen, with or without workers.

A process listens at the endpoints of its services.  A worker listens on sockets that its parent has
opened for them.  It must not know what is served there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from reqresp._errors import Problem, ProblemsError
from reqresp.services.definition import Definition, problems_of
from reqresp.services.endpoints import EndpointSpec
from reqresp.services.environment import make_listeners
from reqresp.services.ports import Listener

#: A service, and the description of one of its endpoints.
Place = tuple[str, str]


class OwnListeners:
    """
    The endpoints of services.

    :param definitions: the services that the process starts with.
    :param make: returns the Twisted endpoint of a specification.
    :raises ProblemsError: an endpoint cannot be made; it has the problems of all.
    :raises SystemExit: a UNIX socket cannot be made; the message names it.
    """

    def __init__(
        self, definitions: Iterable[Definition], make: Callable[[EndpointSpec], Any]
    ) -> None:
        self._make = make
        #: Those of services that are not made yet.
        self._first: dict[str, Sequence[Listener]] = {}
        #: The listeners of those of these services that are enabled, with their places.
        self.all: list[tuple[Place, Listener]] = []
        problems: list[Problem] = []
        for definition in definitions:
            try:
                with problems_of(definition):
                    made = make_listeners(definition, make)
            except ProblemsError as error:
                problems += error.problems
                continue
            self._first[definition.name] = made
            if not definition.is_enabled:
                continue
            places = [(definition.name, spec.description) for spec in definition.listen]
            self.all += zip(places, made, strict=True)
        if problems:
            raise ProblemsError(*problems)

    def begin_reload(self) -> None:
        """Do nothing: endpoints are made when they are asked for."""

    def end_reload(self) -> None:
        """Do nothing, likewise."""

    def __call__(self, definition: Definition) -> Sequence[Listener]:
        """
        Return where a service listens.

        :raises ValueError: an endpoint cannot be made; the message shows it.
        """
        first = self._first.pop(definition.name, None)
        if first is not None:
            return first
        with _going_on():
            return make_listeners(definition, self._make)

    def again(self, definitions: Iterable[Definition]) -> "OwnListeners":
        """
        Return the endpoints of other services, while the process runs.

        :raises ValueError: an endpoint cannot be made; the message shows it.
        """
        with _going_on():
            return OwnListeners(definitions, self._make)


class InheritedListeners:
    """
    The sockets that a parent has opened for services, by their places.

    Before each reload the parent hands over those of all services anew.

    :param sockets: in the order of the endpoints of each service.
    :param has_file: whether services say themselves where they listen: the options of a worker do
        not say it.
    """

    def __init__(self, sockets: Sequence[tuple[Place, Listener]], *, has_file: bool) -> None:
        self._has_file = has_file
        #: Those that services can have now.
        self._sockets = [*sockets]
        self._taken: set[str] = set()
        #: Those for the next reload.
        self._next: list[tuple[Place, Listener]] = []

    def begin_set(self) -> None:
        """Expect sockets that are for the next reload, instead of those before."""
        _close(self._next)
        self._next = []

    def add(self, place: Place, listener: Listener) -> None:
        """Add a socket for the next reload."""
        self._next.append((place, listener))

    def begin_reload(self) -> None:
        """Let services have the sockets that have come for this reload."""
        self._sockets, self._next = self._next, []
        self._taken.clear()

    def end_reload(self) -> None:
        """Close the sockets that no service has taken: they listen on others."""
        _close(self._sockets)

    def __call__(self, definition: Definition) -> Sequence[Listener]:
        """
        Return where a service listens.

        :raises ValueError: the parent has opened no sockets for it.
        """
        if self._has_file and not definition.is_enabled:
            return []
        opened = [(place[1], it) for place, it in self._sockets if place[0] == definition.name]
        wanted = [spec.description for spec in definition.listen]
        is_other = self._has_file and wanted != [description for description, _ in opened]
        if is_other or not opened or definition.name in self._taken:
            how = "send SIGHUP to the parent" if self._has_file else "this takes a restart"
            raise ValueError(
                f"service {definition.name!r} needs other sockets: with --workers, {how}"
            )
        self._taken.add(definition.name)
        return [listener for _, listener in opened]


def _close(sockets: Iterable[tuple[Place, Listener]]) -> None:
    for _, listener in sockets:
        endpoint: Any = listener.endpoint
        endpoint.close()


@contextmanager
def _going_on() -> Iterator[None]:
    """Raise a ValueError instead of a SystemExit: the process runs, and has to go on."""
    try:
        yield
    except SystemExit as error:
        raise ValueError(str(error).removeprefix("reqresp: ")) from None
