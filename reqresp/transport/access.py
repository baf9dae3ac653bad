"""
Networks: which addresses belong to which networks.

Knows addresses and nothing of who is behind them, or of what becomes of those who are refused.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_pton

from attrs import field, frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

# IPv4 within IPv6: ::ffff:0:0/96, where a socket that listens on both families puts its clients.
_MAPPED = 0xFFFF

#: A network's first address and its mask, as numbers.
_Masks = tuple[tuple[int, int], ...]


@frozen
class Networks:
    """
    Any number of networks; made by `parse_networks`.

    ``peer in networks`` tells whether the address of a client is in one of them.  An IPv4 address
    within IPv6 (``::ffff:1.2.3.4``) is the IPv4 address, and in no IPv6 network, not even
    ``::/0``; a scope (``%eth0``) is passed over; what is no IP address, such as that of a UNIX
    socket, is in no network.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    _masks4: _Masks = field(init=False, eq=False, repr=False)
    _masks6: _Masks = field(init=False, eq=False, repr=False)

    @_masks4.default
    def _of_ipv4(self) -> _Masks:
        return _masks(self.networks, 4)

    @_masks6.default
    def _of_ipv6(self) -> _Masks:
        return _masks(self.networks, 6)

    def __contains__(self, peer: IAddress) -> bool:
        found = _number(peer)
        if found is None:
            return False
        number, masks = found[0], self._masks4 if found[1] == AF_INET else self._masks6
        return any(number & mask == first for first, mask in masks)

    def __str__(self) -> str:
        return ", ".join(map(str, self.networks))


@frozen
class Access:
    """
    Who may connect.

    :param allow: only these may; left out: all.
    :param deny: these may not, even where they are among the former.
    """

    allow: Networks | None = None
    deny: Networks = field(factory=Networks)

    def refuses(self, peer: IAddress) -> bool:
        """Tell whether *peer* may not connect; who comes without an IP address always may."""
        if not isinstance(peer, IPv4Address | IPv6Address):
            return False
        if peer in self.deny:
            return True
        return self.allow is not None and peer not in self.allow


def parse_networks(text: str | Sequence[str]) -> Networks:
    """
    Read networks, such as ``10.0.0.0/8, ::1``.

    :param text: networks or single addresses with commas between them, or several texts of these.
    :raises ValueError: in one line: what is none, and what was expected.
    """
    texts = [text] if isinstance(text, str) else text
    return Networks(tuple(_network(item.strip()) for it in texts for item in it.split(",")))


def _network(item: str) -> IPv4Network | IPv6Network:
    address, slash, bits = item.partition("/")
    # ip_network takes masks for bits, too, and those of the host for those of the network.
    if "%" in address or (slash and not (bits.isascii() and bits.isdigit())):
        raise _not_a_network(item)
    try:
        first, network = ip_address(address), ip_network(item, strict=False)
    except ValueError:
        raise _not_a_network(item) from None
    if first != network.network_address:
        raise ValueError(f"{item} is no network, for it has host bits set: was {network} meant?")
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        high, low = divmod(int(first), 2**32)
        if high == _MAPPED:
            return IPv4Network((low, network.prefixlen - 96))
    return network


def _not_a_network(item: str) -> ValueError:
    return ValueError(f"{item!r} is no network, nor an address: expected as 10.0.0.0/8 or ::1")


def _masks(networks: Iterable[IPv4Network | IPv6Network], version: int) -> _Masks:
    return tuple(
        (int(network.network_address), int(network.netmask))
        for network in networks
        if network.version == version
    )


def _number(peer: IAddress) -> tuple[int, int] | None:
    """Give an address as a number, and its family."""
    try:
        if isinstance(peer, IPv4Address):
            return int.from_bytes(inet_pton(AF_INET, peer.host)), AF_INET
        if isinstance(peer, IPv6Address):
            number = int.from_bytes(inet_pton(AF_INET6, peer.host.partition("%")[0]))
            if number >> 32 == _MAPPED:
                return number & 0xFFFFFFFF, AF_INET
            return number, AF_INET6
    except (OSError, ValueError):  # a name, which is no address
        pass
    return None
