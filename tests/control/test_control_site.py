"""The control site: what belongs to it besides the API."""

from reqresp.control.control_site import MAX_BODY
from tests.support.controlled import Controlled


class SiteTests(Controlled):
    """The page, the health of the process, and what applies to every path."""

    def test_the_page(self) -> None:
        """The page is at ``/``, and its files are below ``/page/``."""
        found = self.ask("GET", "/")
        self.assertEqual(
            (found.status, found.headers["Content-Type"]), (200, "text/html; charset=utf-8")
        )
        self.assertIn("default-src 'none'", found.headers["Content-Security-Policy"])
        self.assertEqual(self.ask("GET", "/page/no.js").status, 404)
        self.assertEqual(self.ask("POST", "/").headers["Allow"], "GET, HEAD")

    def test_health(self) -> None:
        """The pages for programs that watch the process are there, with any query."""
        found = self.ask("GET", "/healthz?probe=1")
        self.assertEqual((found.status, found.data), (200, b"ok\n"))
        self.assertEqual(found.headers["Content-Type"], "text/plain")
        self.assertEqual(self.ask("GET", "/healthz/x").status, 404)

    def test_a_body_that_is_too_large(self) -> None:
        """A body of more than a mebibyte is 413, on any path."""
        for path in ("/api/services", "/healthz", "/no"):
            found = self.ask("POST", path, Content_Length=str(MAX_BODY + 1))
            self.assertEqual(found.status, 413, path)
