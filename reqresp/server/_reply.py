"""
Replies: the steps that a responder returned, framed and with faults injected.

A fault changes bytes as they leave, so it is injected after framing: a reply that leaves in pieces
is still one frame.  This module must not know states.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen

from reqresp.faults import FaultInjector, effect_of
from reqresp.framing import FrameError
from reqresp.server import _report
from reqresp.server._backlog import Backlog
from reqresp.server._state import ABORT, CLOSE, Ended
from reqresp.server._timed_backlog import TimedBacklog, arrived
from reqresp.server.observers import Unasked
from reqresp.server.triggers import Trigger
from reqresp.steps import BaseStep, Close, Forward, RuleReply, Send, Step, Steps
from reqresp.transport.stream import Stream


@frozen
class Unframed(BaseStep):
    """Stands for a payload that cannot be framed; its error is raised when it is performed."""

    error: FrameError


@frozen
class AfterOthers(BaseStep):
    """
    Waits until no other reply of the connection is under way.

    :param are_under_way: returns whether others are.
    """

    are_under_way: Callable[[], bool]


def framed(steps: Steps, encode: Callable[[bytes], bytes]) -> Steps:
    """Return *steps* with every `Send` raw; end with an `Unframed` if *encode* refuses one."""
    made: list[Step] = []
    for step in steps:
        if isinstance(step, Forward) and step.reply is not None:
            made.append(Send(step.reply, raw=True))
            continue
        if not isinstance(step, Send) or step.raw:
            made.append(step)
            continue
        try:
            made.append(Send(encode(step.data), raw=True))
        except FrameError as error:
            made.append(Unframed(error))  # type: ignore[arg-type]  # a step of our own
            break
    return tuple(made)


#: What is sent because of a trigger, as observers are notified of it.
UNASKED = {
    Trigger.CONNECT: Unasked.GREETING,
    Trigger.IDLE: Unasked.IDLE,
    Trigger.REFUSED: Unasked.REFUSED,
    Trigger.MALFORMED: Unasked.MALFORMED,
}
#: How the connection ends after these, if nothing is sent.
ENDINGS: Mapping[Trigger, Ended] = {Trigger.REFUSED: ABORT, Trigger.MALFORMED: CLOSE}


def closing(steps: Steps) -> Steps:
    """Return *steps* with a `Close` after them, unless one of them ends the reply."""
    if any(step.ends_reply for step in steps):
        return steps
    closed = (*steps, Close())
    return steps.with_steps(closed) if isinstance(steps, RuleReply) else closed


class Replier(_report.Reporter, Protocol):
    """What preparing a reply needs of a connection."""

    #: Injects faults; None: there have been none so far.
    injector: FaultInjector | None
    backlog: Backlog
    stream: Stream


def use_faults(connection: Replier) -> None:
    """Inject the faults of the config, and those that its replies have, from the next reply on."""
    config = connection.config
    if config.is_faulty:
        connection.backlog = TimedBacklog.of(connection.backlog, connection.host.clock.seconds)
    if connection.injector is not None:
        connection.injector.use(config.faults)
    elif config.faults:
        now = connection.host.clock.seconds
        connection.injector = FaultInjector(config.seed or 0, connection.number, config.faults, now)


def prepare(
    connection: Replier, steps: Steps, request: bytes | None, is_silence: bool = False
) -> tuple[Steps, Steps]:
    """Count the reply to *request*, and return the steps to perform and the steps to report."""
    performed, injector = steps, connection.injector
    config = connection.config
    if isinstance(steps, RuleReply) and steps.warning:
        _report.warning(connection, steps.warning)
    if injector is None and isinstance(steps, RuleReply) and steps.faults:
        injector = connection.injector = FaultInjector(
            config.seed or 0, connection.number, now=connection.host.clock.seconds
        )
    if injector is not None and not connection.stream.drops_writes:
        performed, steps = inject(connection, steps, injector, request, is_silence)
    if connection.host.counters is not None:
        _report.reply(connection, steps)
    return performed, steps


def inject(
    connection: Replier,
    steps: Steps,
    injector: FaultInjector,
    request: bytes | None = None,
    is_silence: bool = False,
) -> tuple[Steps, Steps]:
    """
    Inject faults into *steps*, first those of the steps themselves.

    :param request: what they answer; None: nothing.
    :param is_silence: leave out the faults that apply to replies only.
    :returns: the steps to perform, and the steps to report: *steps* with the names of the faults
        that changed them, and their effect.
    """
    frames = framed(steps, connection.framing.encode)
    own = steps.faults if isinstance(steps, RuleReply) else ()
    at = arrived(request)
    waited = 0.0 if at is None else connection.host.clock.seconds() - at
    performed, names = injector.inject(frames, own, is_silence=is_silence, waited=waited)
    if names:
        if not isinstance(steps, RuleReply):
            steps = RuleReply(steps, connection.config.responder.name)
        steps = steps.injected_with(names, effect_of(frames, performed))
    return performed, steps
