"""Client programs, recorded in front of real services, and replayed without them."""

from tests.support import live
from tests.support.clients import PROGRAMS
from tests.support.live_case import LiveTestCase


class ReplayedTests(LiveTestCase):
    """The output of a client program from a recording is that from the service."""

    def assert_same(self, name: str) -> None:
        """Record the program *name*, stop its service, and run it twice with the recording."""
        [program] = [it for it in PROGRAMS if it.name == name]
        tls: tuple[str, ...] = ()
        upstream_tls: tuple[str, ...] = ()
        if program.tls:
            (self.directory / "it.pem").write_bytes(live.pem())
            tls = ("--tls-cert=it.pem",)
            upstream_tls = ("--forward-tls", "--forward-ca=it.pem", "--forward-name=localhost")
        with program.start() as service:
            relay = self.serve(
                f"--forward={service.forward}", "--record=it.rec", *tls, *upstream_tls
            )
            recorded = program.run("127.0.0.1", relay.port)
            relay.stop()
        with self.serve("--replay=it.rec", *tls) as replay:
            for _ in range(2):
                self.assertEqual(program.run("127.0.0.1", replay.port), recorded)
            self.assertNotIn("differs from conversation", replay.log.text())

    def test_redis_py_with_resp2(self) -> None:
        """Values, pipelines, a transaction, published messages."""
        self.assert_same("redis-py, RESP2")

    def test_redis_py_with_resp3(self) -> None:
        """The same, with what RESP3 pushes."""
        self.assert_same("redis-py, RESP3")

    def test_pymemcache(self) -> None:
        """Values, large ones, many at once, versions."""
        self.assert_same("pymemcache")

    def test_psql(self) -> None:
        """Queries, an error, COPY both ways."""
        self.assert_same("psql")

    def test_psycopg(self) -> None:
        """Prepared statements, binary values, COPY."""
        self.assert_same("psycopg")

    def test_smtplib(self) -> None:
        """A message, with what SMTP does to its lines."""
        self.assert_same("smtplib")

    def test_openssl(self) -> None:
        """TLS on both sides of the relay, and to the replay."""
        self.assert_same("openssl s_client")
