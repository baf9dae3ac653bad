"""
Page: the files of the page that shows services in a browser.

Knows Twisted's resources.  Must not know services: the page asks the API as other clients do.  Its
headers let it load nothing from elsewhere, run only its own code, and stand in no frame of another
page, so bytes of a client that it shows can do nothing.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from attrs import frozen
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from reqresp.control.errors import unknown_path

_FILES = Path(__file__).parent / "page"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: What the page may load and do.  Browsers that know trusted types refuse to parse text as markup.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


@frozen
class _File:
    """A file of the page, as it is sent."""

    data: bytes
    content_type: str
    etag: bytes


def page_resources() -> Mapping[bytes, Resource]:
    """
    Return the resources of the page, by the first segment of their paths.

    The page is ``/``, and its files are in ``/page/``.  They need no token: what they show does.
    """
    files = {path.name.encode(): _read(path) for path in _FILES.iterdir() if path.suffix in _TYPES}
    return {b"": _Files({b"": files.pop(b"index.html")}), b"page": _Files(files)}


def _read(path: Path) -> _File:
    data = path.read_bytes()
    return _File(data, _TYPES[path.suffix], b'"%s"' % sha256(data).hexdigest()[:20].encode())


class _Files(Resource):
    """Files by the last segment of their paths."""

    isLeaf = True  # noqa: N815, Twisted's name

    def __init__(self, files: Mapping[bytes, _File]) -> None:
        super().__init__()
        self._files = files

    def render_GET(self, request: Request) -> bytes:  # noqa: N802, Twisted's name
        """
        Return a file, or nothing if the browser has it.

        :raises ApiError: there is no such file.
        """
        file = self._files.get(b"/".join(request.postpath or [b""]))
        if file is None:
            raise unknown_path(request.path)
        for name, value in _HEADERS:
            request.setHeader(name, value)
        # A browser asks each time whether its copy is still the file of this version.
        request.setHeader("Cache-Control", "no-cache")
        request.setHeader("Content-Type", file.content_type)
        if request.setETag(file.etag) is http.CACHED:
            return b""
        request.setHeader("Content-Length", str(len(file.data)))
        return file.data
