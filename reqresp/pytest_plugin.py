"""
Pytest plugin: the fixture ``reqresp_server``, and the verdict at the end of a test.

Loaded in every run of pytest where reqresp is installed, so it imports nothing of the server until
a test asks for one.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from reqresp.testing import Server, StartServer

_STARTED = pytest.StashKey["list[Server]"]()


@pytest.fixture
def reqresp_server(request: pytest.FixtureRequest) -> "Iterator[StartServer]":
    """
    Start TCP servers that a client can be tested against; see ``reqresp.testing.Server``.

    They are verified when the test is over, and end with it.
    """
    from reqresp.testing import Server

    stash = request.node.stash
    with ExitStack() as ends:

        def start(**what: Any) -> "Server":
            server = Server(**what)
            ends.callback(server.end)
            stash[_STARTED].append(server)
            return server

        stash[_STARTED] = []
        yield start
    # What it was told need not be kept until the last test is over.
    del stash[_STARTED]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that passed although its servers were not content."""
    # In the call, not in a fixture's teardown: there it would be an error beside a test that
    # passed, and no xfail would count.
    __tracebackhide__ = True
    result = yield
    # Where pytest keeps what a unittest.TestCase raised.
    if _STARTED in item.stash and not getattr(item, "_excinfo", None):
        servers, item.stash[_STARTED] = item.stash[_STARTED], []
        _verify(servers)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Tell of the servers of a test that failed by itself, or while it was set up."""
    report = yield
    if report.failed and report.when in ("setup", "call"):
        for server in item.stash.get(_STARTED, ()):
            try:
                told = server.report()
            except Exception as error:  # the server's thread may be busy: the test's error counts
                told = f"{type(error).__name__}: {error}"
            report.sections.append((f"Captured reqresp {report.when}", told))
    return report


def _verify(servers: "list[Server]") -> None:
    """
    Verify all of *servers*.

    :raises AssertionError: the first that was raised, or one with what all of them told.
    """
    __tracebackhide__ = True
    found = []
    for server in servers:
        try:
            server.verify()
        except AssertionError as error:
            found.append(error)
    if len(found) > 1:
        raise AssertionError("\n".join(map(str, found))) from found[0].__cause__
    if found:
        raise found[0]
