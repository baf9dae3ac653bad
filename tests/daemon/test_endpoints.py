"""Where to listen, as options say it; nothing is bound here."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.endpoints import Place, described, listening, measured, numbered


class PlaceTests(SynchronousTestCase):
    """One place."""

    def test_a_number(self) -> None:
        """A port number is a port of the eager transport, on loopback."""
        self.assertEqual(
            numbered(7), Place("127.0.0.1:7", "eager:7:interface=127.0.0.1:backlog=1024")
        )

    def test_ipv6(self) -> None:
        """An IPv6 address is shown as people write it, and quoted where colons mean something."""
        place = numbered(7, "::1", 5)
        self.assertEqual(place, Place("[::1]:7", r"eager:7:interface=\:\:1:backlog=5"))

    def test_plain(self) -> None:
        """An endpoint that is a socket, and nothing on top of it."""
        for description in ("tcp:1", "tcp6:1", "unix:/a", "systemd:domain=INET:index=0", "eager:1"):
            self.assertTrue(described(description).is_plain, description)
        for description in ("ssl:1", "tls:a:tcp:1", "haproxy:tcp:1", "onion:1"):
            self.assertFalse(described(description).is_plain, description)

    def test_encrypted(self) -> None:
        """TLS of the endpoint's own, behind a balancer too."""
        for description in ("ssl:1", "tls:a:tcp:1", "haproxy:ssl:1", "haproxy:tls:a:tcp:1"):
            self.assertTrue(described(description).is_encrypted, description)
        for description in ("tcp:1", "haproxy:tcp:1", "unix:/ssl:"):
            self.assertFalse(described(description).is_encrypted, description)

    def test_kept(self) -> None:
        """Sockets of systemd stay open when we close them."""
        self.assertTrue(described("systemd:domain=INET:index=0").is_kept)
        self.assertFalse(described("tcp:1").is_kept)


class ListeningTests(SynchronousTestCase):
    """The places for clients."""

    def test_nothing_said(self) -> None:
        """The default port, on loopback."""
        self.assertEqual(listening(None, None, None, []), [numbered(9999)])

    def test_all_said(self) -> None:
        """The port first, then what else there is, in its order."""
        places = listening("80", "10.0.0.1", 9, ["unix:/b", "unix:/a"])
        expected = [numbered(80, "10.0.0.1", 9), described("unix:/b"), described("unix:/a")]
        self.assertEqual(places, expected)

    def test_descriptions_alone(self) -> None:
        """Who describes endpoints gets no default port beside them."""
        self.assertEqual(listening(None, None, None, ["tcp:1"]), [described("tcp:1")])
        self.assertEqual(listening("tcp:1", None, None, []), [described("tcp:1")])

    def test_what_does_not_go_together(self) -> None:
        """A description says itself which interface and backlog."""
        for interface, backlog in (("127.0.0.1", None), (None, 3)):
            with self.assertRaisesRegex(ValueError, "goes with a port's number"):
                listening("tcp:1", interface, backlog, [])


class MeasuredTests(SynchronousTestCase):
    """The places for metrics."""

    def test_one_process(self) -> None:
        """A number is one on loopback; a description is taken as it is."""
        self.assertEqual(
            measured("9100", None), [Place("127.0.0.1:9100", "tcp:9100:interface=127.0.0.1")]
        )
        self.assertEqual(measured("tcp:9100", None), [described("tcp:9100")])

    def test_workers(self) -> None:
        """Each has a number of its own: those that follow, or any where any will do."""
        names = [place.name for place in measured("9100", 3)]
        self.assertEqual(names, ["127.0.0.1:9100", "127.0.0.1:9101", "127.0.0.1:9102"])
        self.assertEqual([place.name for place in measured("0", 2)], ["127.0.0.1:0"] * 2)

    def test_too_many_workers(self) -> None:
        """There are only so many numbers, and one description is one place."""
        self.assertEqual(len(measured("65534", 2)), 2)
        with self.assertRaisesRegex(ValueError, "no 3 port numbers from 65534 on"):
            measured("65534", 3)
        for description in ("unix:/a", "tcp:port=1", "systemd:domain=INET:index=0", "tcp:1x"):
            with self.assertRaisesRegex(ValueError, "each has a port of its own"):
                measured(description, 2)

    def test_workers_elsewhere(self) -> None:
        """On another interface they follow each other, too."""
        found = [place.description for place in measured("tcp:9:interface=192.0.2.1", 2)]
        self.assertEqual(found, ["tcp:9:interface=192.0.2.1", "tcp:10:interface=192.0.2.1"])
        self.assertEqual([place.name for place in measured("tcp6:9", 1)], ["tcp6:9"])
