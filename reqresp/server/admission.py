"""
Admission: which clients may connect.

Counts clients and compares them with limits.  It must not know connections.
"""

from collections import Counter
from collections.abc import Hashable, Iterable

from attrs import frozen
from twisted.internet.interfaces import IAddress

from reqresp.server.limits import Limits
from reqresp.transport.access import Access, client_key


@frozen
class Refusal:
    """
    Why a client is refused.

    :param kind: the name of the limit, one of `KINDS`, for counting.
    :param reason: the same for a person.
    """

    kind: str
    reason: str


#: The kinds of refusals.
KINDS = ("denied", "max_connections", "max_per_peer", "stopping", "untrusted")

#: The server drains.
STOPPING = Refusal("stopping", "the server is stopping")
#: The access list does not allow the client.
DENIED = Refusal("denied", "its address is not allowed")
#: PROXY headers are read, and the client is not a trusted load balancer.
UNTRUSTED = Refusal("untrusted", "it may not send PROXY headers")


class Admission:
    """
    Decides which clients a server admits.

    :param access: the clients that may connect; None: all.
    """

    def __init__(self, access: Access | None = None) -> None:
        self._access = access
        self._per_peer: Counter[Hashable] = Counter()

    def why_refuse(self, peer: IAddress, limits: Limits, connected: int) -> Refusal | None:
        """Return why *peer* may not connect while *connected* others are; None: it may."""
        if self._access is not None and self._access.refuses(peer):
            return DENIED
        if connected >= limits.max_connections:
            reason = f"{limits.max_connections} connections are open, the limit"
            return Refusal("max_connections", reason)
        if limits.max_per_peer and self._per_peer[client_key(peer)] >= limits.max_per_peer:
            reason = f"it has {limits.max_per_peer} connections open, the limit for a peer"
            return Refusal("max_per_peer", reason)
        return None

    def enter(self, peer: IAddress) -> None:
        """Count *peer* as connected."""
        key = client_key(peer)
        if key is not None:
            self._per_peer[key] += 1

    def leave(self, peer: IAddress) -> None:
        """Stop counting *peer*."""
        key = client_key(peer)
        if key is not None:
            self._per_peer[key] -= 1
            if not self._per_peer[key]:
                del self._per_peer[key]

    def recount(self, peers: Iterable[IAddress]) -> None:
        """Count *peers* as connected, and no others."""
        self._per_peer = Counter(key for peer in peers if (key := client_key(peer)) is not None)
