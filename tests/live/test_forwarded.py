"""Client programs through relays, with and without faults, in front of real services."""

from tests.support import live
from tests.support.clients import PROGRAMS, ClientProgram, with_each_program
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


@with_each_program
class ForwardedTests(LiveTestCase):
    """The real service, a client program, and a relay in between."""

    def relay(self, program: ClientProgram, service: Service, *options: str) -> Server:
        """Start the relay that *program* talks to."""
        if program.tls:
            (self.directory / "it.pem").write_bytes(live.pem())
            options += ("--tls-cert=it.pem", "--forward-tls", "--forward-ca=it.pem")
            options += ("--forward-name=localhost",)
        return self.serve(f"--forward={service.forward}", *options)

    def check_program(self, program: ClientProgram) -> None:
        """
        Check that the output of *program* is the same directly and forwarded.

        It is so if bytes come late and in pieces, but not if the connection is reset.
        """
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

    def test_tls_passes_through(self) -> None:
        """A relay without TLS of its own passes the client's to the service."""
        [program] = [it for it in PROGRAMS if it.tls]
        with program.start() as service:
            relay = self.serve(f"--forward={service.forward}")
            forwarded = program.run("127.0.0.1", relay.port)
            self.assertEqual(forwarded, program.run(*service.address))
