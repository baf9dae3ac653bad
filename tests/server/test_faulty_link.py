"""A relay with faults, on the network in memory: what the client and the service see, and when."""

from typing import Any

from twisted.internet.interfaces import IAddress

from reqresp.faults import DirectedFault, Direction, make_fault
from reqresp.faults.stages import LATENCY_BYTES, STAGE_BYTES
from reqresp.relay import Unreachable
from reqresp.relay._connecting import DELIVERY_SECONDS
from reqresp.server.counters import Counters
from reqresp.server.limits import Limits
from reqresp.server.observers import Observer
from tests.support.relayed import RELAY_PORT, RelayedCase, Service

KIB = 1024


def directed(kind: str, stream: str, **arguments: Any) -> DirectedFault:
    """Return a fault whose name is its kind."""
    placed = {it: arguments.pop(it) for it in ("after", "for_", "shared") if it in arguments}
    fault = make_fault(kind, arguments)
    return DirectedFault(fault=fault, stream=stream, name=kind, **placed)


def waiting(service: Service) -> int:
    """Return how many bytes the service could not send yet."""
    transport = service.transport
    size: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return size


class FaultyCase(RelayedCase):
    """A relay with a fault for each test to add."""

    def fault(self, kind: str, stream: str, **arguments: Any) -> Any:
        return self.factory.fault(kind, stream=stream, **arguments)


