"""
Schemathesis hooks: real names and numbers in the paths that Schemathesis generates.

Schemathesis loads this file by itself, so it imports nothing of ours.  Two of three paths get what
exists; the others are as they were generated, and mostly not found.  If nothing exists any more,
all services are reset, and each gets a client, an expectation and a fault.
"""

import json
import os
import socket
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import schemathesis
from schemathesis.core.parameters import ParameterLocation

#: The variables of the environment: where the control server is, and where to write what succeeds.
URL, REPORT = "REQRESP_CONTROL", "REQRESP_REPORT"
#: The services, one of each kind, which is also their name.
KINDS = ("rules", "response", "relay")
#: Seconds that a service has for a reply.
PATIENCE = 10.0

#: The parameters that say which one of a list, by the list: the parameter, and the key that it is.
_LISTS = {
    "connections": ("connection", "number"),
    "entries": ("id", "id"),
    "expectations": ("id", "id"),
    "faults": ("name", "name"),
}
#: What each service gets.
_FAULT = {"kind": "latency", "stream": "downstream", "delay": 0.001}
_EXPECTATION = {"kind": "on", "equals": "never", "reply": "x"}

_clients: dict[str, socket.socket] = {}
_calls: Counter[str] = Counter()
_successes: Counter[str] = Counter()


@schemathesis.hook
def before_call(_context: Any, case: Any, **_kwargs: Any) -> None:
    """Let the path of *case* name what exists."""
    operation, given = case.operation.label, case.path_parameters
    component = case.meta.components.get(ParameterLocation.PATH)
    if component is None or component.mode.is_negative:
        return
    if case.meta.phase.name.value == "stateful":
        # It follows what it has made itself; the service has to stay.
        if "service" in given:
            is_last = operation == "DELETE /api/services/{service}"
            given["service"] = "other" if is_last else "rules"
        return
    _calls[operation] += 1
    if _calls[operation] % 3:
        real = _real(case.operation.path, _calls[operation])
        given.update({name: it for name, it in real.items() if name in given})


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """Count what succeeds."""
    if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        _successes[case.operation.label] += 1
        Path(os.environ[REPORT]).write_text(json.dumps(_successes), encoding="utf-8")


def _real(path: str, number: int) -> Mapping[str, str]:
    """Return parameters of *path* that exist; *number* chooses the service."""
    if path.startswith("/proxies/"):
        _prepare("relay")
        return {"proxy": "relay", "toxic": _first("/proxies/relay/toxics")["name"]}
    kind, _, parameter = path.removeprefix("/api/services/{service}/").partition("/")
    # A relay expects nothing.
    names = KINDS[:2] if kind == "expectations" else KINDS
    name = names[number % len(names)]
    _prepare(name)
    found = {"service": name}
    if kind in _LISTS and parameter.startswith("{"):
        parameter, key = _LISTS[kind]
        found[parameter] = str(_first(f"/api/services/{name}/{kind}", kind)[key])
    return found


def _prepare(name: str) -> None:
    """Let the service *name* be as it was started, with a client."""
    if not _is_ready(name):
        _restore()


def _is_ready(name: str) -> bool:
    """Return whether the service *name* is as it was started, and has a client."""
    found = _ask("GET", f"/api/services/{name}")
    return found is not None and found["kind"] == name and found["counts"]["open"] > 0


def _first(path: str, key: str | None = None) -> Any:
    """Return the first of what *path* lists, as a list or under *key*."""
    for _ in range(2):
        listed = _ask("GET", path)
        items = listed if key is None else listed[key]
        if items:
            return items[0]
        _restore()
    raise AssertionError(f"{path} lists nothing")


def _restore() -> None:
    """Reset all services; each gets a client that was answered, an expectation and a fault."""
    for client in _clients.values():
        client.close()
    _ask("POST", "/api/reset", {})
    for name in KINDS:
        path = f"/api/services/{name}"
        [address] = _ask("GET", path)["listen"]
        host, _, port = address.rpartition(":")
        client = _clients[name] = socket.create_connection((host, int(port)), PATIENCE)
        client.sendall(b"PING\n")
        client.recv(64)
        _ask("POST", f"{path}/expectations", _EXPECTATION)
        _ask("POST", f"{path}/faults", _FAULT)


def _ask(method: str, path: str, body: object = None) -> Any:
    """Return the JSON of a response; None: it has none, or the request is refused."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = Request(os.environ[URL] + path, data, headers, method=method)  # noqa: S310 (ours)
    try:
        with urlopen(request, timeout=10) as response:  # noqa: S310
            text = response.read()
    except HTTPError as error:
        error.close()
        return None
    return json.loads(text) if text else None
