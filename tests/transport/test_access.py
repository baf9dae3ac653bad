"""Networks: who is in them, who is let in, and what a mistake in one is answered with."""

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
    """A client with this address."""
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, 50000)


class ContainsTests(SynchronousTestCase):
    """Which addresses belong to networks."""

    def assert_contains(self, text: str, inside: str, outside: str) -> None:
        networks = parse_networks(text)
        for host in inside.split():
            self.assertIn(peer(host), networks)
        for host in outside.split():
            self.assertNotIn(peer(host), networks)

    def test_a_network(self) -> None:
        """From its first address to its last."""
        self.assert_contains(
            "10.8.0.0/14", "10.8.0.0 10.11.255.255 10.9.1.2", "10.7.255.255 10.12.0.0 ::10.8.0.0"
        )
        self.assert_contains(
            "2001:db8::/33", "2001:db8:: 2001:db8:7fff::1", "2001:db8:8000:: 2001:db7:: 32.1.13.184"
        )

    def test_an_address(self) -> None:
        """It is a network of one."""
        self.assert_contains("127.0.0.1", "127.0.0.1", "127.0.0.2")
        self.assert_contains("::1", "::1 0:0::1", "::2 :: 0.0.0.1")

    def test_several(self) -> None:
        """Each counts, of whatever family; blanks do not."""
        self.assert_contains(
            " 10.0.0.0/8,::1 , 192.168.0.0/16",
            "10.1.1.1 ::1 192.168.0.1",
            "11.0.0.0 ::2 192.169.0.1",
        )

    def test_texts(self) -> None:
        """An option can be given more than once."""
        self.assertEqual(
            parse_networks(["10.0.0.0/8", "::1,127.0.0.1"]),
            parse_networks("10.0.0.0/8,::1,127.0.0.1"),
        )

    def test_everybody(self) -> None:
        """Each family has a network of all."""
        self.assert_contains("0.0.0.0/0", "0.0.0.0 255.255.255.255 ::ffff:1.2.3.4", ":: ::1")
        self.assert_contains("::/0", ":: ffff::1", "0.0.0.0 ::ffff:1.2.3.4")

    def test_ipv4_within_ipv6(self) -> None:
        """A client of a socket for both families is in the networks that it is in without it."""
        self.assert_contains("10.0.0.0/8", "::ffff:10.1.2.3 ::ffff:a01:203", "::ffff:11.0.0.1")
        self.assert_contains("::ffff:10.0.0.0/104", "10.1.2.3 ::ffff:10.1.2.3", "11.0.0.1")

    def test_a_scope(self) -> None:
        """The interface that a client came by does not matter."""
        self.assert_contains("fe80::/10", "fe80::1%eth0 fe80::1", "fec0::1%eth0")

    def test_what_is_no_ip_address(self) -> None:
        """It is nowhere, not even among all."""
        everybody = parse_networks("0.0.0.0/0, ::/0")
        others: list[Any] = [
            *(UNIXAddress("/run/x"), UNIXAddress(None), HostnameAddress(b"localhost", 1), None),
            *(peer("localhost"), peer("1.2.3"), peer("1.2.3.4\0"), peer("::g"), peer("::\ud800")),
        ]
        for other in others:
            self.assertNotIn(other, everybody)

    def test_none(self) -> None:
        """Nobody is in no network."""
        self.assertNotIn(peer("127.0.0.1"), Networks())
        self.assertEqual(parse_networks([]), Networks())

    @settings(deadline=None, derandomize=True)
    @given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
    def test_it_is_as_the_standard_library_has_it(
        self, client: Four | Six, other: Four | Six, bits: int
    ) -> None:
        """For any two addresses, and those that differ from a network's in their last bits only."""
        network = ip_network((other, min(bits, other.max_prefixlen)), strict=False)
        near = type(other)(int(network[0]) ^ (int(client) % network.num_addresses))
        for address in (client, near):
            if getattr(address, "ipv4_mapped", None) is None:
                self.assertEqual(
                    peer(str(address)) in parse_networks(str(network)), address in network
                )

    def test_it_is_a_value(self) -> None:
        """It can be compared, hashed and shown, and stays as it is."""
        networks = parse_networks("10.0.0.0/8,::1")
        self.assertEqual(networks, parse_networks("10.0.0.0/8, ::1/128"))
        self.assertNotEqual(networks, parse_networks("10.0.0.0/8"))
        self.assertEqual(len({networks, parse_networks("10.0.0.0/8,::1")}), 1)
        self.assertEqual(str(networks), "10.0.0.0/8, ::1/128")
        with self.assertRaises(FrozenInstanceError):
            networks.networks = ()  # type: ignore[misc]


