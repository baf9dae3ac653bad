"""
Details: one entry whole, with what explains it.

Knows scripts: which rule answered, or which ones nearly did.  Changes nothing.
"""

import sys
from contextlib import suppress
from typing import Any

from reqresp.control._describe import describe_entry, describe_rule, shown_script
from reqresp.control._find import connection_of
from reqresp.exchanges import UNMATCHED, Exchange
from reqresp.framing import BaseFraming, Framed, FrameError, complete_framing
from reqresp.journal import Answered, Connected, Entry, Unanswered
from reqresp.journal.entries import bytes_as_json
from reqresp.script import Script
from reqresp.script.explain import explain_last
from reqresp.script.near_misses import nearest
from reqresp.script.toml_positions import line_of
from reqresp.server.factory import ReqRespFactory
from reqresp.server.state_properties import NO_PROPERTIES
from reqresp.services.service import Service
from reqresp.steps import Forward, Send

#: Entries that are looked through for the earlier requests of a connection.
MAX_SCANNED = 2000


def describe_details(service: Service, number: int, entry: Entry) -> dict[str, Any]:
    """
    Return *entry* as JSON, with its rule or the nearest ones, and the bytes as they were sent.

    The state of the conversation is found by answering the connection's earlier requests again, as
    far as the journal has them.
    """
    details: dict[str, Any] = {
        **describe_entry(number, entry, sys.maxsize),
        "rule": None,
        "state": None,
        "near": [],
        "why": [],
        "explain": "",
        "wire": {"request": None, "reply": None},
    }
    if not isinstance(entry, Answered | Unanswered):
        return details
    script = shown_script(service)
    if script is not None and not script.is_relay:
        details |= _explained(service, script, number, entry)
    framing = _framing(service, details["state"])
    if framing is not None:
        details["wire"] = _wire(framing, entry)
    return details


def _explained(
    service: Service, script: Script, number: int, entry: Answered | Unanswered
) -> dict[str, Any]:
    """Return what *script* says of the request."""
    requests = [*_earlier(service, number, entry), _data(entry)]
    explained = explain_last(script, requests)
    found: dict[str, Any] = {"state": explained.state, "explain": explained.text}
    if isinstance(entry, Answered):
        found["rule"] = _describe_by(script, entry.exchange.by)
        if entry.is_miss:
            found["near"] = _near(script, explained.state, _data(entry))
            found["why"] = explained.why
    return found


def _describe_by(script: Script, by: str) -> dict[str, Any] | None:
    """Return the rule with the name *by*; None: there is none, such as no unmatched."""
    rule = next((it for it in script.rules.all() if it.name == by), None)
    if rule is None or (by == UNMATCHED and UNMATCHED not in script.lines):
        return None
    when = None if rule.when is None else sorted(rule.when)
    return {**describe_rule(script, rule), "when": when, "goto": rule.goto}


def _near(script: Script, state: str, request: bytes) -> list[dict[str, Any]]:
    rules = script.rules.states[state].rules if state in script.rules.states else ()
    return [
        {
            "rule": near.rule.name,
            "path": near.rule.path,
            "line": line_of(script.lines, near.rule.path),
            "kind": near.kind,
            "at": near.at,
            "wanted": bytes_as_json(near.wanted),
            "difference": None if near.json is None else str(near.json),
        }
        for near in nearest(rules, request)
    ]


def _earlier(service: Service, number: int, entry: Answered | Unanswered) -> list[bytes]:
    """Return the requests of the same connection before entry *number*, as far as they are kept."""
    connection = connection_of(entry)
    found: list[bytes] = []
    first, entries = service.journal.since(max(1, number - MAX_SCANNED), MAX_SCANNED)
    for at, it in enumerate(entries, first):
        if at >= number:
            break
        if isinstance(it, Connected) and it.connection == connection:
            found = []
        elif isinstance(it, Answered | Unanswered) and connection_of(it) == connection:
            found.append(_data(it))
    return found


def _framing(service: Service, state: str | None) -> BaseFraming | None:
    """Return the framing of requests in *state*, and of their replies; None: a relay has none."""
    if not isinstance(service.factory, ReqRespFactory):
        return None
    config = service.factory.config
    own = None
    if service.script is not None and state is not None:
        own = service.script.rules.by_state.get(state, NO_PROPERTIES).framing
    return complete_framing(config.framing if own is None else own)


def _wire(framing: BaseFraming, entry: Answered | Unanswered) -> dict[str, Any]:
    """Return the bytes that were received and sent: framed, and with what faults altered."""
    wire: dict[str, Any] = {"request": None, "reply": None}
    request = _data(entry)
    with suppress(FrameError):  # the service has another framing by now
        raw = request.raw if isinstance(request, Framed) else framing.encode_request(request)
        wire["request"] = bytes_as_json(raw)
        if isinstance(entry, Answered):
            wire["reply"] = bytes_as_json(_sent(framing, entry.exchange))
    return wire


def _sent(framing: BaseFraming, exchange: Exchange) -> bytes:
    if exchange.effect is not None and exchange.effect.data is not None:
        return exchange.effect.data
    parts: list[bytes] = []
    for step in exchange.steps:
        match step:
            case Send(data=data, raw=True) | Forward(reply=bytes(data)):
                parts.append(data)
            case Send(data=data):
                parts.append(framing.encode(data))
    return b"".join(parts)


def _data(entry: Answered | Unanswered) -> bytes:
    return (entry.exchange.request if isinstance(entry, Answered) else entry.request).data
