"""
Extension of Sphinx: links between documents, and the names of the Python API.

A link to a document is a path, so that a forge follows it: the site checks that the page and the
section exist, and links to them.
"""

import re
from pathlib import Path
from shutil import copyfile
from typing import Any, cast

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from docs._site.pages import DOCS, ROOT, for_site, page_of
from docs._site.public_names import directives, exists

_LOG = logging.getLogger(__name__)
_DOCUMENT = re.compile(r"(?![a-z]+:)([^#]+\.rst)(?:#(.+))?")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to the events of Sphinx."""
    app.add_directive("public-names", PublicNames)
    app.connect("source-read", _read)
    app.connect("autodoc-process-signature", _show_factories)
    app.connect("doctree-resolved", _link)
    app.connect("missing-reference", _find)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class PublicNames(SphinxDirective):
    """Show the public names of a package; of those, the ones that a part of it defines."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what autodoc makes of the names."""
        lines = StringList([*directives(*self.arguments)], source=self.arguments[0])
        section = nodes.section()
        self.state.nested_parse(lines, 0, section)
        return section.children


def _read(_: Sphinx, name: str, source: list[str]) -> None:
    source[0] = for_site(name, source[0])


def _show_factories(*event: Any) -> tuple[str | None, str | None]:
    """Show a default that attrs makes for each instance as dots, not as ``NOTHING``."""
    *_, signature, returned = event
    return signature and signature.replace(" = NOTHING", " = ..."), returned


def _link(app: Sphinx, tree: nodes.document, name: str) -> None:
    """Make each link to a document a link to its page, and each to another file a download."""
    for node in [*tree.findall(nodes.reference)]:
        link = node.get("refuri", "")
        if match := _DOCUMENT.fullmatch(link):
            _link_page(app, node, name, match[1], match[2])
        elif link.startswith("../"):
            _link_file(app, node, name, (DOCS / name).parent / link)


def _link_page(app: Sphinx, node: nodes.Element, name: str, path: str, section: str) -> None:
    page = page_of(name, path)
    if page not in app.env.found_docs:
        _LOG.warning("no document for the link %s", path, location=node)
        return
    if section and section not in app.env.get_doctree(page).ids:
        _LOG.warning("no section %s for the link %s", section, path, location=node)
    anchor = f"#{section}" if section else ""
    node["refuri"] = app.builder.get_relative_uri(name, page) + anchor
    node["internal"] = True


def _link_file(app: Sphinx, node: nodes.Element, name: str, path: Path) -> None:
    """Copy a file into the site; what links to a directory is shown without a link."""
    path = path.resolve()
    if not path.exists():
        _LOG.warning("no file for the link %s", node["refuri"], location=node)
    elif path.is_dir():
        node.replace_self(node.children)
    else:
        copied = Path("_files", path.relative_to(ROOT))
        (app.outdir / copied).parent.mkdir(parents=True, exist_ok=True)
        copyfile(path, app.outdir / copied)
        node["refuri"] = "../" * name.count("/") + copied.as_posix()


def _find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element
) -> nodes.Element | None:
    """Return the node of a Python name that Sphinx does not find; None: it is not one."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    objects = cast("PythonDomain", env.get_domain("py")).objects
    found = [it for name, it in objects.items() if f".{name}".endswith(f".{target.lstrip('.')}")]
    if len(found) == 1:
        [it] = found
        page = node.get("refdoc", env.docname)
        return make_refnode(app.builder, page, it.docname, it.node_id, shown, target)
    # What is internal, or documented elsewhere, is shown without a link; a name of nothing is not.
    place = (node.get("py:module") or "", node.get("py:class") or "")
    return shown if exists(target, *place) else None
