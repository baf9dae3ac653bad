"""Client programs through relays, with and without faults, in front of real services."""

from tests.support import live
from tests.support.clients import PROGRAMS, ClientProgram
from tests.support.live import Server
from tests.support.live_case import LiveTestCase
from tests.support.services import Service

#: Bytes come late and in other pieces, both ways.
HARMLESS = "".join(
    f"""
[[fault]]
name = "{stream}, {kind}"
stream = "{stream}"
kind = "{kind}"
{parameters}
"""
    for stream in ("upstream", "downstream")
    for kind, parameters in (
        ("latency", "delay = 0.002\njitter = 0.001"),
        ("slicer", "size = 600\nvariation = 500"),
    )
)
RESETS = """
[[fault]]
stream = "downstream"
kind = "reset_peer"
bytes = 30
"""


class ForwardedTests(LiveTestCase):
    """The real service, a client program, and a relay in between."""

    def relay(self, program: ClientProgram, service: Service, *options: str) -> Server:
        """Start the relay that *program* talks to."""
        if program.tls:
            (self.directory / "it.pem").write_bytes(live.pem())
            options += ("--tls-cert=it.pem", "--forward-tls", "--forward-ca=it.pem")
            options += ("--forward-name=localhost",)
        return self.serve(f"--forward={service.forward}", *options)

    def assert_same(self, name: str) -> None:
        """
        Assert that the output of the program *name* is the same directly and forwarded.

        It is so if bytes come late and in pieces, but not if the connection is reset.
        """
        [program] = [it for it in PROGRAMS if it.name == name]
        with program.start() as service:
            direct = program.run(*service.address)
            relay = self.relay(program, service)
            forwarded = program.run("127.0.0.1", relay.port)
            self.assertEqual(relay.stop(), -15)
            late = self.broken(program, service, HARMLESS)
            reset = self.broken(program, service, RESETS)
        self.assertGreater(len(direct), 50)
        self.assertEqual(forwarded, direct)
        self.assertEqual(late, direct)
        self.assertNotEqual(reset, direct)

    def broken(self, program: ClientProgram, service: Service, faults: str) -> str:
        """Return the output of *program* through a relay with *faults*, or the error it raises."""
        upstream = f'[upstream]\naddress = "{service.forward}"\n'
        (self.directory / "it.toml").write_text(f"seed = 1\n{upstream}{faults}")
        with self.relay(program, service, "--script=it.toml") as relay:
            try:
                return program.run("127.0.0.1", relay.port)
            except Exception as error:  # each program has errors of its own
                return repr(error)
            finally:
                relay.log.wait("faults: ")

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
        """TLS on both sides of the relay."""
        self.assert_same("openssl s_client")

    def test_every_program_has_a_test(self) -> None:
        """One that is added to the table is not forgotten."""
        names = {
            *("redis-py, RESP2", "redis-py, RESP3", "pymemcache", "psql", "psycopg", "smtplib"),
            "openssl s_client",
        }
        self.assertEqual({it.name for it in PROGRAMS}, names)

    def test_tls_passes_through(self) -> None:
        """A relay without TLS of its own passes the client's to the service."""
        [program] = [it for it in PROGRAMS if it.tls]
        with program.start() as service:
            relay = self.serve(f"--forward={service.forward}")
            forwarded = program.run("127.0.0.1", relay.port)
            self.assertEqual(forwarded, program.run(*service.address))
