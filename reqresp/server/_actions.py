"""
Actions: what each step, other than `Send`, does to the connection that performs it.

An action returns the `Hold` that the step puts on the connection, or None if the connection
continues with the next step.  This module must not know where steps come from.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import ISSLTransport

from reqresp.server import _report
from reqresp.server._backlog import Backlog
from reqresp.server._intake import Intake
from reqresp.server._reply import AfterOthers, Unframed
from reqresp.server._silence import Listening, watch
from reqresp.server._state import ABORT, CLOSE, HANG, Hold, State, Waiting
from reqresp.server.broadcasts import broadcast
from reqresp.server.host import ConnectionHost
from reqresp.steps import (
    Abort,
    Broadcast,
    Close,
    Forward,
    HalfClose,
    Hang,
    StartTLS,
    StopReading,
    Wait,
)
from reqresp.transport.stream import Stream

_TIMER = State.TIMER


class Performer(_report.Reporter, Listening, Protocol):
    """What the actions need of a connection."""

    host: ConnectionHost
    intake: Intake | None
    sent: int
    stream: Stream
    backlog: Backlog

    def release(self) -> None:
        """Continue: the wait that held the connection is over."""


def _wait(performer: Performer, step: Wait) -> Hold:
    return Waiting(_TIMER, performer.host.clock.callLater(step.seconds, performer.release))


def _broadcast(performer: Performer, step: Broadcast) -> None:
    broadcast(performer.host.everyone, step.to, [step], performer)


def _close(_performer: Performer, _step: Close) -> Hold:
    return CLOSE


def _abort(_performer: Performer, _step: Abort) -> Hold:
    return ABORT


def _half_close(performer: Performer, _step: HalfClose) -> Hold | None:
    return None if performer.stream.half_close() else CLOSE


def _hang(performer: Performer, _step: Hang) -> Hold:
    performer.backlog.clear()
    return HANG


def _stop_reading(performer: Performer, _step: StopReading) -> None:
    performer.stream.ignore()
    performer.backlog.clear()


def _start_tls(performer: Performer, _step: StartTLS) -> Hold | None:
    start, stream = performer.host.start_tls, performer.stream
    problem = ""
    if ISSLTransport.providedBy(stream.transport):
        problem = "the connection is encrypted already"
    elif start is None:
        problem = "the server has no certificate for that"
    if start is None or problem:
        _report.warning(performer, f"cannot start TLS: {problem}; resetting")
        return ABORT
    was_on_its_way = performer.intake is not None and performer.intake.drop()
    decoder = performer.framing.decoder(performer.config.limits.max_request)
    watch(performer, decoder)
    if performer.backlog.restart(decoder) or was_on_its_way:
        _report.warning(performer, "dropped what it sent in the clear after its request for TLS")
    protocol, peer = performer.intake or performer, performer.peer
    stream.start_tls(lambda transport: start.start(transport, protocol, peer, stream.attach))
    return None


def _forward(performer: Performer, step: Forward) -> None:
    if step.reply is None:
        raise RuntimeError("cannot forward a request: the server has no upstream")
    counters = performer.host.counters
    if counters is not None and not performer.stream.drops_writes:
        counters.sent += len(step.reply)
        performer.sent += len(step.reply)
    performer.stream.write(step.reply)


def _after_others(_performer: Performer, step: AfterOthers) -> Hold | None:
    return Waiting(State.REPLY) if step.are_under_way() else None


def _raise(_performer: Performer, step: Unframed) -> None:
    raise step.error


#: The action of each kind of step, but for `Send`, which a connection performs itself.
ACTIONS: dict[type[Any], Callable[[Any, Any], Hold | None]] = {
    Broadcast: _broadcast,
    Wait: _wait,
    Close: _close,
    Abort: _abort,
    HalfClose: _half_close,
    Hang: _hang,
    StopReading: _stop_reading,
    StartTLS: _start_tls,
    Forward: _forward,
    AfterOthers: _after_others,
    Unframed: _raise,
}
