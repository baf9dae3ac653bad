"""
Hosts: which names a request may have in its header ``Host``.

A web site can let its own name point to this machine (DNS rebinding): a browser then reads our
pages for that site.  Its requests still have the site's name in ``Host``, and are refused.  It must
not know pages or connections.
"""

import re
from collections.abc import Collection, Sequence
from ipaddress import ip_address
from socket import gethostname

#: A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port.
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]*)?")


class AllowedHosts:
    """
    The hosts that requests may name: those that no web site can own, and the *names* given.

    No web site owns an address, a name without a dot, a name in ``.localhost``, or the name of this
    machine.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = {_normalized(name) for name in (gethostname(), *names)}

    def allow(self, headers: Sequence[bytes]) -> bool:
        """
        Return whether a request with these ``Host`` headers may be answered.

        A request without any may be: browsers always send one.
        """
        if len(headers) != 1:
            return not headers
        match = _match(headers)
        if match is None:
            return False
        if match["ipv6"] is not None:
            return _is_address(match["ipv6"])
        name = _normalized(match["name"])
        return (
            "." not in name
            or name.endswith(".localhost")
            or name in self._names
            or _is_address(name)
        )


def why_not_allowed(headers: Sequence[bytes]) -> str:
    """Return why a request with these ``Host`` headers is refused, and what allows it."""
    match = _match(headers)
    name = None if match is None else match["name"]
    if name is None:
        return "host not allowed: expected one header Host, with a name or an address"
    # It has harmless characters alone.
    return (
        f"host {name!r} not allowed: it could be another site's name;"
        f" if it is this server's, pass --http-host {name}"
    )


def _match(headers: Sequence[bytes]) -> re.Match[str] | None:
    return _HOST.fullmatch(headers[0].decode("latin-1").lower()) if len(headers) == 1 else None


def _normalized(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
