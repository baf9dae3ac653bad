"""The documentation site: what its pages are made of, without Sphinx."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docs._site import reference, terminal
from docs._site.check_links import broken_links
from docs._site.pages import DOCS, OUTSIDE, ROOT, for_site, page_of
from docs._site.public_names import OTHERS, SECTIONS, exists, public_names
from tests.support import live

PAGES = {
    str(path.relative_to(DOCS).with_suffix("")): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.rst"))
}


class ReferenceTests(SynchronousTestCase):
    """Pages that are made of declarations."""

    def test_pages_are_as_the_programs_are(self) -> None:
        """Each is what ``python -m docs._site.reference`` writes."""
        for name, make in reference.PAGES.items():
            kept = reference.path(name).read_text(encoding="utf-8")
            self.assertEqual(kept, make(), f"run python -m docs._site.reference for {name}")

    def test_the_picture_is_the_message(self) -> None:
        """The picture of a failing test has the message in the guide, which a test compares."""
        kept = terminal.PICTURE.read_text(encoding="utf-8")
        self.assertEqual(kept, terminal.failing_test(), "run python -m docs._site.terminal")
        self.assertIn("1 unexpected request, 1 unmet expectation", kept)

    def test_every_public_name_is_shown(self) -> None:
        """The sections of the Python API have each public name of each package once."""
        for package in {package for package, _ in SECTIONS.values()}:
            shown = [
                path
                for asked, parts in SECTIONS.values()
                for part in parts
                if asked == package
                for path in public_names(package, part)
            ]
            expected = {*public_names(package)}
            if package == "reqresp.testing":  # it passes on a step of reqresp
                expected -= {"reqresp.steps.Wait"}
            self.assertEqual(sorted(shown), sorted(expected))

    def test_every_name_of_an_example_is_shown(self) -> None:
        """What examples import is a public name, or one of those of other modules."""
        shown = {*OTHERS}
        for package in {package for package, _ in SECTIONS.values()}:
            shown |= {f"{package}.{path.rpartition('.')[2]}" for path in public_names(package)}
        for name, text in PAGES.items():
            found = re.findall(r"^ +from (reqresp[\w.]*) import (\w.*)$", text, re.MULTILINE)
            imported = {f"{module}.{it}" for module, names in found for it in names.split(", ")}
            self.assertEqual(imported - shown, set(), name)
            self.assertNotRegex(text, r"(?m)^ +(import reqresp|from reqresp.* import \()", name)

    def test_names_that_exist(self) -> None:
        """A reference to a name that is nowhere is noticed; others need not be on the site."""
        for name in (
            *("int", "collections.abc.Callable", "twisted.internet.defer.Deferred", "Deferred"),
            *("reqresp.testing.Server.accepting", "Service.enable", ".fault", "WRITE_INTERVAL"),
        ):
            self.assertTrue(exists(name), name)
        for name in ("reqresp.testing.Server.acepting", "Servise.enable", "twisted.no", "Reqest"):
            self.assertFalse(exists(name), name)

    def test_names_that_exist_elsewhere(self) -> None:
        """A method of another class, and a class of another module, are noticed."""
        for name in ("Script.enable", "Service.buildProtocol", "steps.on"):
            self.assertFalse(exists(name), name)

    def test_names_in_a_text(self) -> None:
        """A name alone has to be one that the module or the class of the text sees."""
        place = "reqresp.server.factory", "ReqRespFactory"
        for name in ("broadcast", "buildProtocol", "Script", "int", "json"):
            self.assertTrue(exists(name, *place), name)
        for name in ("acceptNothing", "next_request", "WRITE_INTERVAL"):
            self.assertFalse(exists(name, *place), name)


class PageTests(SynchronousTestCase):
    """What the site makes of pages that a forge shows as well."""

    def test_what_only_the_site_has(self) -> None:
        """A comment that begins with ``site:`` is a directive, and the local contents are gone."""
        text = ".. contents::\n   :local:\n\n.. site: image:: it.png\n   :alt: it\n\nText.\n"
        self.assertEqual(for_site("guide", text), "\n.. image:: it.png\n   :alt: it\n\nText.\n")

    def test_what_only_a_forge_has(self) -> None:
        """A link just before its target is inserted is left out; others stay."""
        other = "`A <a.rst>`_\n\n.. include:: b.rst\n"
        text = f"Text.\n\n`The table <../it.rst>`_\n\n.. include:: ../it.rst\n\n{other}"
        self.assertEqual(for_site("guide", text), f"Text.\n\n.. include:: ../it.rst\n\n{other}")

    def test_the_order_of_pages(self) -> None:
        """An index has those pages that its items begin with, in that order, once."""
        text = "- `B <../b.rst>`_: see `C <c.rst>`_\n- `A <a.rst>`_\n- `B <../b.rst>`_\n"
        self.assertEqual(
            for_site("howto/index", text).splitlines()[-5:],
            [".. toctree::", "   :hidden:", "", "   /b", "   /howto/a"],
        )
        self.assertEqual(for_site("howto/tls", text), text)

    def test_links_lead_to_pages(self) -> None:
        """A path from a page, or from the root of the project, is the name of a page."""
        self.assertEqual(page_of("guide", "script.rst"), "script")
        self.assertEqual(page_of("howto/tls", "../script.rst"), "script")
        self.assertEqual(page_of("reference/index", "../../CHANGELOG.rst"), "changelog")
        self.assertEqual(page_of("security", "docs/operations.rst"), "operations")

    def test_each_link_leads_to_a_document(self) -> None:
        """No link between documents leads nowhere, neither on a forge nor on the site."""
        pages = PAGES | {
            page: (ROOT / document).read_text(encoding="utf-8")
            for document, page in OUTSIDE.items()
        }
        for name, text in pages.items():
            for link in re.findall(r"<([^>`:#]+\.rst)(?:#[^>`]*)?>`_", text):
                self.assertIn(page_of(name, link), pages, f"{name}: {link}")


class CheckLinksTests(SynchronousTestCase):
    """The check of a built site."""

    def broken(self, **pages: str) -> list[str]:
        """Return what is reported of a site with these *pages*."""
        site = Path(live.temporary(self))
        for name, text in pages.items():
            (site / f"{name}.html").write_text(text)
        return [*broken_links(site)]

    def test_good_links(self) -> None:
        """Pages, anchors, and other sites, which are not asked."""
        links = '<a href="b.html#x"><a href="#y"><b id="y"><a href="https://example.com/">'
        self.assertEqual(self.broken(a=links, b='<h1 id="x">'), [])

    def test_broken_links(self) -> None:
        """A page and an anchor that are missing are reported with the page that links there."""
        self.assertEqual(
            self.broken(a='<a href="c.html"><a href="b.html#z"><img src="i.png">', b=""),
            [
                "a.html: no file for c.html",
                "a.html: no anchor for b.html#z",
                "a.html: no file for i.png",
            ],
        )
