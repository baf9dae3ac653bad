"""Admission: which clients may connect, and how many are refused."""

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Limits
from reqresp.server.admission import Admission, Refusal
from reqresp.transport.access import Access, parse_networks


def peer(host: str) -> IPv4Address:
    return IPv4Address("TCP", host, 50000)


class AdmissionTests(SynchronousTestCase):
    """Decisions on addresses, without connections."""

    def kind(self, refusal: Refusal | None) -> str | None:
        return None if refusal is None else refusal.kind

    def test_the_total_limit_comes_before_the_peer_limit(self) -> None:
        """The limit on all connections is checked before the limit for a peer."""
        admission = Admission()
        limits = Limits(max_connections=2, max_per_peer=1)
        admission.enter(peer("10.0.0.1"))
        asked = [("10.0.0.2", 1), ("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.2", 2)]
        kinds = [
            self.kind(admission.why_refuse(peer(host), limits, connected))
            for host, connected in asked
        ]
        self.assertEqual(kinds, [None, "max_per_peer", "max_connections", "max_connections"])

    def test_a_client_that_leaves_makes_room(self) -> None:
        """After a client has left, another from its address may connect, and no entry remains."""
        admission = Admission()
        limits = Limits(max_per_peer=1)
        for _ in range(2):
            self.assertIsNone(admission.why_refuse(peer("10.0.0.1"), limits, 0))
            admission.enter(peer("10.0.0.1"))
            self.assertIsNotNone(admission.why_refuse(peer("10.0.0.1"), limits, 1))
            admission.leave(peer("10.0.0.1"))

    def test_recount_counts_open_connections(self) -> None:
        """Counting for each peer can begin later, with the connections that are open then."""
        admission = Admission()
        limits = Limits(max_per_peer=2)
        admission.enter(peer("10.0.0.3"))
        admission.recount([peer("10.0.0.1"), peer("10.0.0.1"), peer("10.0.0.2")])
        refused = [
            self.kind(admission.why_refuse(peer(f"10.0.0.{last}"), limits, 3)) for last in (1, 2, 3)
        ]
        self.assertEqual(refused, ["max_per_peer", None, None])

    def test_an_ipv4_client_is_one_peer_on_both_families(self) -> None:
        """An IPv4 client of an IPv6 socket shares the limit with its IPv4 connections."""
        admission = Admission()
        limits = Limits(max_per_peer=2)
        mapped = IPv6Address("TCP", "::ffff:10.0.0.1", 50000)
        for each in (mapped, IPv6Address("TCP", "::FFFF:A00:1", 50000)):
            self.assertIsNone(admission.why_refuse(peer("10.0.0.1"), limits, 0))
            admission.enter(each)
        self.assertEqual(
            self.kind(admission.why_refuse(peer("10.0.0.1"), limits, 2)), "max_per_peer"
        )
        admission.leave(peer("10.0.0.1"))
        self.assertIsNone(admission.why_refuse(mapped, limits, 1))

    def test_unix_sockets_have_no_peer_limit(self) -> None:
        """Clients of a UNIX socket have no address: no limit for a peer and no network applies."""
        admission = Admission(Access(allow=parse_networks("10.0.0.0/8")))
        for _ in range(3):
            self.assertIsNone(admission.why_refuse(UNIXAddress(b""), Limits(max_per_peer=1), 0))
            admission.enter(UNIXAddress(b""))

    def test_access_is_checked_before_limits(self) -> None:
        """A client whose address is not allowed is refused before the limits are checked."""
        admission = Admission(Access(parse_networks("10.0.0.0/8"), parse_networks("10.1.0.0/16")))
        limits = Limits(max_connections=1)
        kinds = [
            self.kind(admission.why_refuse(peer(host), limits, 1))
            for host in ("192.0.2.1", "10.1.2.3", "10.2.3.4")
        ]
        self.assertEqual(kinds, ["denied", "denied", "max_connections"])
