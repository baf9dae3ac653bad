"""The control site: what belongs to it besides the API."""

from prometheus_client import CollectorRegistry

from reqresp.control.control_site import MAX_BODY, PAGES
from reqresp.control.prometheus import Exposition
from reqresp.control.site import make_pages
from tests.support.controlled import Controlled
from tests.support.visited import Visited


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


class DocumentedPagesTests(Visited):
    """The pages that `make_pages` makes."""

    def test_they_are_documented(self) -> None:
        """Each has the statuses and the content types that the document says."""
        found: dict[str, dict[int, set[str]]] = {}
        for self.ready in (True, False):
            for path in make_pages(Exposition(CollectorRegistry(), self.reactor), lambda: True):
                for accept in ("text/plain", "application/openmetrics-text"):
                    status, headers, _ = self.get(path, "GET", f"Accept: {accept}")
                    kind = headers["Content-Type"].partition(";")[0]
                    found.setdefault(path, {}).setdefault(status, set()).add(kind)
        documented = {
            path: {status: {*types} for status, types in page.replies.items()}
            for path, page in PAGES.items()
        }
        self.assertEqual(found, documented)
