"""
Proxies: the services with an upstream, as toxiproxy's API shows and changes them.

Knows services.  It must not know HTTP.  Statuses and texts of errors are toxiproxy's as far as it
has one.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, getaddrinfo
from typing import Any, NoReturn

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, DeferredLock
from twisted.python.failure import Failure

from reqresp._errors import ProblemsError
from reqresp._text import format_host_port
from reqresp.control import live_toxics
from reqresp.control.toxics import RefusedError, bad_body, fields_of
from reqresp.server.upstream_settings import format_service, parse_address
from reqresp.services.definition import Definition
from reqresp.services.endpoints import MAX_PORT, is_number, parse_listen
from reqresp.services.errors import (
    ListenError,
    NameTakenError,
    TakenError,
    UnknownServiceError,
)
from reqresp.services.reading import read_definition
from reqresp.services.registry import Services
from reqresp.services.service import Service

#: Where a proxy listens that says nothing: toxiproxy would listen on all interfaces.
DEFAULT_LISTEN = "127.0.0.1:0"

#: What an empty host means, as in Go.
_ALL_INTERFACES = "0.0.0.0"  # noqa: S104 (only where a client asks for it)
_FIELDS: Mapping[str, type] = {"name": str, "listen": str, "upstream": str, "enabled": bool}
_LOCALHOST = "localhost"
#: What the error of Go begins with if it cannot listen.
_LISTENING = "listen tcp: "


@frozen
class _Wanted:
    """What a client wants a proxy to be; None: it does not say."""

    name: str | None = None
    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None


class PartlyRefusedError(RefusedError):
    """
    A request is refused after a part of it was done.

    :param done: the proxies that it has made.
    """

    def __init__(self, refusal: RefusedError, done: list[dict[str, Any]]) -> None:
        super().__init__(refusal.status, refusal.error)
        self.done = done


class Proxies:
    """The proxies among *services*.  Changes of proxies are made one after another."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = DeferredLock()

    # Proxies

    def show_all(self) -> dict[str, Any]:
        """Return all proxies by their names, as a dict that `json` accepts."""
        return {it.name: _show(it) for it in self._services if _is_proxy(it)}

    def show(self, name: str) -> dict[str, Any]:
        """
        Return the proxy *name*, as a dict that `json` accepts.

        :raises RefusedError: there is none.
        """
        return _show(self._find(name))

    async def create(self, body: Any) -> dict[str, Any]:
        """
        Add the proxy that *body*, JSON, asks for; return it.

        :raises RefusedError: it asks for none, or there cannot be such a one.
        """
        wanted = _wanted(body)
        _check_required(wanted)
        if wanted.name in self._services:
            raise _exists()
        definition = await self._define(wanted)
        async with self._alone():
            return _show(await self._create(definition))

    async def populate(self, body: Any) -> list[dict[str, Any]]:
        """
        Have the proxies that *body*, JSON, lists; return them.

        One that listens, and forwards, where it should is left as it is.

        :raises PartlyRefusedError: one cannot be; it has the proxies that were made before.
        """
        done: list[dict[str, Any]] = []
        try:
            for wanted in _read_list(body):
                definition = await self._define(wanted)
                async with self._alone():
                    done.append(_show(await self._create_or_replace(wanted, definition)))
        except RefusedError as error:
            raise PartlyRefusedError(error, done) from None
        return done

    async def update(self, name: str, body: Any) -> dict[str, Any]:
        """
        Change the proxy *name* as *body*, JSON, says; return it.

        Its connections end if it listens or forwards elsewhere, or is disabled.  It keeps its
        toxics.

        :raises RefusedError: the proxy does not exist, or cannot be changed so.
        """
        self._find(name)
        wanted = _wanted(body)
        listen = None
        if wanted.listen is not None:
            listen = await self._resolve(wanted.listen or DEFAULT_LISTEN, "")
        async with self._alone():
            return _show(await self._update(self._find(name), wanted, listen))

    async def delete(self, name: str) -> None:
        """
        Remove the proxy *name*; return once its ports are closed.

        :raises RefusedError: there is none.
        """
        async with self._alone():
            service = self._find(name)
            await self._services.delete(service.name).addErrback(_refuse, service.definition)
            service.note("deleted")

    async def reset(self) -> None:
        """
        Enable all proxies, and remove all toxics.

        :raises RefusedError: one cannot listen; those before it are reset.
        """
        async with self._alone():
            for service in [it for it in self._services if _is_proxy(it)]:
                if not self._has(service):
                    continue  # deleted while another one was enabled
                await self._enable(service)
                live_toxics.remove_all(service)
                service.log("proxy reset")

    # Toxics

    def show_toxics(self, name: str) -> list[dict[str, Any]]:
        """
        Return the toxics of the proxy *name*, those of upstream first.

        :raises RefusedError: the proxy does not exist.
        """
        return live_toxics.show_all(self._find(name))

    def show_toxic(self, name: str, toxic: str) -> dict[str, Any]:
        """
        Return one toxic.

        :raises RefusedError: there is none.
        """
        return live_toxics.show(live_toxics.find(self._find(name), toxic))

    def add_toxic(self, name: str, body: Any) -> dict[str, Any]:
        """
        Add the toxic that *body*, JSON, asks for; return it.

        :raises RefusedError: it asks for none, or there cannot be such a one.
        """
        return live_toxics.add(self._find(name), body)

    def change_toxic(self, name: str, toxic: str, body: Any) -> dict[str, Any]:
        """
        Change a toxic as *body*, JSON, says; return it.

        :raises RefusedError: there is none, or it cannot be so.
        """
        return live_toxics.change(self._find(name), toxic, body)

    def remove_toxic(self, name: str, toxic: str) -> None:
        """
        Remove a toxic.

        :raises RefusedError: there is none.
        """
        live_toxics.remove(self._find(name), toxic)

    # For these

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        await self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _find(self, name: str) -> Service:
        if name in self._services and _is_proxy(self._services[name]):
            return self._services[name]
        raise _not_found()

    def _has(self, service: Service) -> bool:
        """Return whether *service* is not deleted or replaced, as by a client of another API."""
        return any(it is service for it in self._services)

    async def _define(self, wanted: _Wanted) -> Definition:
        """Return what a proxy is."""
        # toxiproxy compares an address before it listens there.
        begin = "" if wanted.name in self._services else _LISTENING
        table = {
            "name": wanted.name,
            "listen": await self._resolve(wanted.listen or DEFAULT_LISTEN, begin),
            "enabled": wanted.enabled is not False,
            # As toxiproxy, which closes the connection of a client.
            "upstream": {"address": wanted.upstream, "unreachable": "close"},
        }
        try:
            return read_definition(table, Path())
        except ProblemsError as error:
            problem = error.problems[0]
            raise bad_body(f"{problem.path.partition('.')[0]}: {problem.message}") from None

    async def _create(self, definition: Definition) -> Service:
        if definition.name in self._services:
            raise _exists()
        service = await self._services.create(definition).addErrback(_refuse, definition)
        service.note("created")
        return service

    async def _create_or_replace(self, wanted: _Wanted, definition: Definition) -> Service:
        if definition.name not in self._services:
            return await self._create(definition)
        old = self._services[definition.name]
        if not _is_proxy(old):
            raise _exists()
        if not _differs(old, definition.listen[0].name, wanted.upstream):
            return old
        new = await self._replace(old, definition)
        live_toxics.remove_all(new)
        return new

    async def _update(self, service: Service, wanted: _Wanted, listen: str | None) -> Service:
        is_enabled = service.is_enabled if wanted.enabled is None else wanted.enabled
        if _differs(service, listen, wanted.upstream):
            service = await self._move(service, listen, wanted.upstream, is_enabled)
            service.note(f"changed: forwards to {service.upstream}")
        elif is_enabled and not service.is_enabled:
            await self._enable(service)
        elif service.is_enabled and not is_enabled:
            await self._disable(service)
            service.note("disabled")
        return service

    async def _move(
        self, service: Service, listen: str | None, upstream: str | None, is_enabled: bool
    ) -> Service:
        """Have *service* listen or forward elsewhere; return what it has become."""
        new = await self._replace(service, _moved(service.definition, listen, upstream, is_enabled))
        if new is not service:
            live_toxics.hand_over(service, new)
        return new

    async def _replace(self, service: Service, definition: Definition) -> Service:
        """Have *service* be what *definition* says, and end its connections."""
        was_enabled = service.is_enabled
        await self._disable(service)
        replaced = self._services.replace(service.name, definition)
        try:
            return await replaced.addErrback(_refuse, definition)
        except Exception:
            if was_enabled and self._has(service):
                await self._services.enable(service.name).addErrback(_refuse, definition)
            raise

    async def _enable(self, service: Service) -> None:
        if service.is_enabled:
            return
        enabled = self._services.enable(service.name)
        await enabled.addErrback(_refuse, service.definition)
        service.note("enabled")

    async def _disable(self, service: Service) -> None:
        disabled = self._services.disable(service.name)
        await disabled.addErrback(_refuse, service.definition)

    async def _resolve(self, listen: str, begin: str) -> str:
        """
        Return where *listen* is, an address and a port; ``localhost`` stays as it is.

        :param begin: what an error begins with.
        :raises RefusedError: it is nowhere.
        """
        host, colon, port = listen.rpartition(":")
        if not colon:
            raise RefusedError(500, f"{begin}address {listen}: missing port in address")
        if not is_number(port):
            raise RefusedError(500, f"{begin}lookup tcp/{port}: unknown port")
        if int(port) > MAX_PORT:
            raise RefusedError(500, f"{begin}address {port}: invalid port")
        host = host.removeprefix("[").removesuffix("]") or _ALL_INTERFACES
        if host != _LOCALHOST and not _is_address(host):
            host = await self._look_up(host, begin)
        return format_host_port(host, int(port))

    async def _look_up(self, host: str, begin: str) -> str:
        try:
            found = await self._services.environment.run(getaddrinfo, host, None, AF_INET)
        except (OSError, UnicodeError):
            raise RefusedError(500, f"{begin}lookup {host}: no such host") from None
        address: str = found[0][4][0]
        return address


