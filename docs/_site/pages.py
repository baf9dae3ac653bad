"""
Pages: plain reStructuredText, which a forge shows, and what the site makes of it.

Knows text only.  Must not know Sphinx, so that tests need none.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

#: The directory of the project, and that of its pages.
ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
#: The pages of the site that include a document from outside ``docs/``, by its name there.
OUTSIDE = {
    "CHANGELOG.rst": "changelog",
    "CONTRIBUTING.rst": "contributing",
    "SECURITY.rst": "security",
}
# Furo has its own table of contents.
_CONTENTS = re.compile(r"^\.\. contents::.*\n(?: +.*\n)*", re.MULTILINE)
# A comment for all but the site.
_SITE_ONLY = re.compile(r"^( *)\.\. site: ", re.MULTILINE)
# A forge inserts no file: there, a link in its place leads to it.
_IN_PLACE = re.compile(r"^`[^`<]+ <([^>`]+)>`_\n\n(?=\.\. include:: \1$)", re.MULTILINE)
# The pages that order others; a forge shows a README below the list of files.
_INDEXES = ("index", "README")
_CHILD = re.compile(r"^- `[^`<]+\s<([^>`#]+\.rst)>`_", re.MULTILINE)


def for_site(name: str, text: str) -> str:
    """
    Return the source of the page *name* for Sphinx.

    ``.. site: X`` becomes ``.. X``.  A link just before the file that it leads to is inserted is
    left out.  The pages of the site have the order of the items that begin with a link, in the
    pages that are called ``index``.
    """
    text = _SITE_ONLY.sub(r"\1.. ", _IN_PLACE.sub("", _CONTENTS.sub("", text)))
    if PurePosixPath(name).name not in _INDEXES:
        return text
    links = [page_of(name, link) for link in _CHILD.findall(text)]
    entries = "".join(f"   /{page}\n" for page in dict.fromkeys(links))
    return f"{text}\n.. toctree::\n   :hidden:\n\n{entries}"


def page_of(name: str, link: str) -> str:
    """Return the page of the site that *link*, a path from the page *name*, leads to."""
    path = normpath(PurePosixPath("docs", name).parent / link)
    included = OUTSIDE_PAGES.get(name)
    if included is not None:  # its links begin at the root of the project
        path = normpath(link)
    return OUTSIDE.get(path) or str(PurePosixPath(path).with_suffix("")).removeprefix("docs/")


OUTSIDE_PAGES = {page: document for document, page in OUTSIDE.items()}
