"""How a port accepts: as Twisted's does, for every error of the system."""

from errno import (
    EAGAIN,
    ECONNABORTED,
    EINVAL,
    EMFILE,
    ENFILE,
    ENOBUFS,
    ENOMEM,
    EPERM,
    errorcode,
)
from socket import AF_INET, AF_INET6, socket, socketpair
from traceback import clear_frames
from typing import Any
from warnings import catch_warnings, simplefilter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.transport._accept import can_accept
from reqresp.transport.eager import EagerPort
from tests.support.wire import FakeReactor

#: What the system answers when a client waits.
CLIENT = 0
#: What the factory does for a client.
SERVE, REFUSE, FAIL = "serve", "refuse", "fail"
ERRORS = (EAGAIN, ECONNABORTED, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM)


class PlayedListener(socket):
    """
    A listening socket for which a test plays the system.

    :ivar answers: for each call: `CLIENT`, or the error that it fails with.  After the last of
        them, no client waits.
    :ivar clients: the other ends of the accepted connections.
    """

    answers: list[int]
    clients: list[socket]

    def _accept(self) -> tuple[int, tuple[Any, ...]]:
        answer = self.answers.pop(0) if self.answers else EAGAIN
        if answer != CLIENT:
            raise OSError(answer, "played")
        ours, theirs = socketpair()
        self.clients.append(theirs)
        number = 40_000 + len(self.clients)
        if self.family == AF_INET6:
            return ours.detach(), ("fe80::1", number, 0, 1)
        return ours.detach(), ("127.0.0.1", number)


class Transport:
    """Records the connections of a port, and closes their sockets."""

    def __init__(
        self, sock: socket, protocol: Any, client: Any, server: Any, number: int, _reactor: Any
    ) -> None:
        server.made.append((number, client, sock.family, sock.type))
        assert protocol is not None
        sock.close()


class PlayedPort:
    """A mixin for ports that listen on a `PlayedListener`."""

    transport: Any = Transport
    socket: Any

    def createInternetSocket(self) -> PlayedListener:  # noqa: N802, Twisted's name
        made: socket = super().createInternetSocket()  # type: ignore[misc]
        played = PlayedListener(fileno=made.detach())
        played.setblocking(False)
        played.answers, played.clients = [], []
        self.made: list[Any] = []
        return played


class StockPort(PlayedPort, tcp.Port):
    """Twisted's port."""


class OurPort(PlayedPort, EagerPort):
    """The port that is tested."""


class Choosy(Factory):
    """Does with each client what its *plan* says; it serves those that follow."""

    noisy = False

    def __init__(self, plan: list[str]) -> None:
        self.plan = plan
        self.peers: list[Any] = []

    def buildProtocol(self, addr: Any) -> Protocol | None:
        self.peers.append(addr)
        what = self.plan.pop(0) if self.plan else SERVE
        if what == FAIL:
            raise ZeroDivisionError
        return None if what == REFUSE else Protocol()


