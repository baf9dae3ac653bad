"""The files of the page, and the headers that they are sent with."""

import json
import re
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

import reqresp.control.page
from reqresp.control._guard import Guard
from reqresp.control._hosts import AllowedHosts
from reqresp.control._limited_site import LimitedSite
from reqresp.control.dispatch import Dispatcher
from reqresp.control.page import page_resources
from tests.support.visited import parsed
from tests.support.wire import FakeReactor, Wire

FILES = Path(reqresp.control.page.__file__).parent / "page"


class PageTests(SynchronousTestCase):
    """What a browser receives."""

    def setUp(self) -> None:
        children = page_resources()
        dispatcher = Dispatcher([], Guard(AllowedHosts()), 0, children, children)
        self.reactor = FakeReactor()
        self.site = LimitedSite(dispatcher, self.reactor)

    def get(self, path: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        """Request *path*; return the status, the headers and the text."""
        wire = Wire(cast(Any, self.site), self.reactor)
        lines = [f"{method} {path} HTTP/1.1", "Host: it", "Connection: close", *headers, "", ""]
        wire.send("\r\n".join(lines).encode())
        return parsed(wire.received())

    def test_the_page(self) -> None:
        """``/`` is the page, as HTML."""
        status, headers, text = self.get("/")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(int(headers["Content-Length"]), len(text.encode()))
        self.assertEqual(text, (FILES / "index.html").read_text(encoding="utf-8"))

    def test_all_that_is_named_exists(self) -> None:
        """Each file that the page or a module names is sent, with the type that it is."""
        types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
        named = {*re.findall(r'"(/page/[^"]+)"', self.get("/")[2])}
        for path in FILES.glob("*.js"):
            text = path.read_text(encoding="utf-8")
            named |= {f"/page/{name}" for name in re.findall(r' from "\./([^"]+)"', text)}
        self.assertGreater(len(named), 10)
        for path in named:
            status, headers, _ = self.get(path)
            self.assertEqual(status, 200, path)
            self.assertTrue(
                headers["Content-Type"].startswith(types[path.rpartition(".")[2]]), path
            )

    def test_no_code_but_its_own(self) -> None:
        """The policy allows files of the page only, none from elsewhere and none in the markup."""
        _, headers, text = self.get("/")
        policy = headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'; script-src 'self';", policy)
        self.assertIn("frame-ancestors 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(headers["Referrer-Policy"], "no-referrer")
        self.assertNotRegex(
            text, r"<style|<script(?! type=\"module\" src=)| style=| on\w+=|https?:"
        )

    def test_nothing_is_parsed_as_markup(self) -> None:
        """No module has a function that parses text as markup or as code."""
        for path in FILES.glob("*.js"):
            text = path.read_text(encoding="utf-8")
            self.assertNotRegex(
                text,
                r"(inner|outer|Adjacent)HTML|document\.write|DOMParser|srcdoc|eval\(|new Function",
                path.name,
            )

    def test_a_copy_is_used_until_the_file_changes(self) -> None:
        """A browser asks each time, and gets 304 without a body while its copy is the same."""
        _, headers, text = self.get("/page/style.css")
        self.assertEqual(headers["Cache-Control"], "no-cache")
        self.assertTrue(text)
        status, _, text = self.get("/page/style.css", f"If-None-Match: {headers['ETag']}")
        self.assertEqual((status, text), (304, ""))
        status, _, text = self.get("/page/style.css", 'If-None-Match: "another"')
        self.assertEqual(status, 200)

    def test_head(self) -> None:
        """HEAD has the headers of GET, and no text."""
        status, headers, text = self.get("/", method="HEAD")
        self.assertEqual((status, text), (200, ""))
        self.assertGreater(int(headers["Content-Length"]), 1000)

    def test_nothing_else(self) -> None:
        """Any other path below ``/page/`` is 404, in JSON."""
        for path in (
            "/page/",
            "/page/x.js",
            "/page/../page.py",
            "/page/%2e%2e/page.py",
            "/page/a/main.js",
        ):
            status, headers, text = self.get(path)
            self.assertEqual(status, 404, path)
            self.assertEqual(headers["Content-Type"], "application/json")
            self.assertEqual(json.loads(text)["error"], f"unknown path {path!r}")
