"""
The routes of services: what each is, its script, and whether it listens.

Knows services and their definitions.  Must not know HTTP.
"""

from functools import partial
from typing import Any, NoReturn

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._errors import Problem
from reqresp._text import quote
from reqresp.control._describe import COMPONENTS, describe_rule, describe_service, shown_script
from reqresp.control._schemas import SCHEMAS, array, described, nullable, ref, table
from reqresp.control.effective import EFFECTIVE, describe_effective
from reqresp.control.errors import problems_error, unusable
from reqresp.control.routes import Call, Created, RawBody, Route
from reqresp.script.schema import Document, UpstreamTable
from reqresp.script.summary import summarize
from reqresp.services.definition import Definition
from reqresp.services.reading import read_definition
from reqresp.services.registry import Services
from reqresp.services.schema import ServiceTable
from reqresp.services.service import Service
from reqresp.transport.accept_modes import AcceptAfter, AcceptName

_log = Logger()

_TEXT = {"type": "string"}
_ONE = "/api/services/{service}"


@frozen(kw_only=True)
class ScriptBody:
    """
    A script.

    :param script: its TOML text.
    """

    script: str


@frozen(kw_only=True)
class ServiceChange:
    """
    What changes of a service until it is reset or gets another definition or script.

    :param accept: what happens to clients that connect.
    """

    accept: AcceptName | AcceptAfter


def _definition_schema() -> dict[str, Any]:
    """Return the schema of a definition: the keys of a service and those of a script."""
    schema = SCHEMAS.merged(ServiceTable, Document)
    upstream = schema["properties"]["upstream"]["description"]
    tables = {"anyOf": [_TEXT, SCHEMAS.of(UpstreamTable)]}
    schema["properties"]["upstream"] = described(upstream, tables)
    return schema


