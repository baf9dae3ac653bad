"""
Details: one entry whole, with what explains it.

Knows scripts: which rule answered, or which ones nearly did.  Changes nothing.
"""

import sys
from typing import Any

from reqresp.control._describe import describe_entry, describe_rule, framing_of, shown_script
from reqresp.control._find import connection_of
from reqresp.exchanges import UNMATCHED
from reqresp.framing import Framed, FrameError, complete_framing
from reqresp.journal import Answered, Connected, Entry, Unanswered
from reqresp.journal.entries import bytes_as_json
from reqresp.script import Script
from reqresp.script.explain import explain_last
from reqresp.script.near_misses import nearest
from reqresp.script.toml_positions import line_of
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
        "wire": _wire(service, entry),
    }
    script = shown_script(service)
    if script is None or script.is_relay:
        return details
    if isinstance(entry, Answered):
        details["rule"] = _describe_by(script, entry.exchange.by)
    if isinstance(entry, Answered | Unanswered):
        requests = [*_earlier(service, number, entry), _data(entry)]
        explained = explain_last(script, requests)
        details["state"], details["explain"] = explained.state, explained.text
        if isinstance(entry, Answered) and entry.is_miss:
            details["near"] = _near(script, explained.state, _data(entry))
            details["why"] = explained.why
    return details


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


def _wire(service: Service, entry: Entry) -> dict[str, Any]:
    """Return the bytes that were received and sent: framed, and with what faults altered."""
    framing = framing_of(service)
    wire: dict[str, Any] = {"request": None, "reply": None}
    if framing is None or not isinstance(entry, Answered):
        return wire
    complete = complete_framing(framing)
    request = entry.exchange.request.data
    parts: list[bytes] = []
    try:
        raw = request.raw if isinstance(request, Framed) else complete.encode_request(request)
        wire["request"] = bytes_as_json(raw)
        for step in entry.exchange.steps:
            match step:
                case Send(data=data, raw=True) | Forward(reply=bytes(data)):
                    parts.append(data)
                case Send(data=data):
                    parts.append(complete.encode(data))
    except FrameError:  # the service has another framing by now
        return wire
    effect = entry.exchange.effect
    altered = None if effect is None else effect.data
    wire["reply"] = bytes_as_json(b"".join(parts) if altered is None else altered)
    return wire


def _data(entry: Answered | Unanswered) -> bytes:
    return (entry.exchange.request if isinstance(entry, Answered) else entry.request).data
