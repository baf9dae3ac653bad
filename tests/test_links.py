"""The links of documents, and that broken ones are found."""

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from tests.links import main
from tests.support.live import temporary

OTHER = """
A heading here
==============

.. _target:

Text.
"""


class LinksTests(SynchronousTestCase):
    """Links to files of the project."""

    def test_of_the_project(self) -> None:
        """Each leads to a file, and to a place in it."""
        said = io.StringIO()
        with redirect_stdout(said):
            status = main()
        self.assertEqual((said.getvalue(), status), ("", 0))

    def check(self, text: str) -> tuple[str, int]:
        """Return what is said of a document with *text*, and the status."""
        root = temporary(self).resolve()
        (root / "docs").mkdir()
        (root / "docs" / "other.rst").write_text(OTHER)
        (root / "it.rst").write_text(text)
        said = io.StringIO()
        with redirect_stdout(said):
            status = main(root)
        return said.getvalue().replace(f"{root}/", ""), status

    def test_good(self) -> None:
        """Files, headings, targets, and other sites, which are not asked."""
        for place in ("", "#a-heading-here", "#target"):
            self.assertEqual(self.check(f"`it <docs/other.rst{place}>`_"), ("", 0))
        self.assertEqual(self.check("http://192.0.2.1/none"), ("", 0))

    def test_broken(self) -> None:
        """A missing file, heading or image is one line each."""
        self.assertEqual(
            self.check("`a <other.rst>`_ `b <docs/other.rst#none>`_\n\n.. image:: none.png\n"),
            (
                "it.rst: other.rst: no such file\n"
                "it.rst: docs/other.rst#none: no such heading or target\n"
                "it.rst: none.png: no such file\n",
                1,
            ),
        )
