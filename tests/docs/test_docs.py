"""The documents: they are well formed, and mention every option and every module."""

import ast
import re
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import skipIf, skipUnless

from twisted.trial.unittest import SynchronousTestCase

import reqresp
from reqresp import Script
from reqresp.tap import Options
from tests.support.documents import ROOT, indented

try:
    docutils: Any = import_module("docutils.core")
except ImportError:
    docutils = None

README = ROOT / "README.rst"
CI = ROOT / ".ci" / "run"
ARCHITECTURE = ROOT / "docs" / "architecture.rst"
CHANGING = (ROOT / "docs" / "changing.rst").read_text(encoding="utf-8")
#: Every document, as its path within the project.
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.rst"), *ROOT.glob("docs/**/*.rst")])
}
#: The documents for users.
GUIDES = {name: text for name, text in DOCUMENTS.items() if name.startswith(("README", "docs"))}


def blocks(text: str, language: str) -> list[str]:
    """Return the code of each ``code-block`` of *text* in that *language*."""
    lines = text.splitlines()
    return [
        indented(lines[number:], deeper_than=len(directive[1]))
        for number, line in enumerate(lines, 1)
        if (directive := re.match(rf"( *(?:[-*] +)?)\.\. code-block:: {language} *$", line))
    ]


def read(name: str, text: str, *, can_insert: bool) -> tuple[Any, str]:
    """
    Return the document as docutils reads it, and its warnings.

    :param can_insert: whether other files and raw markup can be inserted.
    """
    said = StringIO()
    tree = docutils.publish_doctree(
        text,
        source_path=str(ROOT / name),
        settings_overrides={
            "report_level": 2,
            "halt_level": 5,
            "warning_stream": said,
            "file_insertion_enabled": can_insert,
            "raw_enabled": can_insert,
            # Highlighting needs Pygments, which these tests do not.
            "syntax_highlight": "none",
        },
    )
    return tree, said.getvalue()


def complaints(name: str, text: str) -> str:
    """Return the warnings of docutils about the document."""
    # PyPI shows the README, and inserts nothing.
    return read(name, text, can_insert=name != "README.rst")[1]


def shown(name: str, text: str) -> str:
    """Return the text of the document on a forge, which inserts nothing."""
    tree, _ = read(name, text, can_insert=False)
    for node in [*tree.findall(lambda it: it.tagname in ("comment", "system_message"))]:
        node.parent.remove(node)
    return str(tree.astext()).strip()


class CodeTests(SynchronousTestCase):
    """The examples in documents."""

    def test_python_examples_are_python(self) -> None:
        """Each Python example compiles."""
        for name, text in GUIDES.items():
            for block in blocks(text, "python"):
                try:
                    ast.parse(block)
                except SyntaxError as error:
                    self.fail(f"{name}: {error}, in:\n{block}")

    def test_the_readme_shows_python(self) -> None:
        """The README shows how to test a client, and names what is embedded."""
        code = "\n".join(blocks(DOCUMENTS["README.rst"], "python"))
        self.assertIn("reqresp_server", code)
        self.assertIn("ReqRespFactory", DOCUMENTS["README.rst"])

    @skipUnless(CI.is_file(), "an sdist has no .ci/run")
    def test_ci_finds_commands_in_the_readme(self) -> None:
        """Each heading that CI looks up in the README is there, with commands that run pytest."""
        headings = re.findall(r"\$\(block \"(.+?)\"\)", CI.read_text(encoding="utf-8"))
        self.assertNotEqual(headings, [])
        for heading in headings:
            _, _, section = DOCUMENTS["README.rst"].partition(f"\n{heading}\n===")
            commands = re.search(r"(?:^    .+\n)+", section, re.MULTILINE)
            self.assertRegex(commands[0] if commands else "", r"(?m)^    python -m pytest", heading)

    def test_the_readme_shows_a_script(self) -> None:
        """The script in the README loads without a warning."""
        [block] = blocks(DOCUMENTS["README.rst"], "toml")
        self.assertEqual(Script.parse(block).warnings, ())

    def test_blocks_are_found(self) -> None:
        """Each code block is found whole, without the text around it."""
        text = """
.. code-block:: python
   :caption: a.py

   if a:

       b()

Text.

- .. code-block:: python

     c()
  text

.. code-block:: sh

   d
"""
        self.assertEqual(blocks(text, "python"), ["if a:\n\n    b()", "c()"])


