"""Asked: a test case with a site in memory whose API is asked over HTTP."""

import json
from collections.abc import Mapping
from typing import Any, cast

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.support.wire import FakeReactor, Wire


@frozen
class Answer:
    """A response of a site."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        """The value of its JSON."""
        return json.loads(self.data)

    @property
    def error(self) -> str:
        """The line that says what is wrong."""
        return str(self.json["error"])


def parse_answer(data: bytes) -> Answer:
    """Return the response in *data*, whose body may be in chunks."""
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    if headers.get("Transfer-Encoding") == "chunked":
        body = unchunked(body)
    return Answer(int(status.split()[1]), headers, body)


def unchunked(data: bytes) -> bytes:
    """Return the whole chunks at the start of *data*."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return body


class Asked(SynchronousTestCase):
    """A site in memory, which `make_site` returns, and its clients."""

    def make_site(self) -> Any:
        """Return the site."""
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        self.site = self.make_site()
        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)

    def visit(self, host: str = "127.0.0.1") -> Wire:
        """Return a new client of the site, with this address."""
        return Wire(cast(Any, self.site), self.reactor, host)

    def begin(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Wire:
        """Send a request; return its client."""
        lines = {"Host": "127.0.0.1:8474", **(headers or {})}
        if body is not None:
            lines = {"Content-Length": str(len(body)), **lines}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        wire = self.visit()
        wire.send(f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + (body or b""))
        return wire

    def ask(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """
        Send a request; return the response.

        :param value: sent as JSON; None: no body is sent, unless there is *body*.
        :param headers: in addition; a ``_`` in a name stands for ``-``.
        """
        lines = {name.replace("_", "-"): text for name, text in headers.items()}
        if value is not None:
            body = json.dumps(value).encode()
            lines = {"Content-Type": "application/json", **lines}
        wire = self.begin(method, path, body, lines)
        self.reactor.advance(0)
        self.assertTrue(wire.got_eof, (method, path))
        return parse_answer(wire.received())
