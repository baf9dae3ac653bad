"""
Guard: which requests may be answered at all.

A web page of another origin can send requests here from a browser on this machine, and so can a
site whose name points here.  Neither may be answered.  With the token, requests may come from
elsewhere.
It must not know routes.
"""

from hashlib import sha256
from hmac import compare_digest

from twisted.web.http import Request

from reqresp.control._hosts import AllowedHosts, why_not_allowed
from reqresp.control.errors import ApiError

_BEARER = b"bearer "
#: What a browser says of requests that another site causes.
_FOREIGN = (b"cross-site", b"same-site")


class Guard:
    """
    Refuses requests by their headers.

    :param hosts: what ``Host`` may name.
    :param token: what requests must have in ``Authorization``; None: nothing.
    """

    def __init__(self, hosts: AllowedHosts, token: str | None = None) -> None:
        self._hosts = hosts
        self._digest = None if token is None else sha256(token.encode()).digest()

    def allows(self, request: Request) -> bool:
        """Return whether *request* may be answered that sends more than headers."""
        try:
            self.check(request)
        except ApiError:
            return False
        return True

    def check(self, request: Request, is_public: bool = False) -> None:
        """
        Check the headers of *request*.

        :param is_public: whether it needs no token.
        :raises ApiError: it may not be answered.
        """
        hosts = _values(request, b"Host")
        if not self._hosts.allow(hosts):
            raise ApiError(403, why_not_allowed(hosts))
        if not _is_own_origin(request, hosts):
            raise ApiError(403, "origin not allowed: another site has sent this request")
        if not is_public and not self._has_token(request):
            is_wrong = bool(_values(request, b"Authorization"))
            raise ApiError(
                401,
                "expected another token: the one in the file of --control-token-file"
                if is_wrong
                else "expected the header Authorization: Bearer TOKEN",
                headers=[("WWW-Authenticate", "Bearer")],
            )

    def _has_token(self, request: Request) -> bool:
        if self._digest is None:
            return True
        values = _values(request, b"Authorization")
        value = values[0] if len(values) == 1 else b""
        has_scheme = value[: len(_BEARER)].lower() == _BEARER
        # Of digests, since comparing takes longer with longer values.
        found = sha256(value[len(_BEARER) :].strip()).digest()
        return compare_digest(found, self._digest) and has_scheme


def _is_own_origin(request: Request, hosts: list[bytes]) -> bool:
    """Return whether *request* is not from a page of another origin."""
    host = hosts[0] if hosts else b""
    for origin in _values(request, b"Origin"):
        if origin.partition(b"://")[2].lower() != host.lower() or not host:
            return False
    if not any(site.lower() in _FOREIGN for site in _values(request, b"Sec-Fetch-Site")):
        return True
    # A link on another site may lead to the page.
    is_link = _values(request, b"Sec-Fetch-Mode") == [b"navigate"]
    return is_link and request.method in (b"GET", b"HEAD")


def _values(request: Request, name: bytes) -> list[bytes]:
    return [*(request.requestHeaders.getRawHeaders(name) or [])]
