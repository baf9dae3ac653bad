"""
Stream: one transport, from its first byte to its end.

Gathers writes, knows whether the transport accepts more, pauses and resumes reading, and ends the
connection so that nothing written is lost.  It knows bytes and Twisted's transports; it must not
know requests.  A server's connection has one stream, a relay has one for each of its two sides.

A stream is the producer of its transport, not a protocol.  Twisted reports an EOF, a completed
handshake and a loss to the protocol; the protocol passes them on to `Stream.read_lost`,
`Stream.write_lost`, `Stream.handshake_completed` and `Stream.lost`.

Three facts about transports shape how a stream ends:

- A socket that is closed while input is unread sends a reset, and the peer's kernel then drops
  what it has received.
- ``abortConnection`` drops what the transport still buffers.
- A reset drops what the kernel still buffers.
"""

from collections.abc import Callable
from enum import Enum
from fcntl import ioctl
from sys import byteorder
from termios import TIOCOUTQ
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableDescriptor,
    INegotiated,
    IPullProducer,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_DONE
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.transport.eager import EagerServer

#: Bytes gathered for one write.  Replies to requests that arrived together leave together, and a
#: peer that does not read is noticed before much is buffered for it.
MAX_GATHERED_BYTES = 64 * 1024
#: Seconds that the peer has to end its side after ours has ended; what it sends is dropped.
LINGER = 1.0
#: How often a stream that aborts asks, within `LINGER`, whether everything is delivered.
DELIVERY_CHECKS = 100

# One for all, as in Twisted's reactors: creating a Failure is expensive.
_CONNECTION_DONE = Failure(CONNECTION_DONE)


class Reading(Enum):
    """Whether the transport is read from."""

    OPEN = "open"
    PAUSED = "paused"  #: until `Stream.resume`
    IGNORED = "ignored"  #: by choice, until the stream closes: the peer's buffers fill
    EOF = "eof"  #: the peer has ended its side


class Writing(Enum):
    """Whether the transport accepts more bytes."""

    HANDSHAKE = "handshake"  #: TLS cannot encrypt yet
    OPEN = "open"
    FULL = "full"  #: the transport's buffer is full: the peer does not read
    ENDING = "ending"  #: our EOF follows what is buffered
    ENDED = "ended"  #: our EOF has left


class Phase(Enum):
    """Which part of its life a stream is in."""

    OPEN = "open"
    CLOSING = "closing"  #: what is buffered is being delivered
    LINGERING = "lingering"  #: everything has left; the peer has `LINGER` seconds to end its side
    ABORTING = "aborting"  #: what is buffered is being delivered, then the connection is reset
    LOST = "lost"


# A module-level name is looked up faster than an attribute of an Enum.
_READ, _PAUSED, _IGNORED, _EOF = Reading
_HANDSHAKE, _WRITE, _FULL, _ENDING, _ENDED = Writing
_OPEN, _CLOSING, _LINGERING, _ABORTING, _LOST = Phase


class Owner(Protocol):
    """What a stream needs of the object that has it.  A stream that closes no longer calls it."""

    @property
    def clock(self) -> IReactorTime:
        """The clock that times how a stream ends."""

    def filled(self) -> None:
        """Handle that the transport is full: stop writing where possible."""

    def resumed(self) -> None:
        """Handle that the transport accepts bytes again, or for the first time after TLS."""

    def peer_ended(self) -> None:
        """Handle EOF: the peer has half-closed or closed, which look alike from here."""


class _Nobody:
    """The owner of a lost stream.  A transport may still call the stream, which changes nothing."""

    @property
    def clock(self) -> IReactorTime:
        raise AssertionError("a lost stream times nothing")

    def filled(self) -> None:
        pass

    def resumed(self) -> None:
        pass

    def peer_ended(self) -> None:
        pass


_NOBODY = _Nobody()


