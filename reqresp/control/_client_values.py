"""
Client values: requests, exchanges and addresses, as the JSON of the API has them.

Must not know HTTP.
"""

import base64
from collections.abc import Mapping
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from reqresp.exchanges import Exchange
from reqresp.steps import STEPS, Broadcast, FaultEffect, Forward, Request, Send, Step, Wait


def address_of(text: str) -> IAddress:
    """Return the address that *text* stands for."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        address: IAddress = UNIXAddress(text)
        return address
    host = host.removeprefix("[").removesuffix("]")
    make = IPv6Address if ":" in host else IPv4Address
    return make("TCP", host, int(port))


def bytes_of(found: str | Mapping[str, Any]) -> bytes:
    """Return the bytes that *found* stands for: text, or a table with text or base64."""
    if isinstance(found, str):
        return found.encode()
    return base64.b64decode(found["base64"]) if "base64" in found else found["text"].encode()


def request_of(found: Mapping[str, Any], data: str = "data") -> Request:
    """
    Return the request in *found*.

    :param data: the key of its bytes.
    """
    peer = address_of(found["peer"])
    return Request(bytes_of(found[data]), peer, found["connection"], found["number"])


def exchange_of(entry: Mapping[str, Any]) -> Exchange:
    """Return what *entry*, an entry of the kind ``answered``, has: a request and its reply."""
    return Exchange(
        request_of(entry, "request"),
        tuple(map(_step_of, entry["steps"])),
        entry["by"],
        tuple(entry.get("faults", ())),
        _effect_of(entry),
    )


def _step_of(found: Mapping[str, Any]) -> Step:
    [key] = found.keys() - {"to"}
    value = found[key]
    if key == Send.key:
        is_raw = isinstance(value, Mapping) and bool(value.get("raw"))
        if "to" in found:
            return Broadcast(bytes_of(value), found["to"], is_raw)
        return Send(bytes_of(value), is_raw)
    if key == Wait.key:
        return Wait(value)
    if key == Forward.key:
        return Forward(None if value is True else bytes_of(value))
    return STEPS[key]()


def _effect_of(entry: Mapping[str, Any]) -> FaultEffect | None:
    if entry.keys().isdisjoint(("delayed", "slices", "altered")):
        return None
    altered = entry.get("altered")
    return FaultEffect(
        entry.get("delayed", 0.0),
        tuple(entry.get("slices", ())),
        None if altered is None else bytes_of(altered),
    )


def step_table(step: bytes | Step) -> dict[str, Any]:
    """Return *step* as the API expects it; bytes are sent in a frame."""
    match step:
        case bytes():
            return {Send.key: _payload(step, is_raw=False)}
        case Send(data=data, raw=is_raw):
            return {Send.key: _payload(data, is_raw)}
        case Broadcast(data=data, to=to, raw=is_raw):
            return {Send.key: _payload(data, is_raw), "to": to}
        case Wait(seconds=seconds):
            return {Wait.key: seconds}
    if type(step) not in STEPS.values():
        raise TypeError(f"answer: expected bytes or a step, found {step!r}")
    return {step.key: True}


def _payload(data: bytes, is_raw: bool) -> dict[str, Any]:
    return {"hex": data.hex(), "raw": is_raw}
