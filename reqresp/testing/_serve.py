"""
serve: a test server for the duration of a block, verified at its end.

Must not know how the server runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Unpack

from reqresp.testing._base import ServerArguments
from reqresp.testing._threaded import Server

if TYPE_CHECKING:
    from reqresp.testing._certificates import TLS


@contextmanager
def serve(
    *, host: str = "127.0.0.1", tls: "TLS" = False, **arguments: Unpack[ServerArguments]
) -> Iterator[Server]:
    """
    Start a `Server` with these arguments; verify and end it at the end of the block.

    :raises AssertionError: the block raised nothing, and something was not as expected; see
        `Server.verify`.  Any other exception of the block gets the server's report as a note.
    """
    server = Server(host=host, tls=tls, **arguments)
    try:
        yield server
        server.verify()
    except Exception as error:
        # The fixture shows the report below the error of a test.
        if (report := server.report()) not in str(error):
            error.add_note(report)
        raise
    finally:
        server.end()
