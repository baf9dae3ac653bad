"""Errors of services: what a person reads, and what a program does."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.services.errors import ListenError


class ListenErrorTests(SynchronousTestCase):
    """A place where a service cannot listen."""

    def test_its_text_and_its_parts(self) -> None:
        """The text is one line; its parts are fields."""
        error = ListenError("127.0.0.1:80", "Permission denied")
        self.assertEqual(str(error), "cannot listen on 127.0.0.1:80: Permission denied")
        self.assertEqual((error.name, error.reason), ("127.0.0.1:80", "Permission denied"))
