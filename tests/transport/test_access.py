"""Access lists: which addresses are in networks, which may connect, and errors in the text."""

from ipaddress import IPv4Address as Four
from ipaddress import IPv6Address as Six
from ipaddress import ip_network
from typing import Any

from attrs.exceptions import FrozenInstanceError
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp.transport.access import Access, Networks, parse_networks


def peer(host: str) -> IPv4Address | IPv6Address:
    """Return the address of a client on *host*."""
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, 50000)


class ContainsTests(SynchronousTestCase):
    """Which addresses are in networks."""

    def assert_contains(self, text: str, inside: str, outside: str) -> None:
        networks = parse_networks(text)
        for host in inside.split():
            self.assertIn(peer(host), networks)
        for host in outside.split():
            self.assertNotIn(peer(host), networks)

    def test_a_network(self) -> None:
        """A network contains its first to its last address."""
        self.assert_contains(
            "10.8.0.0/14", "10.8.0.0 10.11.255.255 10.9.1.2", "10.7.255.255 10.12.0.0 ::10.8.0.0"
        )
        self.assert_contains(
            "2001:db8::/33", "2001:db8:: 2001:db8:7fff::1", "2001:db8:8000:: 2001:db7:: 32.1.13.184"
        )

    def test_an_address(self) -> None:
        """A single address is a network of one."""
        self.assert_contains("127.0.0.1", "127.0.0.1", "127.0.0.2")
        self.assert_contains("::1", "::1 0:0::1", "::2 :: 0.0.0.1")

    def test_several(self) -> None:
        """Several networks, of both families, are separated by commas and spaces."""
        self.assert_contains(
            " 10.0.0.0/8,::1 , 192.168.0.0/16",
            "10.1.1.1 ::1 192.168.0.1",
            "11.0.0.0 ::2 192.169.0.1",
        )

    def test_texts(self) -> None:
        """Several texts are read as one list."""
        self.assertEqual(
            parse_networks(["10.0.0.0/8", "::1,127.0.0.1"]),
            parse_networks("10.0.0.0/8,::1,127.0.0.1"),
        )

    def test_everybody(self) -> None:
        """Each family has a network of all its addresses."""
        self.assert_contains("0.0.0.0/0", "0.0.0.0 255.255.255.255 ::ffff:1.2.3.4", ":: ::1")
        self.assert_contains("::/0", ":: ffff::1", "0.0.0.0 ::ffff:1.2.3.4")

    def test_ipv4_within_ipv6(self) -> None:
        """An IPv4 address within IPv6 is in IPv4 networks."""
        self.assert_contains("10.0.0.0/8", "::ffff:10.1.2.3 ::ffff:a01:203", "::ffff:11.0.0.1")
        self.assert_contains("::ffff:10.0.0.0/104", "10.1.2.3 ::ffff:10.1.2.3", "11.0.0.1")

    def test_a_scope(self) -> None:
        """The scope of an IPv6 address is ignored."""
        self.assert_contains("fe80::/10", "fe80::1%eth0 fe80::1", "fec0::1%eth0")

    def test_what_is_no_ip_address(self) -> None:
        """An address that is not an IP address is in no network."""
        everybody = parse_networks("0.0.0.0/0, ::/0")
        others: list[Any] = [
            *(UNIXAddress("/run/x"), UNIXAddress(None), HostnameAddress(b"localhost", 1), None),
            *(peer("localhost"), peer("1.2.3"), peer("1.2.3.4\0"), peer("::g"), peer("::\ud800")),
        ]
        for other in others:
            self.assertNotIn(other, everybody)

    def test_none(self) -> None:
        """No address is in an empty list."""
        self.assertNotIn(peer("127.0.0.1"), Networks())
        self.assertEqual(parse_networks([]), Networks())

    @settings(derandomize=True)
    @given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
    def test_it_is_as_the_standard_library_has_it(
        self, client: Four | Six, other: Four | Six, bits: int
    ) -> None:
        """Membership is as in `ipaddress`, for any two addresses and for similar ones."""
        network = ip_network((other, min(bits, other.max_prefixlen)), strict=False)
        near = type(other)(int(network[0]) ^ (int(client) % network.num_addresses))
        for address in (client, near):
            if getattr(address, "ipv4_mapped", None) is None:
                self.assertEqual(
                    peer(str(address)) in parse_networks(str(network)), address in network
                )

    def test_it_is_a_value(self) -> None:
        """Networks can be compared, hashed and shown, and are immutable."""
        networks = parse_networks("10.0.0.0/8,::1")
        self.assertEqual(networks, parse_networks("10.0.0.0/8, ::1/128"))
        self.assertNotEqual(networks, parse_networks("10.0.0.0/8"))
        self.assertEqual(len({networks, parse_networks("10.0.0.0/8,::1")}), 1)
        self.assertEqual(str(networks), "10.0.0.0/8, ::1/128")
        with self.assertRaises(FrozenInstanceError):
            networks.networks = ()  # type: ignore[misc]


