"""
The links of documents to files of the project: each file exists, and has what is linked to.

``python -m tests.links`` prints the broken ones.  It needs no network: addresses of other sites are
not asked.
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docutils import nodes  # type: ignore[import-untyped]
from docutils.core import publish_doctree  # type: ignore[import-untyped]

from tests.support.documents import ROOT


@cache
def parsed(path: Path) -> nodes.document:
    """Return the document at *path*."""
    settings = {"report_level": 5, "halt_level": 5, "file_insertion_enabled": False}
    text = path.read_text(encoding="utf-8")
    return publish_doctree(text, source_path=str(path), settings_overrides=settings)


def links(document: nodes.document) -> Iterator[str]:
    """Yield where the references and images of *document* lead."""
    for node in document.findall():
        if isinstance(node, nodes.reference) and "refuri" in node:
            yield node["refuri"]
        elif isinstance(node, nodes.image):
            yield node["uri"]


def broken(path: Path) -> list[str]:
    """Return a line for each link of the document at *path* that leads nowhere."""
    problems: list[str] = []
    for link in dict.fromkeys(links(parsed(path))):
        address = urlsplit(link)
        if address.scheme or address.netloc:
            continue
        target = path.parent / unquote(address.path) if address.path else path
        if not target.exists():
            problems.append(f"{path}: {link}: no such file")
        elif address.fragment and not has_anchor(target, address.fragment):
            problems.append(f"{path}: {link}: no such heading or target")
    return problems


def has_anchor(path: Path, name: str) -> bool:
    """Return whether the document at *path* has a place of this name."""
    return path.suffix == ".rst" and name in parsed(path.resolve()).ids


def main(root: Path = ROOT) -> int:
    """Print the broken links of all documents under *root*; return the exit status."""
    documents = sorted([*root.glob("*.rst"), *root.glob("docs/**/*.rst")])
    problems = [problem for path in documents for problem in broken(path.resolve())]
    for problem in problems:
        print(problem)  # noqa: T201 (its job)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
