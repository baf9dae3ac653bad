"""ServiceApi: the API of one service, and what its errors say to a test."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.control._http import ControlError
from reqresp.control._service_api import ServiceApi


class Refusing:
    """Refuses all requests with *error*."""

    def __init__(self, error: ControlError) -> None:
        self._error = error

    def ask(self, *_arguments: Any, **_keywords: Any) -> Any:
        """Refuse a request."""
        raise self._error


class UnknownServiceTests(SynchronousTestCase):
    """The hint to name another service."""

    def said(self, text: str, status: int, *paths: str) -> str:
        """Return the error of a request that a server refuses with *text* and problems there."""
        server: Any = Refusing(ControlError(text, status, tuple((it, text) for it in paths)))
        error = self.assertRaises(ControlError, ServiceApi(server, "pop").ask, "GET")
        return str(error)

    def test_the_hint(self) -> None:
        """The status and the path of the problem say that the service is unknown, not the text."""
        self.assertEqual(self.said("gone", 404, "service"), "gone (pass service=NAME)")
        text = "no rule is named \"unknown service 'pop'\""
        self.assertEqual(self.said(text, 404), text)
        self.assertEqual(self.said(text, 422, "service"), text)
