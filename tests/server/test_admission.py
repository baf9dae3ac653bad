"""Who may connect, and how many were turned away."""

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Limits
from reqresp.server.admission import Admission, Refusal
from reqresp.transport.access import Access, parse_networks


def peer(host: str) -> IPv4Address:
    return IPv4Address("TCP", host, 50000)


class AdmissionTests(SynchronousTestCase):
    """Without any connection."""

    def kind(self, refusal: Refusal | None) -> str | None:
        return None if refusal is None else refusal.kind

    def test_limits(self) -> None:
        """The limit on all comes before that for a peer."""
        admission = Admission()
        limits = Limits(max_connections=2, max_per_peer=1)
        admission.enter(peer("10.0.0.1"))
        asked = [("10.0.0.2", 1), ("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.2", 2)]
        kinds = [
            self.kind(admission.why_refuse(peer(host), limits, connected))
            for host, connected in asked
        ]
        self.assertEqual(kinds, [None, "max_per_peer", "max_connections", "max_connections"])

    def test_who_left(self) -> None:
        """Makes room for another one from there, and is not remembered."""
        admission = Admission()
        limits = Limits(max_per_peer=1)
        for _ in range(2):
            self.assertIsNone(admission.why_refuse(peer("10.0.0.1"), limits, 0))
            admission.enter(peer("10.0.0.1"))
            self.assertIsNotNone(admission.why_refuse(peer("10.0.0.1"), limits, 1))
            admission.leave(peer("10.0.0.1"))

    def test_recount(self) -> None:
        """Counting can begin later, with those who are there then."""
        admission = Admission()
        limits = Limits(max_per_peer=2)
        admission.enter(peer("10.0.0.3"))
        admission.recount([peer("10.0.0.1"), peer("10.0.0.1"), peer("10.0.0.2")])
        refused = [
            self.kind(admission.why_refuse(peer(f"10.0.0.{last}"), limits, 3)) for last in (1, 2, 3)
        ]
        self.assertEqual(refused, ["max_per_peer", None, None])

    def test_unix_sockets(self) -> None:
        """Their clients cannot be told apart, so no limit for one applies, nor any network."""
        admission = Admission(Access(allow=parse_networks("10.0.0.0/8")))
        for _ in range(3):
            self.assertIsNone(admission.why_refuse(UNIXAddress(b""), Limits(max_per_peer=1), 0))
            admission.enter(UNIXAddress(b""))

    def test_access(self) -> None:
        """Whose address is not allowed is refused before anything is counted."""
        admission = Admission(Access(parse_networks("10.0.0.0/8"), parse_networks("10.1.0.0/16")))
        limits = Limits(max_connections=1)
        kinds = [
            self.kind(admission.why_refuse(peer(host), limits, 1))
            for host in ("192.0.2.1", "10.1.2.3", "10.2.3.4")
        ]
        self.assertEqual(kinds, ["denied", "denied", "max_connections"])
