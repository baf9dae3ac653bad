"""
HTTP: one request to a control server, as JSON.

Uses the standard library alone.  Must not know what is asked for.
"""

import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen

#: Seconds that a request may take, besides those that the server is asked to wait.
REQUEST_TIMEOUT = 10.0


class ControlError(Exception):
    """
    A control server cannot be reached, or refuses a request.

    :param status: of HTTP; None: there was no response.
    :param problems: what is wrong with the request: path and problem of each.
    """

    def __init__(
        self, text: str, status: int | None = None, problems: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(text)
        self.status = status
        self.problems = problems


class _UnixConnection(HTTPConnection):
    """A connection to the UNIX socket at *path*."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@frozen
class RequestSender:
    """
    Sends requests to a control server.

    :param url: such as ``http://127.0.0.1:8474``, or ``unix:/run/reqresp.sock``.
    :param token: what it demands; None: nothing.
    """

    url: str
    token: str | None = None

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: the URL is not one of HTTP, nor of a UNIX socket."""
        parts = urlsplit(self.url)
        is_http = parts.scheme in ("http", "https") and parts.hostname
        if not is_http and not (parts.scheme == "unix" and parts.path and not parts.netloc):
            raise ValueError(f"url: expected http://HOST:PORT or unix:PATH, found {self.url!r}")

    def ask(
        self,
        method: str,
        *path: str | int,
        body: object = None,
        seconds: float = 0.0,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """
        Return the JSON of the response; None: it has no content.

        :param path: its segments.
        :param seconds: how long the server is asked to wait.
        :param query: its parameters; True is ``true``.
        :raises ControlError: the server does not respond, or responds with an error.
        """
        connection = self._connection(seconds + REQUEST_TIMEOUT)
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        data = None
        if method != "GET":
            headers["Content-Type"] = "application/json"
            data = json.dumps({} if body is None else body)
        target = self._root + "".join(f"/{quote(str(it), safe='')}" for it in path)
        if query:
            target += f"?{urlencode({name: _as_text(it) for name, it in query.items()})}"
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise ControlError(f"{self.url} does not answer: {error}") from error
        finally:
            connection.close()
        return self._read(status, content)

    @property
    def _root(self) -> str:
        """The path of the server's root."""
        parts = urlsplit(self.url)
        return "" if parts.scheme == "unix" else parts.path.rstrip("/")

    def _connection(self, timeout: float) -> HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout)
        make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return make(parts.hostname or "", parts.port, timeout=timeout)

    def _read(self, status: int, content: bytes) -> Any:
        if not content and status < 400:
            return None
        try:
            found = json.loads(content)
            if status < 400:
                return found
            problems = tuple((it["path"], it["problem"]) for it in found["problems"])
            text = str(found["error"])
        except (ValueError, KeyError, TypeError) as error:
            raise ControlError(
                f"{self.url} answers with status {status} and no JSON: is it a control server?",
                status,
            ) from error
        raise ControlError(f"{self.url}: {text}", status, problems)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    is_exponent = isinstance(value, float) and "e" in str(value)
    return f"{value:.9f}" if is_exponent else str(value)
