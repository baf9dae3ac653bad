"""
Admission: who may connect, and how many were turned away.

Counts clients and compares them with limits; it knows no connection, and tells nobody.
"""

from collections import Counter
from collections.abc import Iterable

from attrs import frozen
from twisted.internet.interfaces import IAddress

from reqresp.server.limits import Limits
from reqresp.transport.access import Access


@frozen
class Refusal:
    """
    Why a client is turned away.

    :param kind: names the limit, in a word or two: one of few, for counting.
    :param reason: tells it to a person.
    """

    kind: str
    reason: str


#: All kinds of refusals that there are.
KINDS = ("denied", "max_connections", "max_per_peer", "stopping", "untrusted")

#: There is no place for who comes while the server drains.
STOPPING = Refusal("stopping", "the server is stopping")
#: The networks that may connect leave a client out.
DENIED = Refusal("denied", "its address is not allowed")
#: Who is no balancer has nothing to say where PROXY headers are read.
UNTRUSTED = Refusal("untrusted", "it is none of those who may send PROXY headers")


class Admission:
    """
    What all clients of a server have of it together.

    :param access: who may connect at all; None: anybody.
    """

    def __init__(self, access: Access | None = None) -> None:
        self._access = access
        self._per_peer: Counter[str] = Counter()

    def why_refuse(self, peer: IAddress, limits: Limits, connected: int) -> Refusal | None:
        """Tell why *peer* may not connect, where *connected* others are."""
        if self._access is not None and self._access.refuses(peer):
            return DENIED
        if connected >= limits.max_connections:
            reason = f"{limits.max_connections} connections are open, the limit"
            return Refusal("max_connections", reason)
        if limits.max_per_peer and self._per_peer[host_of(peer)] >= limits.max_per_peer:
            reason = f"it has {limits.max_per_peer} connections open, the limit for a peer"
            return Refusal("max_per_peer", reason)
        return None

    def enter(self, peer: IAddress) -> None:
        """Count *peer* among those who are connected."""
        if host := host_of(peer):
            self._per_peer[host] += 1

    def leave(self, peer: IAddress) -> None:
        """Count *peer* no more."""
        if host := host_of(peer):
            self._per_peer[host] -= 1
            if not self._per_peer[host]:
                del self._per_peer[host]

    def recount(self, peers: Iterable[IAddress]) -> None:
        """Begin again with *peers*, who are connected."""
        self._per_peer = Counter(host for peer in peers if (host := host_of(peer)))


def host_of(peer: IAddress) -> str:
    """What tells a client from others; the clients of a UNIX socket have nothing that does."""
    return getattr(peer, "host", "")
