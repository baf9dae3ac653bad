"""Whether a server may use OpenSSL, before anything is imported that loads it."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.tls_need import may_need_tls
from tests.support import live
from tests.support.daemon import parsed


class NeedTests(SynchronousTestCase):
    """A server that is taken not to need it could not use it."""

    def test_options(self) -> None:
        """TLS on either side."""
        for arguments, expected in (
            ((), False),
            (("--forward=a:1",), False),
            (("--forward=a:1", "--forward-tls"), True),
            (("--tls-cert=a",), True),
        ):
            self.assertIs(may_need_tls(parsed(*arguments)), expected, arguments)

    def test_scripts(self) -> None:
        """A script with an upstream may add TLS to it later, on SIGHUP."""
        path = live.temporary(self) / "it.toml"
        options = parsed(f"--script={path}")
        self.assertFalse(may_need_tls(options))
        for text, expected in (
            ('rule = [{ reply = "a" }]', False),
            ('[upstream]\naddress = "a:1"', True),
            ('"upstream".address = "a:1"', True),
        ):
            path.write_text(text)
            self.assertIs(may_need_tls(options), expected, text)
