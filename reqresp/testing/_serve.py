"""
serve: a test server for the duration of a block, verified at its end.

Must not know how the server runs.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Unpack

from reqresp.expectations.futures import running_loop
from reqresp.testing._arguments import ServerArguments
from reqresp.testing._threaded import Server

if TYPE_CHECKING:
    from reqresp.testing._certificates import TLS

# As in _base.
__tracebackhide__ = True


def serve(
    *,
    host: str = "127.0.0.1",
    tls: "TLS" = False,
    start_tls: "TLS" = False,
    **arguments: Unpack[ServerArguments],
) -> "Serving":
    """
    Return a context manager that starts a `Server` with these arguments.

    It verifies and ends the server at the end of the block.  ``async with`` does so without
    blocking the event loop of asyncio.

    :raises AssertionError: the block raised nothing, and something was not as expected; see
        `Server.verify`.  Any other exception of the block gets the server's report as a note.
    """
    return Serving(host, tls, start_tls, arguments)


class Serving:
    """What `serve` returns."""

    def __init__(self, host: str, tls: "TLS", start_tls: "TLS", arguments: ServerArguments) -> None:
        self._host = host
        self._tls, self._start_tls = tls, start_tls
        self._arguments = arguments

    def __enter__(self) -> Server:
        self._server = Server(
            host=self._host, tls=self._tls, start_tls=self._start_tls, **self._arguments
        )
        return self._server

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(error)

    async def __aenter__(self) -> Server:
        if running_loop() is None:
            raise RuntimeError(
                "async with needs a running event loop of asyncio; elsewhere use with"
            )
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import asyncio

        await asyncio.to_thread(self._end, error)

    def _end(self, error: BaseException | None) -> None:
        """
        Verify the server after a block that raised no *error*, and end it.

        :raises AssertionError: something was not as expected.
        """
        try:
            if error is None:
                self._server.verify()
                self._server.keep_recording()
            else:
                self._add_report(error)
        except Exception as failure:
            self._add_report(failure)
            raise
        finally:
            self._server.end()

    def _add_report(self, error: BaseException) -> None:
        """Add the server's report to *error*, as the fixture shows it below the error of a test."""
        if isinstance(error, Exception) and (report := self._server.report()) not in str(error):
            error.add_note(report)
