"""
Stream: a connection's transport, and how it ends.

Gathers what is to be written, notices when the transport is full, reads from it or doesn't, and
closes it so that nothing sent is lost.  It knows bytes and Twisted's transports, and nothing of
requests: `Connection`, which builds on it, is told when there is work again.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.steps import Steps
from reqresp.transport.closing import can_half_close, undelivered, when_sent
from reqresp.transport.eager import EagerServer

if TYPE_CHECKING:
    from reqresp.server.config import ServerConfig
    from reqresp.server.factory import ReqRespFactory

#: Bytes of replies gathered for one write: what came together is answered together, and a client
#: that does not read is noticed before much waits for it.
GATHER = 64 * 1024
#: Seconds that a client has to end its side once ours is ended, while what it sends is dropped.
LINGER = 1.0

# One for all, as in Twisted's reactors: a Failure finds out once what it is.
_CONNECTION_DONE = Failure(CONNECTION_DONE)


class IStream(ITCPTransport, IConsumer, IPushProducer):
    """What a connection needs of its transport; ITCPTransport alone lacks the producer's part."""


class Hanging:
    """Holds a connection for good."""

    def cancel(self) -> None:
        """There is nothing to stop."""


HANGING = Hanging()


@implementer(IHalfCloseableProtocol, IPushProducer)
class Stream(Protocol):
    """
    The transport's side of a connection.

    It is its transport's producer: a client that does not read what it asked for is not read from.
    """

    _log = Logger()

    factory: "ReqRespFactory"
    #: The factory's when the client connected: it stays until the client goes.
    config: "ServerConfig"
    transport: IStream
    peer: IAddress

    # Objects are made when they are needed: an idle connection is to cost little.
    _waiting: bytes | bytearray = b""  # received, and not looked at
    _frames: Sequence[bytes] = ()  # to be written
    _gathered = 0  # bytes of these

    #: What has to happen before the connection can go on.
    _held: "IDelayedCall | Deferred[Steps] | Hanging | None" = None
    _full = False  # is the transport's buffer
    _paused = False  # is reading
    _last = False  # no more is read: the client sent EOF, or the server drains
    _deaf = False  # is the server, by its own choice
    _eof = False  # the client sent EOF
    _mute = False  # no more is sent
    _muted = False  # and the client was told: our EOF has left
    _ended = False  # nothing is answered any more
    _aborting = False  # it ends with a reset

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        if (
            not isinstance(self.transport, EagerServer)  # which has done so
            # Not the peer's, who may have come by another way than the transport.
            and isinstance(self.transport.getPeer(), IPv4Address | IPv6Address)
            and ITCPTransport.providedBy(self.transport)
        ):
            # A small reply must not wait until the client's kernel acknowledges the one before it.
            self.transport.setTcpNoDelay(True)

    def _work(self) -> None:
        """Go on until something holds the connection or nothing is left to do."""
        raise NotImplementedError

    # Writing

    def _gather(self, frame: bytes) -> None:
        if self._mute:
            return
        if isinstance(self._frames, list):
            self._frames.append(frame)
        else:
            self._frames = [frame]
        self._gathered += len(frame)
        if self._gathered >= GATHER:
            self._flush()

    def _flush(self) -> None:
        if not self._frames:
            return
        frames, self._frames = self._frames, ()
        if self.factory.counters is not None:
            self.factory.counters.sent += self._gathered
        self._gathered = 0
        self.transport.write(b"".join(frames))

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._full = True
        self._regulate()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._full = False
        self._work()

    def stopProducing(self) -> None:
        """The connection is being lost, as `connectionLost` tells too."""

    # Reading

    def _put_off(self, data: bytes) -> None:
        """Keep *data* until there is time for it."""
        if isinstance(self._waiting, bytearray):
            self._waiting += data
        else:
            self._waiting = bytearray(data)

    def _take_up(self, size: int) -> bytes:
        """Give the first *size* bytes of what was put off, or all if there are no more."""
        data = bytes(self._waiting[:size])
        if isinstance(self._waiting, bytearray):
            del self._waiting[:size]
        return data

    def _regulate(self) -> None:
        """Read from the client, or don't, as things now stand."""
        read = self._ended or not (
            (self._full and not self._shakes_hands())
            or self._deaf
            or self._last
            or len(self._waiting) > self.config.limits.max_waiting
        )
        # After EOF a resumed transport would tell of it again and again.
        if self._eof or read is not self._paused:
            return
        self._paused = not read
        if read:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    def _shakes_hands(self) -> bool:
        """Whether TLS cannot write because it has not read enough yet."""
        return isinstance(self.transport, ProtocolWrapper) and not self._was_heard()

    def _was_heard(self) -> bool:
        """Whether the client has said anything."""
        raise NotImplementedError

    def readConnectionLost(self) -> None:
        """The client half-closed, or closed: from here the two look alike."""
        self._eof = self._last = True
        if self._ended and not self._aborting:
            self.transport.loseConnection()
        self._work()

    # Endings

    def _close(self) -> None:
        """End in order: all that was sent is delivered, and what still arrives is dropped."""
        self._flush()
        self._drop()
        self._regulate()
        if can_half_close(self.transport) and not self._eof:
            self._stop_sending()
            if self._muted:
                self._linger()
            return
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if isinstance(self.transport, ProtocolWrapper) and not self._eof:
            # TLS says goodbye, and would wait for ever for the answer.
            when_sent(self.transport, self._linger)

    def _both_ended(self) -> None:
        """The client has ended its side, and there is nothing more to say."""
        if isinstance(self.transport, EagerServer) and self.transport.drained:
            # As _close would, but for a turn of the reactor and three system calls.
            self.transport.connectionLost(_CONNECTION_DONE)
        else:
            self._close()

    def _abort(self) -> None:
        """Reset once all that was sent has arrived, or a second after it left our buffer."""
        self._aborting = True
        self._flush()
        self._drop()
        self.transport.unregisterProducer()
        if self._muted:
            self.transport.abortConnection()
        elif isinstance(self.transport, ProtocolWrapper):
            # TLS gathers what is written in a turn of the reactor, and sends it in the next.
            self._held = self.factory.clock.callLater(0, self._abort_when_sent)
        else:
            self._abort_when_sent()

    def _abort_when_sent(self) -> None:
        self._held = None
        when_sent(self.transport, self._abort_when_delivered)

    def _abort_when_delivered(self, looks: int = 100) -> None:
        self._held = None
        if looks and undelivered(self.transport):
            self._held = self.factory.clock.callLater(
                LINGER / 100, self._abort_when_delivered, looks - 1
            )
        else:
            self.transport.abortConnection()

    def _half_close(self) -> None:
        self._flush()
        if can_half_close(self.transport):
            self._stop_sending()
        else:
            self._close()

    def _stop_sending(self) -> None:
        if self._mute:
            return
        self._mute = True
        self._full = False
        # First: a transport whose producer is paused would resume it, and then never half-close.
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """Our EOF has left."""
        self._muted = True
        if self._ended:
            self._linger()

    def _linger(self) -> None:
        self._held = self.factory.clock.callLater(LINGER, self._stop_lingering)

    def _stop_lingering(self) -> None:
        self._held = None
        if can_half_close(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def _drop(self) -> None:
        """Forget all that was still to be done."""
        self._ended = True
        self._full = False
        self._waiting = b""
        held, self._held = self._held, None
        try:
            if held is not None:
                held.cancel()
        except BaseException:  # as the reactor does: the connection is lost, whatever this is
            self._log.failure("what a connection waited for cannot be cancelled")
