"""
Pytest plugin: the fixtures ``reqresp`` and ``reqresp_server``, verified after each test.

Pytest loads this module wherever reqresp is installed: it must not import Twisted, or another
module of reqresp, before a test asks for a server.
"""

import shlex
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from reqresp.testing import Server, StartServer

# pytest shows the line of the test, and no frame of this module.
__tracebackhide__ = True

_STARTED = pytest.StashKey["list[Server]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says when servers record."""
    parser.getgroup("reqresp").addoption(
        "--reqresp-record",
        choices=("once", "none", "all", "rewrite"),
        help="when reqresp_server(recording=FILE) records from the real service: once (if FILE"
        " does not exist), none (never), all (always, added to FILE), or rewrite (always, in place"
        " of FILE); overrides record=",
    )


@pytest.fixture
def reqresp_server(request: pytest.FixtureRequest) -> "Iterator[StartServer]":
    """
    Start TCP servers to test a client against; see ``reqresp.testing.Server``.

    They are verified after the test, and end with it.
    """
    from reqresp.testing import MissingRecordingError, Server

    stash = request.node.stash
    with ExitStack() as ends:

        def start(*wrong: object, **arguments: Any) -> "Server":
            if wrong:
                raise TypeError(
                    "reqresp_server: expected keyword arguments only, such as framing=...,"
                    f" found {wrong[0]!r}"
                )
            _place_files(arguments, request)
            try:
                server = Server(**arguments)
            except MissingRecordingError as error:
                command = f"pytest --reqresp-record=once {shlex.quote(request.node.nodeid)}"
                raise MissingRecordingError(error.path, command) from None
            ends.callback(server.end)
            stash[_STARTED].append(server)
            return server

        stash[_STARTED] = []
        yield start
    # pytest keeps items until the end of the run: do not keep their servers in memory.
    del stash[_STARTED]


def _place_files(arguments: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """Let recordings be relative to the file of the test, and the option say when they are made."""
    for name in ("recording", "replay"):
        if isinstance(arguments.get(name), str | PurePath):
            arguments[name] = request.path.parent / arguments[name]
    mode = request.config.getoption("--reqresp-record")
    if mode is not None and arguments.get("recording") is not None:
        arguments["record"] = mode


@pytest.fixture(name="reqresp")
def _server(reqresp_server: "StartServer") -> "Server":
    """Return a TCP server to test a client against, with the defaults of ``reqresp_server``."""
    return reqresp_server()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Verify the servers of a test that has passed, and fail the test if they have problems."""
    # Not in the teardown of the fixture: there, the test passes, an error is reported besides, and
    # xfail has no effect.
    result = yield
    # pytest stores what a unittest.TestCase raised in _excinfo.
    if _STARTED in item.stash and not getattr(item, "_excinfo", None):
        servers, item.stash[_STARTED] = item.stash[_STARTED], []
        _verify(servers)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add the reports of its servers to a test that has failed, also during its setup."""
    report = yield
    if report.failed and report.when in ("setup", "call"):
        for server in item.stash.get(_STARTED, ()):
            report.sections.append((f"Captured reqresp {report.when}", server.report()))
    return report


def _verify(servers: "list[Server]") -> None:
    """
    Verify all *servers*.

    :raises AssertionError: one has problems; of several, the message has the problems of all.
    """
    errors = []
    for server in servers:
        try:
            server.verify()
        except AssertionError as error:
            errors.append(error)
    if len(errors) > 1:
        raise AssertionError("\n".join(map(str, errors))) from errors[0].__cause__
    if errors:
        raise errors[0]
    for server in servers:
        server.keep_recording()
