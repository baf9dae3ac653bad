"""
Check links: those within the built site, pages and anchors.

``python -m docs._site.check_links build/site`` prints each that leads nowhere, and fails if there
is one.  Links to other sites are not followed.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Pages that themes make of no source; Sphinx fills the search page in the browser.
_NOT_CHECKED = {"search.html", "genindex.html"}


class _Page(HTMLParser):
    """Collects the links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            elif value and name == "id":
                self.anchors.add(value)


def broken_links(site: Path) -> Iterator[str]:
    """Yield a line for each link within *site* that leads nowhere."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in sorted(pages.items()):
        if path.name in _NOT_CHECKED:
            continue
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.exists():
                yield f"{path.relative_to(site)}: no file for {link}"
            elif parts.fragment and anchors is not None and unquote(parts.fragment) not in anchors:
                yield f"{path.relative_to(site)}: no anchor for {link}"


def main() -> int:
    """Check the site that the first argument names; return the exit status."""
    problems = [*broken_links(Path(sys.argv[1]).resolve())]
    print("\n".join(problems or ["all links within the site lead somewhere"]))  # noqa: T201
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