class ServicesApi:
    """The routes of *services*."""

    def __init__(self, services: Services) -> None:
        self._services = services
        #: The directory that paths in definitions are relative to.
        self._base = services.environment.base

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = partial(Route, reply=ref("Service"))
        definition = RawBody(ref("Definition"))
        return [
            Route(
                method="GET",
                path="/api/services",
                answer=self._list,
                summary="List the services.",
                reply=table(services=described("all of them", array(ref("Service")))),
            ),
            one(
                method="POST",
                path="/api/services",
                answer=self._create,
                summary="Create a service.",
                status=201,
                body=definition,
                errors=(409,),
            ),
            Route(
                method="GET",
                path=_ONE,
                answer=self._show,
                summary="Show a service, with its definition.",
                reply={
                    **COMPONENTS["Service"],
                    "properties": {
                        **COMPONENTS["Service"]["properties"],
                        "definition": described(
                            "what was written: with it the service can be made again",
                            ref("Definition"),
                        ),
                        "effective": described("what is so now, with each default", EFFECTIVE),
                    },
                    "required": [*COMPONENTS["Service"]["required"], "definition", "effective"],
                },
            ),
            one(
                method="PUT",
                path=_ONE,
                answer=self._replace,
                summary="Replace a service, or create it.",
                creates=True,
                body=definition,
                errors=(409,),
            ),
            one(
                method="PATCH",
                path=_ONE,
                answer=self._accept,
                summary="Treat clients that connect from now on otherwise; open connections go on.",
                body=ServiceChange,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                answer=self._delete,
                summary="Delete a service, and reset its connections.",
                status=204,
            ),
            one(
                method="POST",
                path=f"{_ONE}/enable",
                answer=self._enable,
                summary="Listen.",
                errors=(409,),
            ),
            one(
                method="POST",
                path=f"{_ONE}/disable",
                answer=self._disable,
                summary="Stop listening, and reset all connections.",
            ),
            Route(
                method="POST",
                path=f"{_ONE}/reset",
                answer=self._reset_one,
                summary="Make a service as it was at the start.",
                status=204,
                errors=(409,),
            ),
            Route(
                method="POST",
                path="/api/reset",
                answer=self._reset,
                summary="Make all services as they were at the start.",
                status=204,
                errors=(409,),
            ),
            Route(
                method="GET",
                path=f"{_ONE}/script",
                answer=self._script,
                summary="Show the script of a service, and its rules.",
                reply=table(
                    script=described("its TOML text; null: it has none", nullable(_TEXT)),
                    rules=described("its rules, with their lines", array(ref("Rule"))),
                ),
            ),
            one(
                method="PUT",
                path=f"{_ONE}/script",
                answer=self._use_script,
                summary="Answer new clients with another script.",
                body=ScriptBody,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{_ONE}/script/check",
                answer=self._check_script,
                summary="Check a script, without using it.",
                reply=table(summary=described("what the script has, in one line", _TEXT)),
                body=ScriptBody,
            ),
        ]

    def _list(self, _call: Call) -> Any:
        return {"services": [describe_service(it) for it in self._services]}

    def _create(self, call: Call) -> Deferred[Any]:
        definition = read_definition(call.body, self._base)
        return self._created(definition)

    def _show(self, call: Call) -> Any:
        service = self._services[call.path["service"]]
        return {
            **describe_service(service),
            "definition": service.definition.as_json(),
            "effective": describe_effective(service),
        }

    def _replace(self, call: Call) -> Deferred[Any]:
        name = call.path["service"]
        body = {"name": name, **call.body}
        functions = self._services.functions(name)
        known = self._services[name].definition.script_base if name in self._services else None
        definition = read_definition(body, self._base, functions=functions, script_base=known)
        if name not in self._services:
            _check_named(definition, name)
            return self._created(definition).addCallback(Created)
        replaced = self._services.replace(name, definition).addErrback(_unusable)
        was = "" if definition.name == name else f"; it was named {name}"
        return replaced.addCallback(partial(_changed, f"service replaced{was}"))

    def _created(self, definition: Definition) -> Deferred[Any]:
        created = self._services.create(definition).addErrback(_unusable)
        return created.addCallback(partial(_changed, "service created"))

    def _accept(self, call: Call) -> Any:
        service, accept = self._services[call.path["service"]], call.body.accept
        service.accepting(accept)
        shown = f"after {accept.after:g} s" if isinstance(accept, AcceptAfter) else accept
        return _changed(f"clients are accepted: {shown}", service)

    def _delete(self, call: Call) -> Deferred[None]:
        service = self._services[call.path["service"]]
        deleted = self._services.delete(service.name)
        return deleted.addCallback(lambda _: service.log("service deleted"))

    def _enable(self, call: Call) -> Deferred[Any]:
        enabled = self._services.enable(call.path["service"])
        return enabled.addCallback(partial(_changed, "service enabled"))

    def _disable(self, call: Call) -> Deferred[Any]:
        disabled = self._services.disable(call.path["service"])
        return disabled.addCallback(partial(_changed, "service disabled"))

    def _reset_one(self, call: Call) -> Deferred[Any]:
        reset = self._services.reset_one(call.path["service"])
        return reset.addCallback(lambda service: service.log("service reset"))

    def _reset(self, _call: Call) -> Deferred[None]:
        return self._services.reset().addCallback(lambda _: _log.info("all services reset"))

    def _script(self, call: Call) -> Any:
        service = self._services[call.path["service"]]
        script, text = shown_script(service), service.script_text
        if script is None or text is None:
            return {"script": None, "rules": []}
        rules = [describe_rule(script, it) for it in script.rules.all()]
        return {"script": text, "rules": rules}

    def _use_script(self, call: Call) -> Deferred[Any]:
        service = self._services[call.path["service"]]
        used = self._services.use_script(service.name, call.body.script)
        return used.addErrback(_unusable).addCallback(partial(_changed, "script changed"))

    def _check_script(self, call: Call) -> Any:
        service = self._services[call.path["service"]]
        functions = self._services.functions(service.name)
        definition, loaded = service.check_script(call.body.script, functions)
        try:
            service.check(definition, loaded)
        except Exception as error:
            raise unusable(error) from None
        return {"summary": "" if loaded.script is None else summarize(loaded.script)}


def _check_named(definition: Definition, name: str) -> None:
    """:raises ApiError: a new service would have another *name* than the path says."""
    if definition.name != name:
        message = f"expected {quote(name)}, as in the path, found {quote(definition.name)}"
        raise problems_error([Problem("request", None, "name", message)])


def _unusable(failure: Failure) -> NoReturn:
    if isinstance(failure.value, Exception):
        raise unusable(failure.value)
    failure.raiseException()


def _changed(what: str, service: Service) -> Any:
    """Note *what* has changed of *service*; return the service as JSON."""
    service.note(what)
    return describe_service(service)


#: The schema of a definition, for the component ``Definition``.
DEFINITION = _definition_schema()