class MistakeTests(SynchronousTestCase):
    """What is told of a text that holds something else."""

    def problem(self, text: Any) -> str:
        with self.assertRaises(ValueError) as caught:
            parse_networks(text)
        return str(caught.exception)

    def test_host_bits(self) -> None:
        """Who writes an address with a prefix is told of which network it is."""
        self.assertEqual(
            self.problem("::1, 10.1.2.3/8"),
            "10.1.2.3/8 has host bits set; did you mean 10.0.0.0/8?",
        )
        self.assertIn("did you mean 2001:db8::/32?", self.problem("2001:db8::1/32"))
        self.assertIn("did you mean ::ffff:a00:0/104?", self.problem("::ffff:10.0.0.1/104"))

    def test_what_is_none(self) -> None:
        """It is quoted, beside what was expected."""
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
        """A comma too many, or an empty option, is a mistake: it may have been meant otherwise."""
        for text in ("", " ", "::1,", ",::1", "::1,,::2", [""]):
            self.assertTrue(self.problem(text).startswith("'' is not a network"), text)

    @settings(deadline=None, derandomize=True)
    @given(st.text() | st.text("0123456789abcdef:./,% "))
    def test_any_text(self, text: str) -> None:
        """It is read, or refused in one line that says why."""
        try:
            networks = parse_networks(text)
        except ValueError as error:
            self.assertEqual(len(str(error).splitlines()), 1)
        else:
            self.assertEqual(parse_networks(str(networks)), networks)


class AccessTests(SynchronousTestCase):
    """Who may connect."""

    def allowed(self, access: Access) -> str:
        """Which of five clients may."""
        hosts = ["10.1.1.1", "10.2.2.2", "127.0.0.1", "::ffff:10.1.1.1", "::1"]
        return " ".join(host for host in hosts if not access.refuses(peer(host)))

    def test_everybody(self) -> None:
        """Where nothing is said."""
        self.assertEqual(self.allowed(Access()), "10.1.1.1 10.2.2.2 127.0.0.1 ::ffff:10.1.1.1 ::1")

    def test_those_who_are_allowed(self) -> None:
        """And nobody else."""
        self.assertEqual(
            self.allowed(Access(parse_networks("10.0.0.0/8"))), "10.1.1.1 10.2.2.2 ::ffff:10.1.1.1"
        )
        self.assertEqual(self.allowed(Access(Networks())), "")

    def test_those_who_are_denied(self) -> None:
        """All others may."""
        self.assertEqual(
            self.allowed(Access(deny=parse_networks("10.1.0.0/16,::1"))), "10.2.2.2 127.0.0.1"
        )

    def test_those_who_are_both(self) -> None:
        """They may not, however large either network is."""
        small, large = parse_networks("10.1.0.0/16"), parse_networks("10.0.0.0/8")
        self.assertEqual(self.allowed(Access(large, small)), "10.2.2.2")
        self.assertEqual(self.allowed(Access(small, large)), "")

    def test_who_has_no_address(self) -> None:
        """The file system says who may use a UNIX socket."""
        access = Access(Networks(), parse_networks("0.0.0.0/0,::/0"))
        for other in (UNIXAddress("/run/x"), UNIXAddress(None)):
            self.assertFalse(access.refuses(other))

    def test_what_is_no_address(self) -> None:
        """It is not let in where only some are."""
        self.assertTrue(Access(parse_networks("0.0.0.0/0")).refuses(peer("localhost")))
