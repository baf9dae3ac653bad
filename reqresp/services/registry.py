"""
Services: all services of one process, which come, change and go while it runs.

Every change is made whole or not at all.  It must not know what asks for a change.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from reqresp._text import quote, unknown
from reqresp.services.answers import Loaded, load
from reqresp.services.definition import Definition
from reqresp.services.environment import Environment
from reqresp.services.errors import TakenError
from reqresp.services.service import Service


class Services:
    """
    The services of one process, by their names, in the order in which they were made.

    :param environment: what they have in common.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._services: dict[str, Service] = {}
        #: The definitions that the process was started with, or has reloaded.
        self._initial: Sequence[tuple[Definition, Loaded]] = ()

    def __iter__(self) -> Iterator[Service]:
        """Iterate over the services as they are now."""
        return iter([*self._services.values()])

    def __len__(self) -> int:
        return len(self._services)

    def __contains__(self, name: object) -> bool:
        return name in self._services

    def __getitem__(self, name: str) -> Service:
        """
        Return the service with this *name*.

        :raises KeyError: there is none; the message has a similar name.
        """
        try:
            return self._services[name]
        except KeyError:
            raise KeyError(unknown("service", name, self._services)) from None

    # One service

    def create(self, definition: Definition) -> Deferred[Service]:
        """
        Add a service, which listens if it is enabled.

        The Deferred fails with a `TakenError`, a `ProblemsError`, a `FieldError`, a ValueError or a
        `ListenError`; then there is no such service.
        """
        return Deferred.fromCoroutine(self._create(definition))

    def replace(self, name: str, definition: Definition) -> Deferred[Service]:
        """
        Let the service *name* be what *definition* says.

        Open connections go on if it differs only in what it answers; otherwise they are reset.

        The Deferred fails as that of `create`, or with a KeyError; then nothing has changed.
        """
        return Deferred.fromCoroutine(self._replace(name, definition))

    def delete(self, name: str) -> Deferred[None]:
        """
        Remove a service, and reset its connections; the Deferred fires when its ports are closed.

        It fails with a KeyError if there is no such service.
        """
        return Deferred.fromCoroutine(self._delete(name))

    async def _create(self, definition: Definition) -> Service:
        self._check_name(definition.name)
        loaded = await self.environment.run(load, definition)
        self._check_name(definition.name)  # another may have come meanwhile
        service = Service(definition, loaded, self.environment)
        self._services[service.name] = service
        if definition.is_enabled:
            try:
                await service.enable()
            except BaseException:
                del self._services[service.name]
                await service.close(0)
                raise
        return service

    async def _replace(self, name: str, definition: Definition) -> Service:
        old = self[name]
        if definition.name != name:
            self._check_name(definition.name)
        loaded = await self.environment.run(load, definition)
        if old.can_use(definition, loaded):
            old.use(definition, loaded)
            return old
        new = Service(definition, loaded, self.environment)
        was_enabled = old.is_enabled
        await old.disable()
        new.journal.continue_at(old.journal.position)  # who follows it goes on
        try:
            if definition.is_enabled:
                await new.enable()
        except BaseException:
            await new.close(0)
            if was_enabled:
                await old.enable()
            raise
        self._services = {
            service.name: service
            for service in (new if it is old else it for it in self._services.values())
        }
        await old.close(0)
        return new

    async def _delete(self, name: str) -> None:
        service = self[name]
        del self._services[name]
        await service.close(0)

    def _check_name(self, name: str) -> None:
        if name in self._services:
            raise TakenError(f"a service is named {quote(name)} already")

    # All services

    def use(self, definitions: Iterable[tuple[Definition, Loaded]]) -> None:
        """
        Make the services that the process starts with; they do not listen yet.

        :raises FieldError, ValueError, ImportError: one of them cannot be made.
        """
        self._initial = [*definitions]
        for definition, loaded in self._initial:
            self._check_name(definition.name)
            self._services[definition.name] = Service(definition, loaded, self.environment)

    def reset(self) -> Deferred[None]:
        """Be as at the start: services that came are removed, those that went come again."""
        return Deferred.fromCoroutine(self._reset())

    async def _reset(self) -> None:
        names = [definition.name for definition, _ in self._initial]
        for service in self:
            if service.name not in names:
                await self._delete(service.name)
        for definition, loaded in self._initial:
            if definition.name not in self:
                self._services[definition.name] = Service(definition, loaded, self.environment)
            await self[definition.name].reset()

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Answer what was received, then close; reset what is not done after *seconds*.

        :returns: fires when no connection is left.
        """
        return gatherResults([it.factory.drain(seconds) for it in self]).addCallback(_no_result)

    def close_ports(self) -> Deferred[None]:
        """Stop listening; the Deferred fires when all ports are closed."""
        return gatherResults([it.ports.close() for it in self]).addCallback(_no_result)


def _no_result(_: Any) -> None:
    """Return nothing, whatever came."""