def _is_proxy(service: Service) -> bool:
    return service.upstream is not None


def _wanted(body: Any) -> _Wanted:
    return _Wanted(**fields_of(body, _FIELDS))


def _read_list(body: Any) -> list[_Wanted]:
    """Return the proxies that *body* lists, each of which has what it needs."""
    if not isinstance(body, list | None):
        raise bad_body("expected an array")
    listed = [_wanted(it) for it in body or ()]
    for number, wanted in enumerate(listed, 1):
        _check_required(wanted, f" at proxy {number}")
    return listed


def _check_required(wanted: _Wanted, place: str = "") -> None:
    for name in ("name", "upstream"):
        if not getattr(wanted, name):
            raise RefusedError(400, f"missing required field: {name}{place}")


def _refuse(failure: Failure, definition: Definition) -> NoReturn:
    """Raise why no proxy is what *definition* says, in toxiproxy's words where it has some."""
    match failure.value:
        case UnknownServiceError() | CancelledError():  # cancelled: closed for good as it opened
            raise _not_found() from None
        case ListenError() as error:
            raise _cannot_listen(error) from None
        case NameTakenError():  # by a client of another API, meanwhile
            raise _exists() from None
        case TakenError():
            raise _taken(definition) from None
        case ProblemsError(problems=problems):
            raise RefusedError(500, str(problems[0])) from None
    failure.raiseException()


