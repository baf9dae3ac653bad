"""
Describe: services, rules and entries as JSON, and the schemas of that JSON.

Must not know routes, and changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from reqresp.control._schemas import array, nullable, ref, table
from reqresp.framing import Chunk, Mixed, complete_framing
from reqresp.journal import Entry, as_json
from reqresp.script.json_schema import Schema
from reqresp.script.predicates import COMPARISONS
from reqresp.script.rule import Rule
from reqresp.services.service import Kind, Service
from reqresp.transport.accept_modes import Accept, written_mode

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number"}

#: The numbers of a service, and how each is read.
_COUNTS: Mapping[str, Any] = {
    "open": lambda it: it.factory.open,
    "accepted": lambda it: it.factory.accepted,
    "refused": lambda it: it.factory.refused,
    "requests": lambda it: it.counters.requests,
    "replies": lambda it: it.counters.replies,
    "misses": lambda it: it.counters.misses,
    "errors": lambda it: it.counters.malformed.total() + it.counters.responder_errors,
    "faults": lambda it: it.counters.faults.total(),
    "received": lambda it: it.counters.received,
    "sent": lambda it: it.counters.sent,
    "entries": lambda it: it.journal.kept,
}

#: How clients are accepted, as a script writes it.
ACCEPT: Schema = {"anyOf": [{"enum": [it.value for it in Accept]}, table(after={"type": "number"})]}

#: The schemas that others refer to.
COMPONENTS: Mapping[str, Schema] = {
    "Payload": {
        "description": "Bytes: text if they are UTF-8, else base64. What is cut has its size.",
        "anyOf": [
            _TEXT,
            table("size", "truncated", base64=_TEXT, size=_COUNT, truncated={"const": True}),
            table(text=_TEXT, size=_COUNT, truncated={"const": True}),
        ],
    },
    "Service": table(
        name=_TEXT,
        enabled={"type": "boolean"},
        listen=array(_TEXT),
        kind={"enum": [it.value for it in Kind]},
        summary=_TEXT,
        framing=nullable(_TEXT),
        accept=ACCEPT,
        upstream=nullable(_TEXT),
        counts=table(**dict.fromkeys(_COUNTS, _COUNT)),
        position=_COUNT,
    ),
    "Rule": table(name=_TEXT, path=_TEXT, line=nullable(_COUNT), kind=_TEXT),
    "Entry": {
        "description": "An entry of a journal, with its number as id.",
        "type": "object",
        "properties": {
            "id": _COUNT,
            "event": _TEXT,
            "at": _SECONDS,
            "sent": _SECONDS,
            "peer": _TEXT,
            "connection": _COUNT,
            "number": _COUNT,
            "request": ref("Payload"),
            "by": _TEXT,
            "steps": array({"type": "object"}),
            "miss": {"const": True},
            "faults": array(_TEXT),
            "delayed": _SECONDS,
            "slices": array(_COUNT),
            "altered": ref("Payload"),
        },
        "required": ["id", "event", "at"],
    },
}


def describe_service(service: Service) -> dict[str, Any]:
    """Return *service* as JSON."""
    return {
        "name": service.name,
        "enabled": service.is_enabled,
        "listen": [*service.addresses],
        "kind": service.kind.value,
        "summary": service.summary,
        "framing": framing_name(service),
        "accept": written_mode(service.ports.accept),
        "upstream": service.upstream,
        "counts": {name: read(service) for name, read in _COUNTS.items()},
        "position": service.journal.position,
    }


def describe_entry(number: int, entry: Entry, max_bytes: int) -> dict[str, Any]:
    """Return *entry* as JSON, with at most *max_bytes* of its payloads."""
    return {"id": number, **as_json(entry, max_bytes)}


def describe_rule(rule: Rule) -> dict[str, Any]:
    """Return *rule* as JSON."""
    return {"name": rule.name, "path": rule.path, "line": rule.line, "kind": kind_of(rule)}


def kind_of(rule: Rule) -> str:
    """Return the first predicate of *rule*; ``any`` if every request matches."""
    predicates = rule.predicates
    kinds = [it for it in (*COMPARISONS, "matches", "size") if getattr(predicates, it)]
    return kinds[0] if kinds else "any"


def framing_of(service: Service) -> Any:
    """Return the framing of *service*; None: it has none, or that of a recording."""
    if service.kind is Kind.RELAY:
        return None
    if service.definition.framing is not None:
        return service.definition.framing
    script = service.script
    if script is None:
        return Chunk() if service.kind is Kind.RESPONSE else None
    if script.reply_framing == script.framing:
        return script.framing
    return Mixed(script.framing, script.reply_framing)


def framing_name(service: Service) -> str | None:
    """Return the framing of requests, as a script names it; None: as for `framing_of`."""
    framing = framing_of(service)
    return None if framing is None else complete_framing(framing).requests.name


def reply_framing_name(service: Service) -> str | None:
    """Return the framing of replies, as a script names it; None: as for `framing_of`."""
    framing = framing_of(service)
    return None if framing is None else complete_framing(framing).replies.name