@skipIf(docutils is None, "docutils is not installed (it comes with the extra dev)")
class MarkupTests(SynchronousTestCase):
    """The markup of documents."""

    def test_documents_are_well_formed(self) -> None:
        """Docutils reads each document without a warning, and without Sphinx."""
        self.assertIn("README.rst", DOCUMENTS)
        for name, text in DOCUMENTS.items():
            self.assertEqual(complaints(name, text), "", name)

    def test_what_is_malformed_is_noticed(self) -> None:
        """Broken markup, directives of Sphinx, and what PyPI refuses in a README are reported."""
        for text in ("an *open end\n", ".. toctree::\n", ".. raw:: html\n\n   <p>\n"):
            self.assertNotEqual(complaints("README.rst", text), "", text)

    def test_no_document_is_empty(self) -> None:
        """Each says something on a forge, which inserts no file, also about what is missing."""
        self.assertEqual(shown("it.rst", ".. include:: README.rst\n"), "")
        for name, text in DOCUMENTS.items():
            self.assertNotEqual(shown(name, text), "", name)
            for path in re.findall(r"^\.\. include:: (.+)$", text, re.MULTILINE):
                self.assertIn(f" <{path}>`_\n\n.. include:: {path}\n", text, name)


class CompletenessTests(SynchronousTestCase):
    """Documents mention everything that users and contributors look for."""

    def test_every_option_is_documented(self) -> None:
        """Each option of twistd is in the README or a guide."""
        text = "\n".join(GUIDES.values())
        options = {name.rstrip("=") for name in Options().longOpt} - {"help"}
        missing = {name for name in options if not re.search(rf"--{name}(?![\w-])", text)}
        self.assertEqual(missing, set())

    @skipUnless(ARCHITECTURE.is_file(), "docs/architecture.rst is not written yet")
    def test_every_module_is_documented(self) -> None:
        """Each module is in docs/architecture.rst."""
        text = ARCHITECTURE.read_text(encoding="utf-8")
        modules = {path.stem for path in Path(reqresp.__file__).parent.rglob("*.py")} - {"__init__"}
        self.assertEqual({name for name in modules if f"``{name}``" not in text}, set())


class ChangingTests(SynchronousTestCase):
    """The page that says where to change what."""

    def test_every_path_exists(self) -> None:
        """Each file or directory that the page names is in the project."""
        paths = {*re.findall(r"``(reqresp/[\w/.]*)``", CHANGING)}
        self.assertGreater(len(paths), 10)
        self.assertEqual({path for path in paths if not (ROOT / path).exists()}, set())

    def test_every_name_is_in_its_module(self) -> None:
        """Each name that the page promises in a module is defined there, not only imported."""
        for name, path in re.findall(r"``(\w+)``\s+in\s+``(reqresp/[\w/]+\.py)``", CHANGING):
            self.assertIn(name, top_level_names(ROOT / path), path)

    def test_every_row_names_something(self) -> None:
        """Each kind of change leads to a name in a module."""
        rows = re.split(r"\n   \* - ", CHANGING)[2:]
        self.assertGreater(len(rows), 9)
        for row in rows:
            self.assertRegex(row, r"``\w+``\s+in\s+(the )?``", row)


def top_level_names(path: Path) -> set[str]:
    """Return the names of functions, classes and values that the module at *path* defines."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(name)):
                names.add(name)
            case ast.Assign(targets=[ast.Name(name)]):
                names.add(name)
    return names