def _not_found() -> RefusedError:
    return RefusedError(404, "proxy not found")


def _exists() -> RefusedError:
    return RefusedError(409, "proxy already exists")


def _cannot_listen(error: ListenError) -> RefusedError:
    return RefusedError(500, f"listen tcp {_address(error.name)}: bind: {error.reason.lower()}")


def _taken(definition: Definition) -> RefusedError:
    address = _address(definition.listen[0].name)
    return RefusedError(500, f"listen tcp {address}: bind: address already in use")


def _differs(service: Service, listen: str | None, upstream: str | None) -> bool:
    """
    Return whether *service* listens or forwards elsewhere; None: wherever it does.

    :raises RefusedError: *upstream* is not an address.
    """
    # First: it can be refused, whatever becomes of the other.
    if upstream is not None and _read_upstream(upstream) != service.upstream:
        return True
    return listen is not None and _address(listen) != _address(_listen(service))


def _read_upstream(text: str) -> str:
    try:
        return format_service(parse_address(text))
    except ValueError as error:
        raise bad_body(f"upstream: {error}") from None


def _moved(
    definition: Definition, listen: str | None, upstream: str | None, is_enabled: bool
) -> Definition:
    changes: dict[str, Any] = {"is_enabled": is_enabled}
    if listen is not None:
        changes["listen"] = (parse_listen(listen),)
    if upstream is not None:
        table = definition.written.get("upstream", {})
        changes["upstream"] = {**definition.upstream, "address": parse_address(upstream)}
        changes["written"] = {**definition.written, "upstream": {**table, "address": upstream}}
    return evolve(definition, **changes)


def _listen(service: Service) -> str:
    """Return where *service* listens, or, while it is disabled, where it would."""
    return service.listen[0]


def _address(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    return f"127.0.0.1:{port}" if host == _LOCALHOST else listen


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _show(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "listen": _listen(service),
        "upstream": service.upstream,
        "enabled": service.is_enabled,
        "toxics": live_toxics.show_all(service),
    }
