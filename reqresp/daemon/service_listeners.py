"""
Service listeners: where the services of a process listen, with or without workers.

A process listens at the endpoints of its services.  A worker listens on sockets that its parent has
opened for them.  It must not know what is served there.
"""

from collections.abc import Callable, Iterable, Sequence
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
        #: The listeners of all these services, with their places.
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
            places = [(definition.name, spec.description) for spec in definition.listen]
            self.all += zip(places, made, strict=True)
        if problems:
            raise ProblemsError(*problems)

    def check(self, definitions: Iterable[Definition]) -> None:
        """Accept any services."""

    def __call__(self, definition: Definition) -> Sequence[Listener]:
        """
        Return where a service listens.

        :raises ValueError: an endpoint cannot be made; the message shows it.
        """
        first = self._first.pop(definition.name, None)
        if first is not None:
            return first
        try:
            return make_listeners(definition, self._make)
        except SystemExit as error:  # the process runs: it has to go on
            raise ValueError(str(error).removeprefix("reqresp: ")) from None


class InheritedListeners:
    """
    The sockets that a parent has opened for services, by their places.

    :param sockets: in the order of the endpoints of each service.
    :param has_file: whether services say themselves where they listen: the options of a worker do
        not say it.
    """

    def __init__(self, sockets: Sequence[tuple[Place, Listener]], *, has_file: bool) -> None:
        self._sockets = sockets
        self._has_file = has_file
        self._taken: set[str] = set()

    def __call__(self, definition: Definition) -> Sequence[Listener]:
        """
        Return where a service listens.

        :raises ValueError: the service is not the one that the sockets were opened for.
        """
        opened = [(place[1], it) for place, it in self._sockets if place[0] == definition.name]
        wanted = [spec.description for spec in definition.listen]
        is_other = self._has_file and wanted != [description for description, _ in opened]
        if is_other or definition.name in self._taken:
            what = "is new, or changes in more than what it answers"
            raise ValueError(_restart(f"service {definition.name!r}", what))
        self._taken.add(definition.name)
        return [listener for _, listener in opened]

    def check(self, definitions: Iterable[Definition]) -> None:
        """
        Check that no service has gone: its socket would stay open, and no one would accept.

        :raises ValueError: one has.
        """
        names = {it.name for it in definitions}
        for (name, _), _ in self._sockets:
            if name not in names:
                raise ValueError(_restart(f"service {name!r}", "goes"))


def _restart(name: str, what: str) -> str:
    return f"{name} {what}: with --workers, this takes a restart"


def named_sockets(
    places: Iterable[Sequence[str]], listeners: Iterable[Listener]
) -> list[tuple[Place, Listener]]:
    """Return *listeners* with their *places*, which a worker was told as lists."""
    return [
        ((name, description), listener)
        for (name, description), listener in zip(places, listeners, strict=True)
    ]
