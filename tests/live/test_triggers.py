"""The real twistd, whose scripts send without a request, and what clients receive."""

import smtplib

from tests.support.live import PATIENCE, Server
from tests.support.live_case import LiveTestCase


class TriggerTests(LiveTestCase):
    """Rules with ``on`` and with ``every``."""

    def serve_script(self, text: str) -> Server:
        """Start a server with the script *text*."""
        self.directory.joinpath("it.toml").write_text(text)
        return self.serve("--script=it.toml")

    def connect_smtp(self, server: Server) -> smtplib.SMTP:
        """Return a client of *server*."""
        client = smtplib.SMTP("127.0.0.1", server.port, "client.test", PATIENCE)
        self.addCleanup(client.close)
        return client

    def test_idle(self) -> None:
        """smtplib receives 421 before an idle connection is closed."""
        client = self.connect_smtp(
            self.serve_script(
                """
                greeting = "220 mail.test"

                [limits]
                idle_timeout = 0.3

                [[rule]]
                starts_with = "ehlo"
                reply = "250 mail.test"

                [[rule]]
                on = "idle"
                reply = "421 4.4.2 timeout"
                """
            )
        )
        self.assertEqual(client.ehlo(), (250, b"mail.test"))
        self.assertEqual(client.getreply(), (421, b"4.4.2 timeout"))
        with self.assertRaises(smtplib.SMTPServerDisconnected):
            client.getreply()

    def test_refused(self) -> None:
        """smtplib raises the reply to a client too many; the first client is served on."""
        server = self.serve_script(
            """
            greeting = "220 mail.test"

            [limits]
            max_connections = 1

            [[rule]]
            equals = "noop"
            reply = "250 ok"

            [[rule]]
            on = "refused"
            reply = "421 4.3.2 too many"
            """
        )
        first = self.connect_smtp(server)
        with self.assertRaises(smtplib.SMTPConnectError) as caught:
            self.connect_smtp(server)
        self.assertEqual(
            (caught.exception.smtp_code, caught.exception.smtp_error), (421, b"4.3.2 too many")
        )
        self.assertEqual(first.noop(), (250, b"ok"))

    def test_every(self) -> None:
        """Each client receives its own ticks, and a request is answered meanwhile."""
        server = self.serve_script(
            """
            [[rule]]
            equals = "PING"
            reply = "PONG"
            goto = "ready"

            [[rule]]
            when = "ready"
            equals = "PING"
            reply = "PONG again"

            [[rule]]
            when = "ready"
            every = 0.1
            times = 3
            reply = { template = "tick {count}" }
            """
        )
        for _ in range(2):
            client = self.connect(server)
            self.assertEqual(client.ask(b"PING\n", 14), b"PONG\r\ntick 1\r\n")
            lines = client.ask(b"PING\n", 28).splitlines()
            lines.remove(b"PONG again")
            self.assertEqual(lines, [b"tick 2", b"tick 3"])
