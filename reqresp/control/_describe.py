"""
Describe: services, rules and entries as JSON, and the schemas of that JSON.

Must not know routes, and changes nothing.
"""

from collections.abc import Mapping
from typing import Any, get_args

from attrs import evolve

from reqresp.control._schemas import array, described, nullable, ref, table
from reqresp.framing import Chunk, Mixed, complete_framing
from reqresp.journal import Entry, as_json
from reqresp.journal.entries import EVENTS
from reqresp.script import Script
from reqresp.script.json_schema import Schema
from reqresp.script.near_misses import KINDS as NEAR_KINDS
from reqresp.script.predicates import COMPARISONS
from reqresp.script.rule import Rule
from reqresp.script.toml_positions import line_of, locate
from reqresp.services.service import Kind, Service
from reqresp.steps import Broadcast, Forward, Send, Step, Wait
from reqresp.transport.accept_modes import Accept, written_mode

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number"}

#: The numbers of a service: what each counts, and how it is read.
_COUNTS: Mapping[str, tuple[str, Any]] = {
    "open": ("connections that are open", lambda it: it.factory.open),
    "accepted": ("connections that were accepted", lambda it: it.factory.accepted),
    "refused": ("clients that were refused", lambda it: it.factory.refused),
    "requests": ("requests received", lambda it: it.counters.requests),
    "replies": ("replies completed", lambda it: it.counters.replies),
    "misses": ("requests that no rule matched", lambda it: it.counters.misses),
    "errors": (
        "connections that ended because something was malformed or a responder failed",
        lambda it: it.counters.malformed.total() + it.counters.responder_errors,
    ),
    "faults": ("faults injected", lambda it: it.counters.faults.total()),
    "received": ("bytes received from clients", lambda it: it.counters.received),
    "sent": ("bytes sent to clients", lambda it: it.counters.sent),
    "entries": ("entries that the journal has now", lambda it: it.journal.kept),
}

#: How clients are accepted, as a script writes it.
ACCEPT: Schema = {
    "anyOf": [
        {"enum": [it.value for it in Accept]},
        table(after=described("seconds that clients wait", {"type": "number"})),
    ]
}

_CUT: Mapping[str, Schema] = {
    "size": described("how many bytes there are in all", _COUNT),
    "truncated": described("only the first ones are shown", {"const": True}),
}


def _payload(**more: Schema) -> list[Schema]:
    """Return the schemas of bytes, of which tables can have *more* keys."""
    others = {**_CUT, **more}
    return [
        _TEXT,
        table(*others, base64=described("the bytes in base64", _TEXT), **others),
        table(*others, text=described("the bytes as text", _TEXT), **others),
    ]


def _step() -> Schema:
    """Return the schema of a step, whose key says which one it is."""
    done: Schema = {"const": True}
    raw = described("they are sent without a frame", done)
    steps = {
        # A broadcast is sent, too.
        **{it.key: described(it.label, done) for it in get_args(Step) if it is not Broadcast},
        Send.key: described("the bytes that are sent", {"anyOf": _payload(raw=raw)}),
        Wait.key: described("seconds", _SECONDS),
        Forward.key: described(
            "the reply of the upstream; true: there is none", {"anyOf": [ref("Payload"), done]}
        ),
    }
    to = described("with send: the other clients to which it is sent", _TEXT)
    return {**table(*steps, "to", **steps, to=to), "minProperties": 1, "maxProperties": 2}


_RULE: Mapping[str, Schema] = {
    "name": described("its name in entries and logs", _TEXT),
    "path": described("where it stands among the keys of the script", _TEXT),
    "line": described("its line in the text of the script; null: none", nullable(_COUNT)),
    "kind": described("its first predicate; any: every request matches", _TEXT),
}