@implementer(IPushProducer)
class Stream:
    """Reads from, writes to and ends the transport of *owner*."""

    __slots__ = (
        *("is_eager", "phase", "reading", "transport", "writing"),
        *("_frames", "_gathered", "_owner", "_timer"),
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._frames: list[bytes] | None = None  # to be written
        self._gathered = 0  # bytes of these
        self._timer: IDelayedCall | None = None
        #: Whether a write to the transport calls nothing from inside but `pauseProducing`.
        self.is_eager = False
        self.reading = _READ
        self.writing = _WRITE
        self.phase = _OPEN

    def attach(self, transport: Any) -> None:
        """Use *transport*, which is connected."""
        self.is_eager = isinstance(transport, EagerServer)
        self.transport = transport
        transport.registerProducer(self, True)
        if self.is_eager:
            return  # its listening socket has set TCP_NODELAY
        # By class: a layer above TLS claims the interface, too, but hears of no handshake.
        if INegotiated.implementedBy(type(transport)):
            self.writing = _HANDSHAKE
        # The transport's own peer: a PROXY header may name a client of another kind.
        is_tcp = isinstance(transport.getPeer(), IPv4Address | IPv6Address)
        if is_tcp and ITCPTransport.providedBy(transport):
            # A small reply must not wait until the peer acknowledges the one before it.
            transport.setTcpNoDelay(True)

    def start_tls(self, add: Callable[[Any], object]) -> None:
        """
        Encrypt what follows what was written; nothing is written until the handshake is complete.

        :param add: puts TLS on a transport, and has `attach` called with what replaces it.
        """
        self.flush()
        self.resume()
        self.transport.unregisterProducer()
        add(self.transport)

    # Writing

    @property
    def is_blocked(self) -> bool:
        """Whether writing has to wait until `Owner.resumed` is called."""
        return self.writing is _FULL or self.writing is _HANDSHAKE

    @property
    def is_shaking_hands(self) -> bool:
        """Whether TLS is still in its handshake."""
        return self.writing is _HANDSHAKE

    @property
    def drops_writes(self) -> bool:
        """Whether our side has ended, so that `write` drops everything."""
        return self.phase is not _OPEN or self.writing is _ENDING or self.writing is _ENDED

    @property
    def has_deadline(self) -> bool:
        """Whether the stream ends the connection by itself, at a time that is set."""
        return self._timer is not None

    @property
    def undelivered(self) -> int:
        """How many bytes were written that the peer has not received, as far as is known."""
        return undelivered(self.transport)

    def write(self, data: bytes) -> None:
        """Write *data* with the next `flush`, or once `MAX_GATHERED_BYTES` are gathered."""
        # As in drops_writes: this is called for each reply.
        if self.phase is not _OPEN or self.writing is _ENDING or self.writing is _ENDED:
            return
        if self._frames is None:
            self._frames = [data]
        else:
            self._frames.append(data)
        self._gathered += len(data)
        if self._gathered >= MAX_GATHERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand the gathered bytes to the transport."""
        frames = self._frames
        if frames is not None:
            self._frames = None
            self._gathered = 0
            self.transport.write(b"".join(frames))

    def pauseProducing(self) -> None:
        """Handle that the transport's buffer is full."""
        if self.writing is _WRITE:
            self.writing = _FULL
            self._owner.filled()
        elif self.writing is _HANDSHAKE:
            self.pause()

    def resumeProducing(self) -> None:
        """Handle that the transport's buffer is empty."""
        if self.writing is _FULL:
            self.writing = _WRITE
            self._owner.resumed()
        elif self.writing is _HANDSHAKE:
            self.resume()

    def stopProducing(self) -> None:
        """Do nothing: the connection is being lost, as `lost` reports, too."""

    def handshake_completed(self) -> None:
        """Handle that TLS can encrypt from now on."""
        if self.writing is not _HANDSHAKE:
            return
        # Only a full transport pauses reading during a handshake.
        self.writing = _FULL if self.reading is _PAUSED else _WRITE
        if self.writing is _WRITE:
            self._owner.resumed()

    # Reading

    def pause(self) -> None:
        """Stop reading until `resume` is called."""
        if self.reading is _READ:
            self.reading = _PAUSED
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again after `pause`; do nothing after `ignore` or EOF."""
        # After EOF a resumed transport would report EOF again and again.
        if self.reading is _PAUSED:
            self.reading = _READ
            self.transport.resumeProducing()

    def ignore(self) -> None:
        """Stop reading until the stream closes."""
        self.pause()
        if self.reading is _PAUSED:
            self.reading = _IGNORED

    def read_lost(self) -> None:
        """Handle EOF: the peer has ended its side."""
        self.reading = _EOF
        if self.phase is _OPEN:
            self._owner.peer_ended()
        elif self.phase is not _ABORTING:
            self.transport.loseConnection()

    # Endings

    def close(self) -> None:
        """
        Close once everything written is delivered; drop what still arrives.

        Our side ends first.  The peer then has `LINGER` seconds to end its own.  Do nothing if the
        stream is closing already, or lost.
        """
        if self.phase is not _OPEN:
            return
        self.flush()
        self.phase = _CLOSING
        transport = self.transport
        if self.reading is _EOF and self.is_eager and transport.drained:
            # The same as below, without a turn of the reactor and three system calls.
            transport.connectionLost(_CONNECTION_DONE)
            return
        if self.reading is _IGNORED:
            self.reading = _PAUSED
        self.resume()  # to see the peer's end
        if can_half_close(transport) and self.reading is not _EOF:
            self._end_writing()
            if self.writing is _ENDED:
                self._linger()
            return
        # First: a transport that has a producer waits for more from it.
        transport.unregisterProducer()
        transport.loseConnection()
        if isinstance(transport, ProtocolWrapper) and self.reading is not _EOF:
            # TLS waits for the peer's close_notify, for ever.
            when_sent(transport, self._linger)

    def half_close(self, *, with_tls: bool = False) -> bool:
        """
        End our side after everything written; reading continues.

        Do nothing if the stream is closing already, or lost.

        :param with_tls: whether TLS may do so, too.  Its close_notify ends one direction, but many
            peers answer it by ending the other.
        :returns: False if the transport cannot do so; then nothing is changed.
        """
        if self.phase is not _OPEN:
            return True
        transport = self.transport
        if not can_half_close(transport):
            is_ready = self.writing is not _HANDSHAKE and INegotiated.implementedBy(type(transport))
            if not (with_tls and is_ready):
                return False
        self.flush()
        self._end_writing()
        return True

    def abort(self) -> None:
        """
        Reset the connection once everything written is delivered.

        Delivery has `LINGER` seconds after the last byte has left our buffer.  Do nothing if the
        stream is closing already, or lost.
        """
        if self.phase is not _OPEN:
            return
        self.flush()
        self.phase = _ABORTING
        self.transport.unregisterProducer()
        if self.writing is _ENDED:
            self._abort_when_delivered()
        elif isinstance(self.transport, ProtocolWrapper):
            # TLS gathers what is written in a turn of the reactor, and sends it in the next.
            self._timer = self._owner.clock.callLater(0, self._abort_when_sent)
        else:
            self._abort_when_sent()

    def reset(self) -> None:
        """Reset the connection now; drop what is buffered.  Do nothing if it is lost."""
        self.transport.abortConnection()

    def write_lost(self) -> None:
        """Handle that our EOF has left."""
        self.writing = _ENDED
        if self.phase is _CLOSING:
            self._linger()

    def lost(self) -> None:
        """Handle that the connection is lost."""
        self.phase = _LOST
        # An owner has its stream: such a pair is freed late, by the garbage collector.
        self._owner = _NOBODY
        self._frames = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _end_writing(self) -> None:
        if self.writing is _ENDING or self.writing is _ENDED:
            return
        self.writing = _ENDING
        # First: a transport would resume a producer that is paused, and then never half-close.
        self.transport.unregisterProducer()
        if can_half_close(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()  # TLS goes on reading until the peer ends it, too

    def _linger(self) -> None:
        if self.phase is _CLOSING:
            self.phase = _LINGERING
            self._timer = self._owner.clock.callLater(LINGER, self._stop_lingering)

    def _stop_lingering(self) -> None:
        self._timer = None
        if can_half_close(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def _abort_when_sent(self) -> None:
        self._timer = None
        when_sent(self.transport, self._abort_when_delivered)

    def _abort_when_delivered(self, checks: int = DELIVERY_CHECKS) -> None:
        self._timer = None
        if self.phase is _LOST:
            return
        if not checks or not self.undelivered:
            self.transport.abortConnection()
            return
        later = self._owner.clock.callLater
        self._timer = later(LINGER / DELIVERY_CHECKS, self._abort_when_delivered, checks - 1)


def protocol_of(transport: Any) -> Any:
    """Return what *transport* calls."""
    return getattr(transport, _protocol_name(transport))


def set_protocol(transport: Any, protocol: Any) -> None:
    """Have *transport* call *protocol* from now on, with nothing in between."""
    setattr(transport, _protocol_name(transport), protocol)


def _protocol_name(transport: Any) -> str:
    return "wrappedProtocol" if isinstance(transport, ProtocolWrapper) else "protocol"


def replace_protocol(transport: Any, protocol: Any) -> None:
    """Have *transport* call *protocol* from now on, with nothing in between, and connect it."""
    set_protocol(transport, protocol)
    protocol.makeConnection(transport)


def can_half_close(transport: Any) -> bool:
    """
    Return whether *transport* can end only its sending side, and reports EOF to its protocol.

    TLS and ``haproxy:`` are protocols that wrap a transport: they claim its interfaces, but pass on
    no half-close.
    """
    return IHalfCloseableDescriptor.providedBy(transport) and not isinstance(
        transport, ProtocolWrapper
    )


def undelivered(transport: Any) -> int:
    """Return how many bytes the peer of *transport* has not received, as far as is known."""
    descriptor = _descriptor(transport)
    if not can_half_close(descriptor) or not descriptor.connected:
        return 0
    buffered: int = len(descriptor.dataBuffer) - descriptor.offset + descriptor._tempDataLen
    try:
        # What TCP has sent and the peer has not acknowledged; other sockets may not support this.
        in_kernel = ioctl(descriptor.fileno(), TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return buffered
    return buffered + int.from_bytes(in_kernel, byteorder)


def when_sent(transport: Any, call: Callable[[], None]) -> None:
    """
    Call *call* once *transport*, which has no producer, buffers nothing.

    What a TLS layer has not encrypted yet is not considered.  A transport that is not a
    descriptor counts as having sent everything.
    """
    descriptor = _descriptor(transport)
    if not can_half_close(descriptor):
        call()
        return
    producer = _SentNotifier(descriptor, call)
    descriptor.registerProducer(producer, streaming=False)
    producer.registered = True
    if descriptor.connected:
        # The buffer may be empty already: have the transport ask for more in any case.
        descriptor.startWriting()


def _descriptor(transport: Any) -> Any:
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


@implementer(IPullProducer)
class _SentNotifier:
    """A producer that is asked for more at its registration, and when everything was sent."""

    registered = False

    def __init__(self, descriptor: Any, call: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._call = call

    def resumeProducing(self) -> None:
        if self.registered:
            self._descriptor.unregisterProducer()
            self._call()

    def stopProducing(self) -> None:
        """Do nothing: the connection is lost."""
