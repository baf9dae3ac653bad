"""Client programs, recorded in front of real services, and replayed without them."""

from tests.support import live
from tests.support.clients import ClientProgram, with_each_program
from tests.support.live_case import LiveTestCase


@with_each_program
class ReplayedTests(LiveTestCase):
    """The output of a client program from a recording is that from the service."""

    def check_program(self, program: ClientProgram) -> None:
        """Record *program*, stop its service, and run it twice with the recording."""
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
