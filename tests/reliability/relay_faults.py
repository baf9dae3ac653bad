"""Relay faults: bytes that pass a relay, both ways, while its faults come, change and go."""

import socket
import struct
import threading
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Any

from reqresp.faults.stages import LATENCY_BYTES, STAGE_BYTES
from reqresp.relay import RelayFactory, tcp_upstream
from reqresp.relay.relay import Relay
from reqresp.server.front_factory import front_of
from reqresp.testing import ThreadedReactor
from reqresp.transport.eager import EagerServerEndpoint
from tests.reliability.serving import MIB
from tests.reliability.values import Figure, Say, at_most, exactly, scaled
from tests.support.live import PATIENCE

#: Bytes that each side sends.
BYTES = 2**30
#: How often the faults change in that time.
CHANGES = 130
#: Faults that are there at one time, at most.
MOST_FAULTS = 4
#: Bytes that are sent at once; each such block has a number of its own.
BLOCK = 256 * 1024
#: Seconds without a byte after which the run is given up: EOF is lost, or bytes are.
SILENCE = PATIENCE

#: Faults that lose nothing, each with two sets of parameters.
KINDS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "latency": ({"delay": 0.01, "jitter": 0.01}, {"delay": 0.002}),
    "bandwidth": ({"rate": 60_000_000}, {"rate": 200_000_000}),
    "slicer": ({"size": 60_000, "variation": 5000}, {"size": 200_000}),
    "slow_close": ({"delay": 0.2}, {"delay": 0.01}),
    "timeout": ({"seconds": 10**6}, {"seconds": 10**5}),
}
#: Seconds after which a timeout ends that would end the connection much later.
STALL = 0.05


class End:
    """One end of a connection: sends blocks, and hashes what it receives."""

    def __init__(self, seed: int, size: int) -> None:
        self.received = 0
        self.received_hash = blake2b()
        self.sent_hash = blake2b()
        self.error = ""
        self._noise = Random(seed).randbytes(BLOCK - 8)  # noqa: S311 (no secret)
        self._blocks = size // BLOCK
        self._threads: list[threading.Thread] = []

    def start(self, sock: socket.socket) -> None:
        """Begin to send and to receive, each in a thread."""
        sock.settimeout(SILENCE)
        for work in (self._send, self._receive):
            thread = threading.Thread(target=self._work, args=(work, sock), daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait(self) -> None:
        """Wait until everything was sent, and EOF has arrived."""
        for thread in self._threads:
            thread.join()

    def _work(self, work: Callable[[socket.socket], None], sock: socket.socket) -> None:
        try:
            work(sock)
        except OSError as error:
            self.error = repr(error)

    def _send(self, sock: socket.socket) -> None:
        for number in range(self._blocks):
            block = struct.pack("!Q", number) + self._noise
            self.sent_hash.update(block)
            sock.sendall(block)
        sock.shutdown(socket.SHUT_WR)

    def _receive(self, sock: socket.socket) -> None:
        while piece := sock.recv(BLOCK):
            self.received_hash.update(piece)
            self.received += len(piece)


class Changes:
    """Adds, changes and removes faults of *factory*, as *random* decides."""

    def __init__(self, factory: RelayFactory, random: Random) -> None:
        self.done = 0
        self.most_held = 0
        self._factory = factory
        self._random = random

    def change(self) -> None:
        """Make one change; must be called where the relay runs."""
        self.done += 1
        faults = self._factory.faults
        self.look()
        what = self._random.choice(("add", "change", "remove"))
        if not faults or (what == "add" and len(faults) < MOST_FAULTS):
            self._add()
            return
        live = self._random.choice(faults)
        if what == "remove" or len(faults) == MOST_FAULTS:
            live.remove()
        else:
            live.change(**self._random.choice(KINDS[live.fault.kind]))

    def look(self) -> None:
        """Note how many bytes the faults hold."""
        relays = [it for it in front_of(self._factory) if isinstance(it, Relay)]
        links = [side.link for it in relays for side in (it.client, it.server)]
        held = [0 if link is None else link.held for link in links]
        self.most_held = max(self.most_held, *held, 0)

    def _add(self) -> None:
        kind = self._random.choice([*KINDS])
        arguments: dict[str, Any] = {**self._random.choice(KINDS[kind])}
        if kind == "timeout":
            arguments["for_"] = STALL
        stream = self._random.choice(("upstream", "downstream"))
        self._factory.fault(kind, stream=stream, shared=kind == "bandwidth", **arguments)


def run(scale: float, say: Say) -> list[Figure]:
    """Send both ways at once, and change the faults each time that some more has arrived."""
    size = scaled(BYTES, scale, 4 * MIB) // BLOCK * BLOCK
    count = scaled(CHANGES, scale, 20)
    client, service = End(1, size), End(2, size)
    thread = ThreadedReactor()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            reactor = thread.reactor
            upstream = tcp_upstream(reactor, "127.0.0.1", listening.getsockname()[1])
            factory = RelayFactory(upstream, clock=reactor, seed=1)
            endpoint = EagerServerEndpoint(reactor, 0, interface="127.0.0.1")
            port = thread.call(endpoint.listen, factory)
            address = "127.0.0.1", port.getHost().port
            with socket.create_connection(address, PATIENCE) as sock:
                accepted, _ = listening.accept()
                with accepted:
                    client.start(sock)
                    service.start(accepted)
                    changes = Changes(factory, Random(3))  # noqa: S311 (no secret)
                    _change_often(thread, changes, count, client, service, 2 * size)
                    say(f"{changes.done} changes; {factory.faults}")
                    for live in factory.faults:
                        thread.call(live.remove)
                    client.wait()
                    service.wait()
            thread.call(port.stopListening)
            thread.call(factory.drain, 0)
    finally:
        thread.stop()
    problems = [end.error for end in (client, service) if end.error]
    say(f"problems: {problems}")
    equal = [
        one.sent_hash.digest() == other.received_hash.digest()
        for one, other in ((client, service), (service, client))
    ]
    most = MOST_FAULTS * (LATENCY_BYTES + 4 * STAGE_BYTES)
    return [
        exactly("changes of faults while bytes pass", changes.done, count),
        exactly("bytes that have arrived upstream", service.received, size),
        exactly("bytes that have arrived downstream", client.received, size),
        exactly("directions whose bytes have the same hash at both ends", sum(equal), 2),
        exactly("connections that have failed", len(problems), 0),
        at_most("bytes held in one direction", changes.most_held / MIB, most / MIB, "MiB"),
    ]


def _change_often(
    thread: ThreadedReactor, changes: Changes, count: int, client: End, service: End, total: int
) -> None:
    """Make *count* changes while *total* bytes arrive at both ends together, evenly."""
    pause = threading.Event()
    while changes.done < count:
        arrived = client.received + service.received
        if client.error or service.error:
            return
        if arrived >= total * changes.done / (count + 1):
            thread.call(changes.change)
        else:
            pause.wait(0.001)
