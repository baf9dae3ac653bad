"""The sockets of all workers: which stay, which are opened, and which are closed."""

from typing import Any

from twisted.internet.defer import Deferred

from reqresp.daemon.service_listeners import OwnListeners
from reqresp.daemon.shared_sockets import SharedSockets, check_modes
from reqresp.services.endpoints import EndpointSpec
from reqresp.services.errors import ListenError
from reqresp.services.registry import Wanted
from tests.support.served import MemoryEndpoint, MemoryPort, Served

A = '[[service]]\nname = "a"\nlisten = [1, 2]\n'
B = '[[service]]\nname = "b"\nlisten = 3\n'
ANY = '[[service]]\nname = "any"\nlisten = 0\n'


class Port(MemoryPort):
    """A port that can leave its clients to other processes."""

    is_reading = True

    def stopReading(self) -> None:
        self.is_reading = False


class SocketsCase(Served):
    """Sockets on a network in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.sockets = SharedSockets()
        self.own = OwnListeners([], self.make)

    def make(self, spec: EndpointSpec) -> Any:
        return MemoryEndpoint(self.network, spec.name, Port)

    def use(self, text: str) -> list[str]:
        """Have the sockets of the services of *text*; return the names of those that go."""
        planned = self.sockets.plan(self.own.again(self.definitions(text)).all)
        gone = self.successResultOf(Deferred.fromCoroutine(self.sockets.use(planned)))
        for port in gone:
            port.stopListening()
        return [port.name for port in gone]

    def places(self) -> list[tuple[str, str]]:
        return [(it.place[0], it.port.name) for it in self.sockets]

    def close(self) -> None:
        """Close them."""
        for it in self.sockets:
            it.port.stopListening()
        self.sockets = SharedSockets()


class SharedSocketsTests(SocketsCase):
    """They follow the services."""

    def test_come_and_go(self) -> None:
        """What stays is the same socket; no client is accepted here."""
        self.assertEqual(self.use(A), [])
        first, second = (it.port for it in self.sockets)
        self.assertFalse(first.is_reading)
        self.assertEqual(self.use(A.replace("[1, 2]", "2") + B), ["127.0.0.1:1"])
        self.assertEqual(self.places(), [("a", "127.0.0.1:2"), ("b", "127.0.0.1:3")])
        self.assertIs(next(iter(self.sockets)).port, second)
        self.assertEqual({*self.network.open}, {"127.0.0.1:2", "127.0.0.1:3"})

    def test_an_address_that_passes_to_another_service(self) -> None:
        """Its socket does; a port that the system has chosen stays with its service."""
        self.use(B + ANY)
        first, second = (it.port for it in self.sockets)
        self.assertEqual(self.use(B.replace('"b"', '"c"') + ANY), [])
        self.assertEqual([it.port for it in self.sockets], [first, second])
        self.assertEqual([it.place[0] for it in self.sockets], ["c", "any"])
        planned = self.sockets.plan(
            self.own.again(self.definitions(ANY.replace('"any"', '"other"'))).all
        )
        self.assertEqual([it.open for it in planned], [None])

    def test_one_that_cannot_be_opened(self) -> None:
        """Nothing has changed then."""
        self.use(A)
        before = [*self.sockets]
        self.network.broken.add("127.0.0.1:4")
        text = A + B.replace("= 3", "= [3, 4]")
        planned = self.sockets.plan(self.own.again(self.definitions(text)).all)
        failed = Deferred.fromCoroutine(self.sockets.use(planned))
        failure = self.failureResultOf(failed, ListenError)
        self.assertEqual(str(failure.value), "cannot listen on 127.0.0.1:4: Address already in use")
        self.assertEqual([*self.sockets], before)
        self.assertEqual({*self.network.open}, {"127.0.0.1:1", "127.0.0.1:2"})


class ModesTests(SocketsCase):
    """How the sockets that stay treat clients."""

    def wanted(self, text: str) -> dict[str, Wanted]:
        return {it[0].name: it for it in self.loaded(text)}

    def check(self, before: str, after: str) -> None:
        """Check the change of services."""
        self.use(before)
        planned = self.sockets.plan(self.own.again(self.definitions(after)).all)
        self.close()
        check_modes(planned, self.wanted(before), self.wanted(after))

    def test_what_workers_cannot_change(self) -> None:
        """A socket that is held or refused cannot pass to a service that begins anew."""
        hold, refuse = B + 'accept = "hold"\n', B + 'accept = "refuse"\n'
        anew = 'allow = "127.0.0.1"\n'
        self.check(B, hold)
        self.check(hold, B)
        self.check(B, B + anew)
        self.check(hold, hold.replace("= 3", "= 5") + anew)
        for before, after in ((B, refuse), (hold, hold + anew), (hold, B.replace('"b"', '"c"'))):
            with self.assertRaisesRegex(ValueError, "with --workers, this takes a restart"):
                self.check(before, after)
