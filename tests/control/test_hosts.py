"""Which names a request may have in its header ``Host``."""

from socket import gethostname

from twisted.trial.unittest import SynchronousTestCase

from reqresp.control._hosts import AllowedHosts


class AllowedHostsTests(SynchronousTestCase):
    """A name that a web site can own is refused, unless it was given."""

    def check(self, hosts: AllowedHosts, headers: list[str], *, allowed: bool) -> None:
        """Assert that each of *headers* is allowed, or refused."""
        found = [it for it in headers if hosts.allow([it.encode("latin-1")]) is not allowed]
        self.assertEqual(found, [])

    def test_names_that_no_web_site_can_own(self) -> None:
        """An address, a name without a dot, ``localhost`` and this machine are allowed."""
        names = ["127.0.0.1", "192.0.2.1:9100", "[::1]", "[2001:DB8::1]:9100", "localhost:0"]
        names += ["LocalHost", "localhost.", "a.localhost", "reqresp:9100", "a_b-c", "it:"]
        names += [gethostname(), f"{gethostname().upper()}:9100"]
        self.check(AllowedHosts(), names, allowed=True)

    def test_names_that_a_web_site_can_own(self) -> None:
        """A name with a dot is refused, also one that resembles an address or ``localhost``."""
        names = ["evil.example", "evil.example:9100", "127.0.0.1.evil.example", "localhost.evil.x"]
        names += ["evillocalhost.x", "1.2.3", "127.0.0.1.x:80", "evil.example."]
        self.check(AllowedHosts(), names, allowed=False)

    def test_malformed_names(self) -> None:
        """A header that is not a host is refused."""
        names = ["", ":9100", "[]", "[evil]", "[::1", "::1", "a b", "a/b", "a@b", "a:b", "a:1:2"]
        names += ["it\xff", "it,evil", "[1::2::3]", "it#"]
        self.check(AllowedHosts(), names, allowed=False)

    def test_names_that_were_given(self) -> None:
        """Names that were given are allowed in any case, with any port, and no others."""
        hosts = AllowedHosts(["metrics.example", "Other.Example."])
        names = ["metrics.example", "METRICS.example:1", "metrics.example.", "other.example"]
        self.check(hosts, names, allowed=True)
        self.check(hosts, ["a.metrics.example", "metrics.example.evil"], allowed=False)

    def test_how_many(self) -> None:
        """No header is allowed, as in HTTP/1.0; two are not."""
        hosts = AllowedHosts()
        self.assertTrue(hosts.allow([]))
        self.assertFalse(hosts.allow([b"localhost", b"localhost"]))