class AcceptTests(SynchronousTestCase):
    """Ports for which the system is played."""

    def listen(self, kind: Any, plan: list[str], interface: str = "127.0.0.1") -> Any:
        port = kind(0, Choosy(plan), interface=interface, reactor=FakeReactor())
        port.startListening()
        self.assertTrue(can_accept(port.socket))
        return port

    def close(self, port: Any) -> None:
        for client in port.socket.clients:
            client.close()
        port.connectionLost(Failure(ConnectionDone()))

    def read(self, port: Any, turns: list[list[int]]) -> list[Any]:
        """Play each of *turns* to *port*, and return what it has done in each."""
        seen = []
        for answers in turns:
            observer = EventLoggingObserver()
            globalLogPublisher.addObserver(observer)
            port.socket.answers = [*answers]
            try:
                port.doRead()
            finally:
                globalLogPublisher.removeObserver(observer)
            logged = [formatEvent(it) for it in observer if not it.get("isError")]
            left = len(port.socket.answers)
            errors = self.flushLoggedErrors()
            types = [it.type for it in errors]
            for error in errors:
                clear_frames(error.value.__traceback__)  # the log keeps it
            seen.append((port.made[:], port.factory.peers[:], logged, types, left))
        return seen

    @given(
        st.lists(st.lists(st.sampled_from([CLIENT, CLIENT, CLIENT, *ERRORS])), max_size=4),
        st.lists(st.sampled_from([SERVE, SERVE, REFUSE])),
    )
    def test_everything_is_done_as_by_twisted(
        self, turns: list[list[int]], plan: list[str]
    ) -> None:
        """Whatever the system and the factory do: connections, numbers, limits and log."""
        self.assertEqual(self.play(OurPort, turns, plan), self.play(StockPort, turns, plan))

    def play(self, kind: Any, turns: list[list[int]], plan: list[str]) -> tuple[Any, int]:
        port = self.listen(kind, [*plan])
        try:
            return self.read(port, turns), min(port.numberAccepts, 100)
        finally:
            self.close(port)

    def test_a_factory_that_raises_ends_the_turn(self) -> None:
        """The error is logged; clients that wait are accepted in the next turn."""
        turns, plan = [[CLIENT] * 3, [CLIENT] * 2], [SERVE, FAIL]
        with catch_warnings():  # as in Twisted, the client is not closed
            simplefilter("ignore", ResourceWarning)
            ours, stock = (self.play(kind, turns, plan) for kind in (OurPort, StockPort))
        self.assertEqual(ours, stock)
        [(_, peers, _, errors, left), (made, *_)] = ours[0]
        self.assertEqual((len(peers), errors, left), (2, [ZeroDivisionError], 1))
        self.assertEqual([number for number, *_ in made], [0, 1, 2])

    def accept(self, *answers: int, plan: list[str] | None = None) -> Any:
        """Return a port that has accepted once, while the system gave *answers*."""
        port = self.listen(OurPort, plan or [])
        self.addCleanup(self.close, port)
        [(_, _, self.logged, _, self.left)] = self.read(port, [[*answers]])
        return port

    def test_an_aborted_client_ends_the_turn(self) -> None:
        """Likewise if the system has no memory: it is logged, and the others wait."""
        for error in (ECONNABORTED, ENFILE, ENOBUFS, ENOMEM):
            port = self.accept(CLIENT, error, CLIENT)
            self.assertEqual(len(port.made), 1)
            said = f"Could not accept new connection ({errorcode[error]})"
            self.assertEqual((self.logged, self.left), ([said], 1))

    def test_a_client_that_a_firewall_rejects_is_passed_over(self) -> None:
        port = self.accept(CLIENT, EPERM, EPERM, CLIENT)
        self.assertEqual([number for number, *_ in port.made], [0, 1])
        self.assertEqual(self.logged, [])

    def test_without_descriptors_all_that_wait_are_closed(self) -> None:
        """The reserved descriptor is used for one after another, and reserved again."""
        port = self.accept(CLIENT, EMFILE, CLIENT, CLIENT)
        self.assertEqual(len(port.made), 1)
        for client in port.socket.clients:
            self.assertEqual(client.recv(1), b"")
        self.assertEqual(
            self.logged,
            [
                "EMFILE encountered; releasing reserved file descriptor.",
                "EMFILE recovery: Closed socket from ('127.0.0.1', 40002)",
                "EMFILE recovery: Closed socket from ('127.0.0.1', 40003)",
                "Re-reserving EMFILE recovery file descriptor.",
            ],
        )
        self.assertTrue(tcp._reservedFD.available())

    def test_without_a_reserved_descriptor_clients_wait(self) -> None:
        nothing = tcp._FileDescriptorReservation(socket)
        self.patch(nothing, "reserve", lambda: None)
        self.patch(tcp, "_reservedFD", nothing)
        self.accept(EMFILE, CLIENT)
        said = ["Could not accept new connection (EMFILE)"]
        self.assertEqual((self.logged, self.left), (said, 1))

    def test_a_client_without_a_protocol_is_closed_at_once(self) -> None:
        """It has no number, and the next client is served."""
        port = self.accept(CLIENT, CLIENT, plan=[REFUSE, SERVE])
        self.assertEqual(port.socket.clients[0].recv(1), b"")
        self.assertEqual([number for number, *_ in port.made], [0])

    def test_an_accepted_socket_is_one_of_pythons(self) -> None:
        """It has the family and the type of the listening socket."""
        port = self.accept(CLIENT)
        [(_, client, family, kind)] = port.made
        self.assertEqual((client, family), (("127.0.0.1", 40_001), AF_INET))
        self.assertEqual(kind, port.socketType)

    def test_the_address_of_an_ipv6_client_has_its_scope(self) -> None:
        """As in Twisted: the text names the interface."""
        names = []
        for kind in (StockPort, OurPort):
            try:
                port = self.listen(kind, [], "::1")
            except CannotListenError as error:
                self.skipTest(f"no IPv6 on this machine: {error}")
            self.addCleanup(self.close, port)
            self.read(port, [[CLIENT]])
            [peer] = port.factory.peers
            names.append((peer, port.made))
        self.assertEqual(*names)
        self.assertIn("%", names[0][0].host)

    def test_the_number_of_clients_in_a_turn_follows_the_traffic(self) -> None:
        """It grows while as many wait as may, and falls to as many as were there."""
        port = self.listen(OurPort, [])
        self.addCleanup(self.close, port)
        limits = []
        for waiting in (3, 3, 30, 30, 0):
            self.read(port, [[CLIENT] * waiting])
            limits.append(port.numberAccepts)
        self.assertEqual(limits, [3, 23, 43, 30, 1])


class ForeignListenerTests(SynchronousTestCase):
    """Sockets that accept in a way of their own."""

    def test_they_are_left_to_twisted(self) -> None:
        """A played socket, and one that wraps what it accepts."""

        class Wrapping(socket):
            def accept(self) -> Any:
                raise NotImplementedError

        self.assertFalse(can_accept(object()))
        with Wrapping() as listening:
            self.assertFalse(can_accept(listening))