#: The schemas that others refer to.
COMPONENTS: Mapping[str, Schema] = {
    "Payload": {
        "description": "Bytes: text if they are UTF-8, else base64. What is cut has its size.",
        "anyOf": _payload(),
    },
    "EntryStep": {"description": "A step of a reply, as under do in a script.", **_step()},
    "Service": table(
        name=described("its name", _TEXT),
        enabled=described("whether it listens, or is about to", {"type": "boolean"}),
        listen=described("where it listens now", array(_TEXT)),
        kind=described("what answers", {"enum": [it.value for it in Kind]}),
        summary=described("what answers, in a few words for people", _TEXT),
        framing=described("where a request ends; null: nowhere, or as recorded", nullable(_TEXT)),
        accept=described("what happens to clients that connect", ACCEPT),
        upstream=described("where clients are forwarded to; null: nowhere", nullable(_TEXT)),
        counts=described(
            "since the process has started, or the service was made",
            table(**{name: described(text, _COUNT) for name, (text, _) in _COUNTS.items()}),
        ),
        position=described("the number of the next entry of its journal", _COUNT),
    ),
    "Rule": table(**_RULE),
    "EntryRule": table(
        **_RULE,
        when=described("the states that it is for; null: all", nullable(array(_TEXT))),
        goto=described("the state that it sets; null: none", nullable(_TEXT)),
    ),
    "NearRule": table(
        rule=described("its name in entries and logs", _TEXT),
        path=_RULE["path"],
        line=_RULE["line"],
        kind=described("the predicate that differs", {"enum": [*NEAR_KINDS]}),
        at=described(
            "the first byte that differs, from 0; of JSON, how many values were compared", _COUNT
        ),
        wanted=described(
            "the bytes of the predicate; of JSON, the value at the first place that differs",
            ref("Payload"),
        ),
        difference=described("the first place where JSON differs; null: none", nullable(_TEXT)),
    ),
    "Entry": {
        "description": "An entry of a journal, with its number as id.",
        "type": "object",
        "properties": {
            "id": described("its number, which no other entry of the service has", _COUNT),
            "event": described("its kind", {"enum": [*EVENTS]}),
            "at": described("when it happened, in seconds since the epoch", _SECONDS),
            "sent": described("when the last of the reply was sent, likewise", _SECONDS),
            "peer": described("the address of the client", _TEXT),
            "connection": described("the number of the connection", _COUNT),
            "number": described("the number of the request on its connection", _COUNT),
            "request": described(
                "the request as rules see it, or what has come of one", ref("Payload")
            ),
            "received": described("a command of Redis as it came", ref("Payload")),
            "missing": described("what the request lacks", _TEXT),
            "by": described("the rule, or what else, that has answered or sent", _TEXT),
            "steps": described("the reply, as under do in a script", array(ref("EntryStep"))),
            "data": described("what was sent, or has passed a relay", ref("Payload")),
            "stream": described("which way that passed: upstream, downstream", _TEXT),
            "eof": described("that side sends no more", {"const": True}),
            "miss": described("no rule matches the request", {"const": True}),
            "faults": described("the names of the faults that apply", array(_TEXT)),
            "delayed": described("seconds that faults have delayed the reply", _SECONDS),
            "slices": described("bytes of the pieces that faults have cut", array(_COUNT)),
            "altered": described(
                "the bytes that were sent, if faults altered them", ref("Payload")
            ),
            "what": described("what was changed of the service, for people", _TEXT),
            "reason": described("why it ended, failed or was refused", _TEXT),
            "matches": described(
                "what the regex of the search has found in it, each text once",
                array(ref("Payload")),
            ),
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
        "counts": {name: read(service) for name, (_, read) in _COUNTS.items()},
        "position": service.journal.position,
    }


def describe_entry(number: int, entry: Entry, max_bytes: int) -> dict[str, Any]:
    """Return *entry* as JSON, with at most *max_bytes* of its payloads."""
    return {"id": number, **as_json(entry, max_bytes)}


def shown_script(service: Service) -> Script | None:
    """
    Return the script of *service* with the lines of its text, as clients see it; None: it has none.

    Rules that stand in another file, among services, have other lines there.
    """
    script, text = service.script, service.script_text
    return script if script is None or text is None else evolve(script, lines=locate(text))


def describe_rule(script: Script, rule: Rule) -> dict[str, Any]:
    """Return *rule* of *script* as JSON."""
    line = line_of(script.lines, rule.path)
    return {"name": rule.name, "path": rule.path, "line": line, "kind": kind_of(rule)}


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
