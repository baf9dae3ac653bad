"""
Pytest plugin: the fixture ``reqresp_server``, and the verdict at the end of a test.

Loaded in every run of pytest where reqresp is installed, so it imports nothing of the server until
a test asks for one.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from reqresp.testing import StartServer

_STARTED = pytest.StashKey[list[Any]]()


@pytest.fixture
def reqresp_server(request: pytest.FixtureRequest) -> "Iterator[StartServer]":
    """
    Start TCP servers that a client can be tested against; see ``reqresp.testing.Server``.

    They are verified when the test is over, and end with it.
    """
    from reqresp.testing import Server

    servers: list[Any] = []
    request.node.stash[_STARTED] = servers

    def start(**what: Any) -> Any:
        servers.append(Server(**what))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that passed although its servers were not content."""
    # In the call, not in a fixture's teardown: there it would be an error beside a test that
    # passed, and no xfail would count.
    result = yield
    for server in item.stash.get(_STARTED, ()):
        server.verify()
    return result
