"""
Access lists: which client addresses may connect.

Knows addresses and networks.  It must not know what becomes of a refused connection.
"""

from collections.abc import Hashable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_pton

from attrs import field, frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

# IPv4 within IPv6: ::ffff:0:0/96.  A socket that listens on both families reports IPv4 clients so.
_MAPPED_PREFIX = 0xFFFF

#: The first address and the mask of each network, as integers.
_Masks = tuple[tuple[int, int], ...]


@frozen
class Networks:
    """
    A set of networks; `parse_networks` makes one.

    ``peer in networks`` is true if the address of a client is in one of them.  An IPv4 address
    within IPv6 (``::ffff:1.2.3.4``) counts as the IPv4 address: it is in no IPv6 network, not even
    in ``::/0``.  A scope (``%eth0``) is ignored.  An address that is not an IP address, such as
    that of a UNIX socket, is in no network.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    _masks4: _Masks = field(init=False, eq=False, repr=False)
    _masks6: _Masks = field(init=False, eq=False, repr=False)

    @_masks4.default
    def _ipv4_masks(self) -> _Masks:
        return _masks(self.networks, 4)

    @_masks6.default
    def _ipv6_masks(self) -> _Masks:
        return _masks(self.networks, 6)

    def __contains__(self, peer: IAddress) -> bool:
        found = _as_number(peer)
        if found is None:
            return False
        number, family = found
        masks = self._masks4 if family == AF_INET else self._masks6
        return any(number & mask == first for first, mask in masks)

    def __str__(self) -> str:
        return ", ".join(map(str, self.networks))


@frozen
class Access:
    """
    Which clients may connect.

    :param allow: the networks that may connect; None: all.
    :param deny: the networks that may not, even where *allow* includes them.
    """

    allow: Networks | None = None
    deny: Networks = field(factory=Networks)

    def refuses(self, peer: IAddress) -> bool:
        """Return whether *peer* may not connect.  An address that is not IP always may."""
        if not isinstance(peer, IPv4Address | IPv6Address):
            return False
        if peer in self.deny:
            return True
        return self.allow is not None and peer not in self.allow


def parse_networks(text: str | Sequence[str]) -> Networks:
    """
    Return the networks that *text* lists, such as ``10.0.0.0/8, ::1``.

    :param text: networks or single addresses, separated by commas; or a sequence of such texts.
    :raises ValueError: an item is not a network.  The message is one line.
    """
    texts = [text] if isinstance(text, str) else text
    return Networks(tuple(_network(item.strip()) for it in texts for item in it.split(",")))


def _network(item: str) -> IPv4Network | IPv6Network:
    address, slash, bits = item.partition("/")
    # ip_network also takes netmasks and hostmasks for the bits.
    if "%" in address or (slash and not (bits.isascii() and bits.isdigit())):
        raise _not_a_network(item)
    try:
        first, network = ip_address(address), ip_network(item, strict=False)
    except ValueError:
        raise _not_a_network(item) from None
    if first != network.network_address:
        raise ValueError(f"{item} has host bits set; did you mean {network}?")
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        high, low = divmod(int(first), 2**32)
        if high == _MAPPED_PREFIX:
            return IPv4Network((low, network.prefixlen - 96))
    return network


def _not_a_network(item: str) -> ValueError:
    return ValueError(f"{item!r} is not a network; expected one such as 10.0.0.0/8 or ::1")


def _masks(networks: Iterable[IPv4Network | IPv6Network], version: int) -> _Masks:
    return tuple(
        (int(network.network_address), int(network.netmask))
        for network in networks
        if network.version == version
    )


def client_key(peer: IAddress) -> Hashable:
    """
    Return what identifies the client *peer*, however its address is written.

    An IPv4 client of an IPv6 socket is the same as of an IPv4 socket.  Return None for a client
    without an address, such as that of a UNIX socket.
    """
    return _as_number(peer) or getattr(peer, "host", None)


def _as_number(peer: IAddress) -> tuple[int, int] | None:
    """Return an IP address as an integer, with its family."""
    try:
        if isinstance(peer, IPv4Address):
            return int.from_bytes(inet_pton(AF_INET, peer.host)), AF_INET
        if isinstance(peer, IPv6Address):
            number = int.from_bytes(inet_pton(AF_INET6, peer.host.partition("%")[0]))
            if number >> 32 == _MAPPED_PREFIX:
                return number & 0xFFFFFFFF, AF_INET
            return number, AF_INET6
    except (OSError, ValueError):  # a host name in place of an address
        pass
    return None