class MistakeTests(SynchronousTestCase):
    """Errors for texts that are not networks."""

    def problem(self, text: Any) -> str:
        with self.assertRaises(ValueError) as caught:
            parse_networks(text)
        return str(caught.exception)

    def test_host_bits(self) -> None:
        """The error for an address with host bits suggests the network."""
        self.assertEqual(
            self.problem("::1, 10.1.2.3/8"),
            "10.1.2.3/8 has host bits set; did you mean 10.0.0.0/8?",
        )
        self.assertIn("did you mean 2001:db8::/32?", self.problem("2001:db8::1/32"))
        self.assertIn("did you mean ::ffff:a00:0/104?", self.problem("::ffff:10.0.0.1/104"))

    def test_what_is_none(self) -> None:
        """The error for any other text quotes it, and says what is expected."""
        for item in (
            *("localhost", "10.0.0.0/33", "::/129", "10.0.0", "10.0.0.0/8/8", "/8", "10.0.0.0/"),
            *("10.0.0.0/-1", "10.0.0.0/255.0.0.0", "010.0.0.0", "256.0.0.0", "1.2.3.4:80"),
            *("[::1]", "fe80::1%eth0", "fe80::%eth0/10", "10.0.0.0/\u0661", "10.0.0.0 /8", "é"),
        ):
            self.assertEqual(
                self.problem(f"127.0.0.1,{item}"),
                f"{item!r} is not a network; expected one such as 10.0.0.0/8 or ::1",
            )

    def test_nothing(self) -> None:
        """An empty item is an error."""
        for text in ("", " ", "::1,", ",::1", "::1,,::2", [""]):
            self.assertTrue(self.problem(text).startswith("'' is not a network"), text)

    @settings(derandomize=True)
    @given(st.text() | st.text("0123456789abcdef:./,% "))
    def test_any_text(self, text: str) -> None:
        """Any text is parsed or refused in one line."""
        try:
            networks = parse_networks(text)
        except ValueError as error:
            self.assertEqual(len(str(error).splitlines()), 1)
        else:
            self.assertEqual(parse_networks(str(networks)), networks)


class AccessTests(SynchronousTestCase):
    """Which clients may connect."""

    def allowed(self, access: Access) -> str:
        """Return which of five clients may connect."""
        hosts = ["10.1.1.1", "10.2.2.2", "127.0.0.1", "::ffff:10.1.1.1", "::1"]
        return " ".join(host for host in hosts if not access.refuses(peer(host)))

    def test_everybody(self) -> None:
        """Without lists, all clients may connect."""
        self.assertEqual(self.allowed(Access()), "10.1.1.1 10.2.2.2 127.0.0.1 ::ffff:10.1.1.1 ::1")

    def test_those_who_are_allowed(self) -> None:
        """With an allow list, only its clients may connect."""
        self.assertEqual(
            self.allowed(Access(parse_networks("10.0.0.0/8"))), "10.1.1.1 10.2.2.2 ::ffff:10.1.1.1"
        )
        self.assertEqual(self.allowed(Access(Networks())), "")

    def test_those_who_are_denied(self) -> None:
        """With a deny list, all other clients may connect."""
        self.assertEqual(
            self.allowed(Access(deny=parse_networks("10.1.0.0/16,::1"))), "10.2.2.2 127.0.0.1"
        )

    def test_those_who_are_both(self) -> None:
        """A client in both lists may not connect."""
        small, large = parse_networks("10.1.0.0/16"), parse_networks("10.0.0.0/8")
        self.assertEqual(self.allowed(Access(large, small)), "10.2.2.2")
        self.assertEqual(self.allowed(Access(small, large)), "")

    def test_who_has_no_address(self) -> None:
        """A client of a UNIX socket may always connect: the file system controls access."""
        access = Access(Networks(), parse_networks("0.0.0.0/0,::/0"))
        for other in (UNIXAddress("/run/x"), UNIXAddress(None)):
            self.assertFalse(access.refuses(other))

    def test_what_is_no_address(self) -> None:
        """A host name in place of an address is refused if there is an allow list."""
        self.assertTrue(Access(parse_networks("0.0.0.0/0")).refuses(peer("localhost")))