class LatencyTests(FaultyCase):
    """Bytes and endings that take their time."""

    def test_each_direction_has_its_own(self) -> None:
        """Upstream is from the client to the service."""
        self.fault("latency", "upstream", delay=2)
        self.fault("latency", "downstream", delay=3)
        client, service = self.connect_both()
        client.send(b"request")
        self.advance(1.9)
        self.assertEqual(service.got, b"")
        self.advance(0.1)
        self.assertEqual(service.got, b"request")
        service.transport.write(b"reply")
        self.advance(2.9)
        self.assertEqual(client.received(), b"")
        self.advance(0.1)
        self.assertEqual(client.received(), b"reply")

    def test_a_half_close_is_as_late_as_bytes(self) -> None:
        """The reply after it still comes."""
        self.fault("latency", "upstream", delay=2)
        client, service = self.connect_both()
        client.send(b"request")
        client.half_close()
        self.advance(1)
        self.assertFalse(service.eof)
        self.advance(1)
        self.assertEqual((service.got, service.eof), (b"request", True))
        service.transport.write(b"reply")
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b"reply", True))
        self.assertEqual(self.factory.open, 0)

    def test_the_second_half_close_is_late_too(self) -> None:
        """The connections are closed once the later of both has arrived."""
        self.fault("latency", "upstream", delay=2)
        client, service = self.connect_both()
        client.send(b"request")
        client.half_close()
        service.transport.loseWriteConnection()
        self.advance(1)
        self.assertEqual((client.got_eof, service.eof), (True, False))
        self.advance(1)
        self.assertEqual((service.got, service.eof), (b"request", True))
        self.assertEqual(self.factory.open, 0)

    def test_a_reset_is_as_late_as_bytes(self) -> None:
        """It is a reset still, after the bytes before it."""
        self.fault("latency", "downstream", delay=2)
        client, service = self.connect_both()
        service.transport.write(b"half a rep")
        self.advance(0)
        service.transport.abortConnection()
        self.advance(1)
        self.assertEqual((client.received(), client.got_reset), (b"", False))
        self.advance(1)
        self.assertEqual(client.received(), b"half a rep")
        self.advance(1)
        self.assertTrue(client.got_reset)
        self.assertEqual(self.factory.open, 0)

    def test_a_reset_that_is_on_its_way_for_long(self) -> None:
        """It is not early: a client that reads gets it after the delay."""
        self.fault("latency", "downstream", delay=20)
        client, service = self.connect_both()
        service.transport.write(b"half a rep")
        service.transport.abortConnection()
        self.advance(19)
        self.assertEqual((client.received(), client.got_reset), (b"", False))
        self.advance(2)
        self.assertTrue(client.got_reset)
        self.assertEqual((self.factory.open, self.reactor.getDelayedCalls()), (0, []))

    def test_a_reset_of_the_service_reaches_a_client_that_does_not_read(self) -> None:
        """After the seconds that delivery has; bytes that wait do not keep the connection."""
        self.fault("latency", "downstream", delay=2)
        client, service = self.connect_both()
        client.stop_reading()
        service.transport.write(b"x" * 300 * KIB)
        self.advance(3)
        service.transport.abortConnection()
        self.advance(1)
        self.assertFalse(client.got_reset)
        self.advance(DELIVERY_SECONDS)
        self.assertTrue(client.got_reset)
        self.assertEqual((self.factory.open, self.reactor.getDelayedCalls()), (0, []))

    def test_bytes_of_a_client_that_has_left_still_arrive(self) -> None:
        """And nothing is left of the connection."""
        self.fault("latency", "upstream", delay=2)
        client, service = self.connect_both()
        client.send(b"last words")
        client.close()
        self.advance(1)
        self.assertEqual(service.got, b"")
        self.advance(1)
        self.assertEqual((service.got, service.eof), (b"last words", True))
        service.transport.loseConnection()
        self.advance(2)
        self.assertEqual(self.factory.open, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_what_a_client_sends_before_the_connection_upstream(self) -> None:
        """It is delayed from the moment when it could be passed on."""
        self.fault("latency", "upstream", delay=2)
        client = self.reactor.connect_peer(RELAY_PORT)
        client.send(b"early")
        self.advance(1)
        self.assertEqual(self.services.made[0].got, b"")
        self.advance(1)
        self.assertEqual(self.services.made[0].got, b"early")

    def test_a_fault_that_holds_a_reset_is_removed(self) -> None:
        """The reset of a client that is gone leaves at once, also after the service's EOF."""
        slow = self.fault("latency", "upstream", delay=20)
        client, service = self.connect_both()
        client.reset()
        service.transport.loseWriteConnection()
        self.advance(0)
        self.assertEqual(self.factory.open, 1)
        slow.remove()
        self.advance(0)
        self.assertTrue(service.was_reset)
        self.assertEqual(self.factory.open, 0)


class BandwidthTests(FaultyCase):
    """A rate, for each connection or for all."""

    def test_a_rate(self) -> None:
        """As much arrives as the rate allows; the rest follows."""
        self.fault("bandwidth", "downstream", rate=1000)
        client, service = self.connect_both()
        service.transport.write(b"x" * 2500)
        self.advance(1.01)
        self.assertEqual(len(client.received()), 1000)
        self.advance(1.5)
        self.assertEqual(len(client.received()), 1500)

    def test_a_shared_rate(self) -> None:
        """All connections together have it, in equal parts; one that ends leaves its part."""
        self.fault("bandwidth", "downstream", rate=1000, shared=True)
        pairs = [self.connect_both() for _ in range(4)]
        for _, service in pairs:
            service.transport.write(b"x" * 1000)
        for _ in range(40):
            self.advance(0.05)
        sizes = [len(client.received()) for client, _ in pairs]
        self.assertEqual(sizes, [500] * 4)
        pairs[0][0].reset()
        for _ in range(30):
            self.advance(0.05)
        self.assertEqual([len(client.received()) for client, _ in pairs[1:]], [500] * 3)

    def test_a_client_that_does_not_read_takes_no_part_of_a_shared_rate(self) -> None:
        """The others have it."""
        self.fault("bandwidth", "downstream", rate=1_000_000, shared=True)
        (deaf, deaf_service), (client, service) = self.connect_both(), self.connect_both()
        deaf.stop_reading()
        deaf_service.transport.write(b"x" * 2_000_000)
        service.transport.write(b"x" * 2_000_000)
        for _ in range(60):
            self.advance(0.05)
        self.assertEqual(len(client.received()), 2_000_000)


class EndingFaultTests(FaultyCase):
    """Faults that end connections."""

    def test_limit_data_delivers_the_last_byte(self) -> None:
        """Then both sides are closed in order."""
        self.fault("limit_data", "downstream", bytes=5)
        client, service = self.connect_both()
        service.transport.write(b"abc")
        service.transport.write(b"defg")
        self.advance(0)
        self.assertEqual(
            (client.received(), client.got_eof, client.got_reset), (b"abcde", True, False)
        )
        self.assertTrue(service.eof)
        client.close()
        service.transport.loseConnection()
        self.advance(2)
        self.assertEqual(self.factory.open, 0)

    def test_reset_peer_resets_both_sides(self) -> None:
        """Not EOF: a client must be able to tell."""
        self.fault("reset_peer", "downstream", bytes=3, delay=2)
        client, service = self.connect_both()
        service.transport.write(b"abcde")
        self.advance(1)
        self.assertEqual((client.received(), client.got_eof), (b"abc", False))
        self.advance(1.1)
        self.assertTrue(client.got_reset)
        self.assertTrue(service.was_reset)
        self.assertEqual(self.factory.open, 0)

    def test_reset_peer_on_an_open_connection(self) -> None:
        """Also where nothing passes."""
        client, service = self.connect_both()
        client.send(b"hello")
        self.fault("reset_peer", "upstream")
        self.advance(0.1)
        self.assertTrue(client.got_reset)
        self.assertTrue(service.was_reset)

    def test_reset_peer_resets_a_client_that_does_not_read(self) -> None:
        """After the seconds that delivery has."""
        self.fault("reset_peer", "downstream", delay=1)
        client, service = self.connect_both()
        client.stop_reading()
        service.transport.write(b"x" * 200 * KIB)
        self.advance(1)
        self.advance(DELIVERY_SECONDS)
        self.assertTrue(client.got_reset)
        self.assertEqual(self.factory.open, 0)

    def test_a_probability_of_0_applies_to_no_connection(self) -> None:
        """Nothing is reset, and there is nothing in between."""
        self.fault("reset_peer", "downstream", probability=0)
        client, service = self.connect_both()
        service.transport.write(b"abc")
        self.advance(10)
        self.assertEqual((client.received(), client.got_reset), (b"abc", False))

    def test_timeout_closes_under_traffic(self) -> None:
        """Both sides are closed in order after the time, whatever arrives."""
        self.fault("timeout", "downstream", seconds=2)
        client, service = self.connect_both()
        for _ in range(25):
            service.transport.write(b"x" * KIB)
            client.send(b"y")
            self.advance(0.1)
        self.assertEqual((client.received(), client.got_eof), (b"", True))
        self.assertTrue(service.eof)

    def test_a_timeout_without_a_time_does_not_keep_what_has_ended(self) -> None:
        """A client that leaves ends the connection upstream."""
        self.fault("timeout", "upstream", seconds=0)
        client, service = self.connect_both()
        client.send(b"hello")
        self.advance(100)
        self.assertEqual((service.got, service.eof), (b"", False))
        client.close()
        self.advance(0)
        self.assertTrue(service.eof)
        service.transport.loseConnection()
        self.advance(2)
        self.assertEqual(self.factory.open, 0)

    def test_a_timeout_without_a_time_ends_with_a_client_that_sends_much(self) -> None:
        """The client's end is noticed however much it has sent; the service gets nothing of it."""
        self.fault("timeout", "upstream", seconds=0)
        client, service = self.connect_both()
        for _ in range(50):
            client.send(b"x" * 10 * KIB)
            self.advance(0.1)
        client.half_close()
        self.advance(0.1)
        self.assertEqual((service.got, service.eof, client.got_eof), (b"", True, True))
        service.transport.loseConnection()
        self.advance(2)
        self.assertEqual(self.factory.open, 0)

    def test_a_timeout_without_a_time_that_goes(self) -> None:
        """If it has dropped bytes, both connections are reset: no side continues with a gap."""
        fault = self.fault("timeout", "upstream", seconds=0)
        client, service = self.connect_both()
        for _ in range(50):
            client.send(b"x" * 10 * KIB)
            self.advance(0.1)
        fault.remove()
        self.advance(0.1)
        self.assertTrue(client.got_reset)
        self.assertTrue(service.was_reset)
        self.assertEqual(service.got, b"x" * len(service.got))

    def test_slow_close_delays_eof_only(self) -> None:
        """The bytes before it arrive at once."""
        self.fault("slow_close", "downstream", delay=3)
        client, service = self.connect_both()
        service.transport.write(b"bye")
        service.transport.loseConnection()
        self.advance(2.9)
        self.assertEqual((client.received(), client.got_eof), (b"bye", False))
        self.advance(0.1)
        self.assertTrue(client.got_eof)

    def test_a_blackhole_takes_and_drops(self) -> None:
        """The service is not stopped; once it is removed, bytes pass again."""
        with self.fault("blackhole", "downstream"):
            client, service = self.connect_both()
            service.transport.write(b"x" * 1000 * KIB)
            self.advance(0)
            self.assertEqual((client.received(), waiting(service)), (b"", 0))
        service.transport.write(b"again")
        self.advance(0)
        self.assertEqual(client.received(), b"again")


class BackpressureTests(FaultyCase):
    """Faults hold little, and stop the side that sends."""

    def test_a_slow_direction_stops_the_service(self) -> None:
        """About one stage is held."""
        self.fault("bandwidth", "downstream", rate=1)
        _, service = self.connect_both()
        service.transport.write(b"x" * 1000 * KIB)
        self.advance(0)
        held = 1000 * KIB - waiting(service)
        self.assertLess(held, 4 * STAGE_BYTES)

    def test_a_long_direction_stops_the_service_later(self) -> None:
        """A delay holds as many bytes as are on their way."""
        self.fault("latency", "downstream", delay=1000)
        _, service = self.connect_both()
        service.transport.write(bytes(2 * LATENCY_BYTES))
        self.advance(0)
        held = 2 * LATENCY_BYTES - waiting(service)
        self.assertLess(held, LATENCY_BYTES + 4 * STAGE_BYTES)
        self.assertGreaterEqual(held, LATENCY_BYTES)

    def test_a_client_that_does_not_read_stops_the_service(self) -> None:
        """And gets everything when it reads on."""
        self.fault("latency", "downstream", delay=1)
        client, service = self.connect_both()
        client.stop_reading()
        service.transport.write(bytes(3 * LATENCY_BYTES))
        for _ in range(20):
            self.advance(1)
        self.assertGreater(waiting(service), LATENCY_BYTES)
        client.resume_reading()
        total = 0
        for _ in range(20):
            self.advance(1)
            total += len(client.received())
        self.assertEqual(total, 3 * LATENCY_BYTES)


class LiveTests(FaultyCase):
    """Faults that come, change and go while connections are open."""

    def test_added_changed_and_removed(self) -> None:
        """Each holds at once for bytes that come, and for those that wait."""
        client, service = self.connect_both()
        with self.fault("latency", "downstream", delay=10) as slow:
            service.transport.write(b"a")
            self.advance(1)
            slow.change(delay=2)
            self.advance(0.9)
            self.assertEqual(client.received(), b"")
            self.advance(0.1)
            self.assertEqual(client.received(), b"a")
            service.transport.write(b"b")
            self.advance(1)
            self.assertEqual(client.received(), b"")
        self.advance(0)
        self.assertEqual(client.received(), b"b")
        self.assertEqual(self.factory.faults, ())

    def test_the_last_one_that_is_removed_leaves_nothing_in_between(self) -> None:
        """What was held while the client did not read comes before what comes later."""
        client, service = self.connect_both()
        slow = self.fault("latency", "downstream", delay=10)
        service.transport.write(bytes(range(256)) * 1000)
        self.advance(0)
        client.stop_reading()
        slow.remove()
        service.transport.write(b"end")
        self.advance(0)
        client.resume_reading()
        self.advance(0)
        self.assertEqual(client.received(), bytes(range(256)) * 1000 + b"end")

    def test_a_probability_that_changes(self) -> None:
        """The connections that are affected are the same for the same probability."""
        self.arguments = {"seed": 7}
        self.setUp()
        fault = self.fault("timeout", "downstream", seconds=0, probability=0.5)
        pairs = [self.connect_both() for _ in range(20)]

        def silent() -> list[bool]:
            for _, service in pairs:
                service.transport.write(b".")
            self.advance(0)
            return [not client.received() for client, _ in pairs]

        half = silent()
        self.assertTrue(5 < sum(half) < 15)
        fault.change(probability=0)
        self.assertEqual(silent(), [False] * 20)
        fault.change(probability=1)
        self.assertEqual(silent(), [True] * 20)
        fault.change(probability=0.5)
        self.assertEqual(silent(), half)

    def test_windows(self) -> None:
        """The time counts from the moment when both sides are connected."""
        self.fault("timeout", "downstream", seconds=0, after=1, for_=2)
        client, service = self.connect_both()
        found = []
        for _ in range(4):
            service.transport.write(b".")
            self.advance(0)
            found.append(client.received())
            self.advance(1)
        self.assertEqual(found, [b".", b"", b"", b"..."])

    def test_an_observer_that_changes_faults(self) -> None:
        """It may do so from within an event."""
        case = self

        class Remover(Observer):
            def faulted(
                self, peer: IAddress, connection: int, direction: Direction, fault: str
            ) -> None:
                for live in case.factory.faults:
                    live.remove()

        self.arguments = {"observers": [Remover()]}
        self.setUp()
        client, service = self.connect_both()
        self.fault("latency", "downstream", delay=10)
        service.transport.write(b"abc")
        self.advance(0)
        self.assertEqual(client.received(), b"abc")


class HostTests(FaultyCase):
    """What the server sees of connections with faults."""

    arguments = {"limits": Limits(idle_timeout=60), "unreachable": Unreachable.CLOSE}

    def test_a_drain_waits_for_what_is_on_its_way(self) -> None:
        """The reply that a fault holds is delivered first."""
        self.fault("latency", "downstream", delay=3)
        client, service = self.connect_both()
        client.send(b"request")
        service.transport.write(b"reply")
        self.advance(0)
        self.factory.drain(10)
        self.advance(2)
        self.assertFalse(client.got_eof)
        for _ in range(15):
            self.advance(0.1)
        self.assertEqual((client.received(), client.got_eof), (b"reply", True))

    def test_a_slow_direction_is_not_idle(self) -> None:
        """As long as bytes leave, the connection stays."""
        self.fault("bandwidth", "downstream", rate=10)
        client, service = self.connect_both()
        service.transport.write(b"x" * 2000)
        for _ in range(180):
            self.advance(1)
        self.assertFalse(client.got_eof)
        self.assertEqual(len(client.received()), 1800)


class Watcher(Observer):
    """Keeps which faults were injected."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Direction, str]] = []

    def faulted(self, peer: IAddress, connection: int, direction: Direction, fault: str) -> None:
        self.found.append((connection, direction, fault))


class ReportTests(FaultyCase):
    """Which faults were injected, for observers and metrics."""

    def setUp(self) -> None:
        self.watcher, self.counters = Watcher(), Counters()
        self.arguments = {
            "observers": [self.watcher],
            "counters": self.counters,
            "faults": [
                directed("latency", "upstream", delay=1),
                directed("slow_close", "downstream", delay=1),
            ],
        }
        super().setUp()

    def test_once_for_each_connection(self) -> None:
        """When a fault first affects it: by its name, and in the metrics by its kind."""
        client, service = self.connect_both()
        self.connect_both()
        self.assertEqual(self.watcher.found, [])
        client.send(b"a", b"b")
        self.assertEqual(self.watcher.found, [(1, Direction.UPSTREAM, "latency")])
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual(self.watcher.found[1:], [(1, Direction.DOWNSTREAM, "slow_close")])
        self.assertEqual(dict(self.counters.faults), {"latency": 1, "slow_close": 1})
