"""Tutorials and guides with commands: each is followed from an empty directory to its end."""

import re
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.support import live
from tests.support.documents import ROOT
from tests.support.walkthrough import Walkthrough

DOCS = ROOT / "docs"


@pytest.mark.timeout(300)
class PageTests(SynchronousTestCase):
    """What a page says happens."""

    def follow(self, name: str) -> int:
        """Follow the page; return how many commands it has."""
        path = DOCS / f"{name}.rst"
        return Walkthrough(self, path, live.temporary(self)).follow()

    def test_the_first_server(self) -> None:
        """The server replies, closes and frames as shown, and logs it."""
        self.assertEqual(self.follow("tutorial/first-server"), 5)

    def test_the_mail_server(self) -> None:
        """Python's client sends a mail, and one address is refused."""
        self.assertEqual(self.follow("tutorial/mail-server"), 7)

    def test_the_first_test(self) -> None:
        """The tests pass and fail, with the messages that are shown."""
        self.assertEqual(self.follow("tutorial/first-test"), 4)

    def test_the_recording(self) -> None:
        """A real Redis is recorded, shown, replayed, and made a script."""
        self.assertEqual(self.follow("tutorial/record-redis"), 10)

    def test_the_broken_connection(self) -> None:
        """Replies are late, incomplete or missing, as the file says."""
        self.assertEqual(self.follow("tutorial/break-a-connection"), 7)

    def test_the_readme(self) -> None:
        """The README's test passes, and its script answers as shown."""
        self.assertEqual(self.follow("../README"), 4)

    def test_debugging(self) -> None:
        """What ``explain`` and the log say of a rule that does not match."""
        self.assertEqual(self.follow("howto/debug-a-rule"), 5)

    def test_journals(self) -> None:
        """The answers of jq."""
        self.assertEqual(self.follow("howto/journals"), 7)

    def test_starttls(self) -> None:
        """Python's client encrypts the connection, and trusts the certificate."""
        self.assertEqual(self.follow("howto/starttls"), 3)

    def test_mountebank(self) -> None:
        """The script answers as the imposter does."""
        self.assertEqual(self.follow("migrating/mountebank"), 2)

    def test_rony_net(self) -> None:
        """The script answers as the mock server does."""
        self.assertEqual(self.follow("migrating/rony-net"), 4)

    def test_ncat(self) -> None:
        """The server answers each request."""
        self.assertEqual(self.follow("migrating/ncat-and-socat"), 2)

    def test_all_are_followed(self) -> None:
        """Each page of a part of the site that has commands is followed by a test here."""
        pages = {
            str(path.relative_to(DOCS).with_suffix(""))
            for path in DOCS.glob("*/*.rst")
            if ".. code-block:: console" in path.read_text(encoding="utf-8")
        }
        source = Path(__file__).read_text(encoding="utf-8")
        self.assertEqual(
            pages | {"../README"}, {*re.findall(r'self\.follow\("([\w/.-]+)"\)', source)}
        )


class WalkthroughTests(SynchronousTestCase):
    """What follows a page notices where the page is wrong."""

    def follow(self, page: str) -> None:
        """Follow a *page*."""
        directory = live.temporary(self)
        path = directory / "page.rst"
        path.write_text(page)
        Walkthrough(self, path, directory).follow()

    def test_wrong_output(self) -> None:
        """A command prints something else, more, or less."""
        page = ".. code-block:: console\n\n   $ printf 'a\\nb\\n'\n   {}\n"
        self.follow(page.format("a\n   b"))
        self.follow(page.format("..."))
        for printed in ("a", "b", "a\n   b\n   c", "a\n   c"):
            with self.assertRaises(self.failureException):
                self.follow(page.format(printed))
