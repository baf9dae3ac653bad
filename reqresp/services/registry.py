"""
Services: all services of one process, which come, change and go while it runs.

Every change is made whole or not at all.  It must not know what asks for a change.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, DeferredLock, gatherResults

from reqresp._errors import Problem, ProblemsError
from reqresp._text import quote, unknown
from reqresp.services.answers import Loaded, load
from reqresp.services.definition import Definition, problems_of
from reqresp.services.environment import Environment
from reqresp.services.errors import (
    ListenError,
    NameTakenError,
    TakenError,
    UnknownServiceError,
)
from reqresp.services.service import Service

if TYPE_CHECKING:  # few services have a script
    from reqresp.script.calls import KnownFunctions

#: A definition, and what the files contain that it names.
Wanted = tuple[Definition, Loaded]

P = ParamSpec("P")
T = TypeVar("T")


#: What is said of services that a reload has reverted, before their names.
REVERTED = "undid what had changed at run time:"


@frozen
class Changes:
    """
    The names of the services that a reload has changed.

    :param reverted: those that had been changed since the start, and are as their files say again.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reverted: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = {"added": self.added, "changed": self.changed, "removed": self.removed}
        parts[REVERTED] = self.reverted
        texts = [f"{how} {', '.join(names)}" for how, names in parts.items() if names]
        return "; ".join(texts) or "nothing has changed"


