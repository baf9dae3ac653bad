"""The objects of a steered server have the public names of the fixture's, but for some."""

import asyncio
import inspect
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from reqresp.control import AsyncControlClient, ControlClient
from reqresp.testing import serve
from tests.support.live import PATIENCE
from tests.support.steered import Steered

#: Names of the fixture's objects that those of a steered server lack, and why.
LACKING: Mapping[str, Mapping[str, str]] = {
    "server": {
        "host": "addresses has it: a container is reached elsewhere",
        "port": "addresses has it, likewise",
        "name": "service is the name",
        "client_context": "the certificate is not made for the test",
        "strict": "it is an argument of verify",
        "state": "the script says what is different in a state",
        "stop_listening": "accepting('refuse') does it",
        "end": "the process is not the test's",
        "keep_recording": "the process records, not the test",
        "clock": "no handler runs in the process",
        "call_timeout": "no thread of the test runs the server",
        "factory": "it is in the process",
    },
    "expectation": {
        "call": "a function cannot be given to another process",
        "function": "likewise",
        "rule": "it is in the process",
        "answer": "the process calls it",
        "matches": "the process calls it",
        "generality": "the process orders expectations",
        "is_for": "likewise",
        "does_nothing": "likewise",
        "state_after": "the process changes states",
    },
    "connection": {},
    "connections": {
        "state": "serves ServerConnection.state, which there is",
        "not_opened": "makes messages",
        "not_closed": "makes messages",
    },
    "request": {
        "answered": "it fires in the process",
        "complete": "the process calls it",
        "condition": "the process knows it",
        "context": "the process has the variables that a reply names",
    },
    "fault": {},
}

#: Methods of all connections that only serve a single one.
SERVING = ("end", "send")


def names(value: object) -> set[str]:
    """Return the public names of *value*."""
    return {it for it in dir(value) if not it.startswith("_")}


def lacking_parameters(fixture: object, steered: object) -> set[str]:
    """Return the parameters that a public method of *fixture* has, and that of *steered* not."""
    found = set()
    for name in names(fixture) & names(steered):
        mine, other = (getattr(type(it), name, None) for it in (fixture, steered))
        if isinstance(fixture, Sequence) and name in SERVING:
            continue
        if inspect.isfunction(mine) and inspect.isfunction(other):
            more = inspect.signature(mine).parameters.keys() - inspect.signature(other).parameters
            found |= {f"{name}({it})" for it in more}
    return found


class NamesTests(Steered):
    """The public names of each object."""

    def connect(self, address: tuple[str, int]) -> None:
        """Connect a client, which sends a request that waits for the test."""
        client = socket.create_connection(address, PATIENCE)
        self.addCleanup(client.close)
        client.sendall(b"wait\n")

    def objects(self, server: Any, address: tuple[str, int]) -> dict[str, object]:
        """Return the objects of a fixture, or of a client that steers a server."""
        expectation = server.on("wait").hold()
        self.connect(address)
        request = server.next_request(timeout=PATIENCE)
        found = {
            "server": server,
            "expectation": expectation,
            "connection": server.connections[0],
            "connections": server.connections,
            "request": request,
            "fault": server.fault("latency", delay=1),
        }
        request.answer()
        return found

    async def async_objects(self) -> dict[str, object]:
        """Return the objects of a client for asyncio."""
        server = AsyncControlClient(self.url)
        expectation = await server.on("wait").hold()
        await asyncio.to_thread(self.connect, self.address)
        request = await server.next_request(timeout=PATIENCE)
        [connection] = await server.connections()
        fault = await server.fault("latency", delay=1)
        return {
            "server": server,
            "expectation": expectation,
            "connection": connection,
            "request": request,
            "fault": fault,
        }

    @property
    def address(self) -> tuple[str, int]:
        """Where the server of the test listens."""
        return "127.0.0.1", self.server.port

    def test_the_blocking_client(self) -> None:
        """Each object has the names and parameters of the fixture's, but for some."""
        with serve(strict=False) as server:
            fixture = self.objects(server, (server.host, server.port))
            steered = self.objects(ControlClient(self.url), self.address)
            lacking = {name: names(it) - names(steered[name]) for name, it in fixture.items()}
            parameters = {
                name: lacking_parameters(it, steered[name]) for name, it in fixture.items()
            }
        self.assertEqual(lacking, {name: {*it} for name, it in LACKING.items()})
        self.assertEqual(parameters, {name: set() for name in fixture})

    def test_the_client_for_asyncio(self) -> None:
        """Each object has all names of the blocking client's."""
        found = asyncio.run(self.async_objects())
        ControlClient(self.url).reset()
        steered = self.objects(ControlClient(self.url), self.address)
        lacking = {name: names(steered[name]) - names(it) for name, it in found.items()}
        self.assertEqual(lacking, {name: set() for name in found})
