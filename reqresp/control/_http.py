"""
HTTP: one request to a control server, as JSON.

Uses the standard library alone.  Must not know what is asked for.
"""

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

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


@frozen
class ControlServer:
    """
    A control server.

    :param url: such as ``http://127.0.0.1:8474``.
    :param token: what it demands; None: nothing.
    """

    url: str
    token: str | None = None

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: the URL is not one of HTTP."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: expected http://HOST:PORT, found {self.url!r}")

    def ask(self, method: str, *path: str | int, body: object = None, seconds: float = 0.0) -> Any:
        """
        Return the JSON of the response; None: it has no content.

        :param path: its segments.
        :param seconds: how long the server is asked to wait.
        :raises ControlError: the server does not respond, or responds with an error.
        """
        parts = urlsplit(self.url)
        make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = make(parts.hostname or "", parts.port, timeout=seconds + REQUEST_TIMEOUT)
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        data = None
        if method != "GET":
            headers["Content-Type"] = "application/json"
            data = json.dumps({} if body is None else body)
        target = parts.path.rstrip("/") + "".join(f"/{quote(str(it), safe='')}" for it in path)
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise ControlError(f"{self.url} does not answer: {error}") from error
        finally:
            connection.close()
        return self._read(status, content)

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