class Services:
    """
    The services of one process, by their names, in the order in which they were made.

    Changes are made one after another: each begins when the one before it has ended.

    :param environment: what they have in common.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._services: dict[str, Service] = {}
        #: What the process was started with, or has reloaded.
        self._initial: Sequence[Wanted] = ()
        self._lock = DeferredLock()

    def __iter__(self) -> Iterator[Service]:
        """Iterate over the services as they are now."""
        return iter([*self._services.values()])

    def __len__(self) -> int:
        return len(self._services)

    @property
    def initial(self) -> Sequence[Wanted]:
        """What the process was started with, or what the last reload has brought."""
        return self._initial

    def __contains__(self, name: object) -> bool:
        return name in self._services

    def __getitem__(self, name: str) -> Service:
        """
        Return the service with this *name*.

        :raises UnknownServiceError: there is none; the message has a similar name.
        """
        try:
            return self._services[name]
        except KeyError:
            raise UnknownServiceError(unknown("service", name, self._services)) from None

    def functions(self, name: str) -> "KnownFunctions":
        """
        Return the functions that what is sent for the service *name* can call.

        They are those that its file called at the start, or at the last reload.
        """
        from reqresp.script.calls import KnownFunctions  # late, likewise

        in_file = self[name].first_name if name in self else name
        loaded = [it for definition, it in self._initial if definition.name == in_file]
        scripts = [it.script for it in loaded if it.script is not None]
        return KnownFunctions(scripts[0].functions if scripts else {})

    # One service

    def create(self, definition: Definition) -> Deferred[Service]:
        """
        Add a service, which listens if it is enabled.

        The Deferred fails with a `TakenError`, a `ProblemsError`, a `ListenError` or an
        ImportError; then there is no such service.
        """
        return self._alone(self._create, definition)

    def replace(self, name: str, definition: Definition) -> Deferred[Service]:
        """
        Let the service *name* be what *definition* says.

        Open connections go on if it differs only in what it answers; otherwise they are reset.

        The Deferred fails as that of `create`, or with an `UnknownServiceError`; then nothing has
        changed.
        """
        return self._alone(self._replace, name, definition)

    def use_script(self, name: str, text: str) -> Deferred[Service]:
        """
        Let the service *name* answer as the script *text* says, TOML.

        Open connections go on.  Where rules become a relay, or a relay becomes rules, the service
        is replaced: it listens on the same ports, and its connections are reset.

        The Deferred fails as that of `replace`; then nothing has changed.
        """
        return self._alone(self._use_script, name, text)

    def delete(self, name: str) -> Deferred[None]:
        """
        Remove a service, and reset its connections; the Deferred fires when its ports are closed.

        It fails with an `UnknownServiceError` if there is no such service.
        """
        return self._alone(self._delete, name)

    def enable(self, name: str) -> Deferred[Service]:
        """
        Let the service *name* listen.

        The Deferred fails with an `UnknownServiceError` or, as `Service.enable`, a `ListenError`.
        """
        return self._alone(self._change, name, Service.enable)

    def disable(self, name: str) -> Deferred[Service]:
        """
        Let the service *name* no longer listen, and reset its connections.

        The Deferred fails with an `UnknownServiceError` if there is no such service.
        """
        return self._alone(self._change, name, Service.disable)

    def reset_one(self, name: str) -> Deferred[Service]:
        """
        Let the service *name* be as at the start; see `Service.reset`.

        The Deferred fails as that of `enable`.
        """
        return self._alone(self._change, name, Service.reset)

    async def _change(self, name: str, change: Callable[[Service], Deferred[None]]) -> Service:
        service = self[name]
        await change(service)
        return service

    async def _create(self, definition: Definition) -> Service:
        loaded = await self.environment.run(load, definition)
        service = self._make(definition, loaded, [])
        # Before it listens: a second one with this name is refused meanwhile.
        self._services[service.name] = service
        try:
            await self._open([service], [])
        except BaseException:
            del self._services[service.name]
            raise
        return service

    async def _replace(self, name: str, definition: Definition) -> Service:
        old = self[name]
        loaded = await self.environment.run(load, definition)
        if definition.name == name and old.can_use(definition, loaded):
            old.use(definition, loaded)
            await (old.enable() if definition.is_enabled else old.disable())
            return old
        new = self._make(definition, loaded, [old])
        new.follow(old)
        new.first_name = old.first_name
        await self._open([new], [old])
        services = (new if it is old else it for it in self)
        self._services = {service.name: service for service in services}
        await old.close(0)
        return new

    async def _use_script(self, name: str, text: str) -> Service:
        service = self[name]
        definition, loaded = service.check_script(text, self.functions(name))
        if service.can_use(definition, loaded):
            service.use(definition, loaded)
            return service
        return await self._replace(name, evolve(definition, is_enabled=service.is_enabled))

    async def _delete(self, name: str) -> None:
        service = self[name]
        del self._services[name]
        await service.close(0)

    # All services

    def start(self, wanted: Iterable[Wanted]) -> None:
        """
        Make the services that the process starts with; they do not listen yet.

        :raises ProblemsError, ImportError: some cannot be made; it has the problems of all.
        """
        self._initial = [*wanted]
        made = self._make_all(self._initial, [])
        self._services = {service.name: service for service in made}

    def reload(self, wanted: Iterable[Wanted], *, uses_same: bool = False) -> Deferred[Changes]:
        """
        Have the services *wanted*, instead of those of `start` or of the last reload.

        Services that stay the same are not touched.  Of those that differ only in what they answer,
        connections go on as they began.  Those of others are drained.

        :param uses_same: whether a service that stays the same forgets how often its rules have
            answered, as one that differs does.

        The Deferred fails as that of `create`; then nothing has changed.
        """
        return self._alone(self._reload, [*wanted], uses_same=uses_same)

    async def _reload(self, wanted: Sequence[Wanted], *, uses_same: bool) -> Changes:
        initial = {definition.name: (definition, loaded) for definition, loaded in self._initial}
        # One that was renamed is still that of its file.
        before = [it for it in self if it.name in initial or it.first_name in initial]
        kept: list[tuple[Service, Definition, Loaded]] = []
        others: list[Wanted] = []
        for definition, loaded in wanted:
            _check_not_empty(definition, loaded)
            old = self._services.get(definition.name)
            if old is not None and old.can_use(definition, loaded):
                kept.append((old, definition, loaded))
            else:
                others.append((definition, loaded))
        stays = {definition.name for _, definition, _ in kept}
        gone = [it for it in before if it.name not in stays]
        changed = [it for it in kept if uses_same or not it[0].is_same(*it[1:])]
        for old, definition, loaded in changed:
            old.check(definition, loaded)
        new = self._make_all(others, gone)
        _follow(new, gone)
        reverted = tuple(
            it.name for it in before if it.name not in initial or not it.is_as(*initial[it.name])
        )
        await self._open(new, gone)
        for service, definition, loaded in changed:
            service.use(definition, loaded)
        for service, definition, loaded in kept:
            service.start_from(definition, loaded)
        made = {it.name: it for it in (*(it[0] for it in kept), *new)}
        order = [definition.name for definition, _ in wanted]
        rest = {it.name: it for it in self if it not in gone}
        self._services = {**{name: made[name] for name in order}, **rest}
        self._initial = wanted
        for service in gone:
            # Later: replies that are under way need not be waited for.
            service.close(self.environment.drain)
        old_names, new_names = {it.name for it in gone}, {it.name for it in new}
        changed_names = (new_names & old_names) | {definition.name for _, definition, _ in changed}
        return Changes(
            added=tuple(name for name in order if name in new_names - old_names),
            changed=tuple(name for name in order if name in changed_names),
            removed=tuple(sorted(old_names - new_names)),
            reverted=reverted,
        )

    def reset(self) -> Deferred[None]:
        """
        Be as at the start, or after the last reload.

        Services that came are removed, those that went come again.  No file of a script is read.

        The Deferred fails with a `ListenError` if one cannot listen, or with a `ProblemsError` or
        an ImportError if one cannot be made again; then nothing has changed.
        """
        return self._alone(self._reset)

    async def _reset(self) -> None:
        initial = {definition.name: (definition, loaded) for definition, loaded in self._initial}
        kept = {
            it.name: it for it in self if it.name in initial and it.is_initially(*initial[it.name])
        }
        for name, service in kept.items():
            service.check(*initial[name])
        lost = [it for name, it in initial.items() if name not in kept]
        gone = [it for it in self if it.name not in kept]
        made = {it.name: it for it in self._make_all(lost, [*self])}
        _follow([*made.values()], gone)
        services = {name: kept.get(name) or made[name] for name in initial}
        listening = [it for it in services.values() if initial[it.name][0].is_enabled]
        others = [it for it in self if it not in listening]
        try:
            await self._open([*made.values()], others, [it for it in listening if it.name in kept])
        except ListenError as error:
            raise ListenError(error.name, f"{error.reason}; nothing was reset") from None
        self._services = services
        for service in gone:
            await service.close(0)
        for service in services.values():
            await service.reset()

    # What a change consists of

    def _alone(
        self, change: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Make a *change* after those that have begun; it must not wait for another such one."""
        return self._lock.run(lambda: Deferred.fromCoroutine(change(*args, **kwargs)))

    def _make_all(self, wanted: Iterable[Wanted], gone: Sequence[Service]) -> list[Service]:
        """
        Return services that do not listen yet.

        :param gone: services whose names and addresses are free then.
        :raises ProblemsError: some cannot be made; it has the problems of all.
        """
        made: list[Service] = []
        problems: list[Problem] = []
        for definition, loaded in wanted:
            try:
                made.append(self._make(definition, loaded, gone))
            except ProblemsError as error:
                problems += error.problems
            except TakenError as error:  # two of *wanted* would be a problem of their file
                message = f"{error} since a change at run time; undo it first"
                problems.append(definition.origin.problem(error.key, message))
            except BaseException:
                _close_files(made)
                raise
        if problems:
            _close_files(made)
            raise ProblemsError(*problems)
        return made

    def _make(self, definition: Definition, loaded: Loaded, gone: Sequence[Service]) -> Service:
        for other in self:
            if other in gone:
                continue
            if other.name == definition.name:
                raise NameTakenError(f"a service is named {quote(other.name)} already")
            if not (definition.is_enabled and other.is_enabled):
                continue  # the address is free for the one that listens
            for spec in definition.listen:
                if spec in other.definition.listen and not spec.is_any_port:
                    raise TakenError(f"{spec.name} is the address of {quote(other.name)}")
        return Service(definition, loaded, self.environment)

    async def _open(
        self, new: Sequence[Service], gone: Sequence[Service], again: Sequence[Service] = ()
    ) -> None:
        """
        Let the *new* services listen that are enabled, also where those listen that are *gone*.

        If one cannot, those that are gone listen as before, and the new ones are closed.

        :param again: other services that should listen; after a failure those do that did.
        """
        again = [it for it in again if not it.is_enabled]
        addresses = {spec for it in (*new, *again) for spec in it.definition.listen}
        in_the_way = [it for it in gone if addresses & {*it.definition.listen} and it.is_enabled]
        if self.environment.worker is not None:  # each has a socket of its own
            in_the_way = []
        try:
            for service in in_the_way:
                await service.ports.close()
            for service in (*(it for it in new if it.definition.is_enabled), *again):
                await service.enable()
        except BaseException:
            for service in new:
                await service.close(0)
            for service in again:
                await service.disable()
            for service in in_the_way:
                await service.ports.open()
            raise

    # What they do together

    @property
    def is_open(self) -> bool:
        """Whether all services that are enabled listen."""
        return all(it.ports.is_open for it in self if it.is_enabled)

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Answer what was received, then close; reset what is not done after *seconds*.

        :returns: fires when no connection is left.
        """
        return gatherResults([it.factory.drain(seconds) for it in self]).addCallback(_nothing)

    def close_ports(self) -> Deferred[None]:
        """Stop listening; the Deferred fires when all ports are closed."""
        return gatherResults([it.ports.close() for it in self]).addCallback(_nothing)

    def reopen_files(self) -> None:
        """Open the files again that services write, and read their certificates again."""
        for service in self:
            service.reopen_files()

    def close_files(self) -> None:
        """Complete the files that services write."""
        _close_files(self)


def _check_not_empty(definition: Definition, loaded: Loaded) -> None:
    """:raises ProblemsError: a script answers nothing: perhaps it is not written yet."""
    if loaded.source is not None and loaded.source.is_empty:
        with problems_of(definition):
            raise ValueError(f"{loaded.name}: the script answers nothing")


def _follow(new: Sequence[Service], gone: Sequence[Service]) -> None:
    """Let the *new* services take the places of those *gone* that have, or had, their names."""
    names = {it.name for it in new}
    places = {it.first_name: it for it in gone if it.name not in names}
    places |= {it.name: it for it in gone}
    for service in new:
        if service.name in places:
            service.follow(places[service.name])


def _close_files(services: Iterable[Service]) -> None:
    for service in services:
        service.close_files()


def _nothing(_: Any) -> None:
    """Return nothing, whatever came."""
