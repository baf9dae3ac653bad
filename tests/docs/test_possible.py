"""docs/possible.rst: what it names exists."""

import re
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import parse_framing
from tests.support.documents import ROOT
from tests.support.names import CLASSES, keys

TEXT = (ROOT / "docs" / "possible.rst").read_text(encoding="utf-8")
LITERALS = re.findall(r"``(.+?)``", TEXT)

#: Keys of a fault, and the name of a variable.
OTHERS = {"after", "after_bytes", "kind", "stream", "since", "user"}


def methods() -> Iterator[str]:
    """Yield the names of methods that the page calls."""
    for literal in LITERALS:
        yield from re.findall(r"(\w+)\(", literal)


class PossibleTests(SynchronousTestCase):
    """Names in the tables."""

    def test_methods(self) -> None:
        """Each is a method of what a test has."""
        found = {*methods()}
        self.assertIn("next_request", found)
        missing = {it for it in found if not any(hasattr(kind, it) for kind in CLASSES)}
        self.assertEqual(missing, set())

    def test_keys(self) -> None:
        """Each is a key of a script, or of a fault."""
        named = {it for it in LITERALS if re.fullmatch("[a-z_]+", it)}
        named |= {it for text in LITERALS for it in re.findall(r"(?:^|[{ ])([a-z_]+) = ", text)}
        self.assertIn("every", named)
        self.assertEqual(named - keys() - OTHERS, set())

    def test_framings(self) -> None:
        """Each string is a framing."""
        requests = TEXT.partition("\nReplies\n")[0]
        found = re.findall(r"""``(?:framing = )?["']([^"']+)["']``""", requests)
        self.assertGreater(len(found), 10)
        for specification in found:
            parse_framing(specification)
