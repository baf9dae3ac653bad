"""
Replies: the steps that a responder gave, framed and with faults injected.

A fault changes bytes as they leave, so it is injected after framing: a reply that leaves in pieces
is still one frame.  This module must not know connections.
"""

from collections.abc import Callable

from attrs import frozen

from reqresp.faults import FaultInjector
from reqresp.framing import FrameError
from reqresp.server.config import ServerConfig
from reqresp.steps import BaseStep, RuleReply, Send, Step, Steps


@frozen
class Unframed(BaseStep):
    """Stands for a payload that cannot be framed: an error once it is its turn."""

    error: FrameError


def framed(steps: Steps, encode: Callable[[bytes], bytes]) -> Steps:
    """Return *steps* with every `Send` raw; an `Unframed` is the last if *encode* refuses one."""
    made: list[Step] = []
    for step in steps:
        if not isinstance(step, Send) or step.raw:
            made.append(step)
            continue
        try:
            made.append(Send(encode(step.data), raw=True))
        except FrameError as error:
            made.append(Unframed(error))  # type: ignore[arg-type]  # a step of our own
            break
    return tuple(made)


def with_faults(
    steps: Steps, config: ServerConfig, injector: FaultInjector, on_connect_only: bool
) -> tuple[Steps, Steps]:
    """
    Inject faults into *steps*: those of the steps themselves, then those of the connection.

    :returns: the steps to perform, and the steps to report, which are *steps* with the names of the
        faults that changed them.
    """
    own = steps.faults if isinstance(steps, RuleReply) else ()
    changed, names = injector.inject(
        framed(steps, config.framing.encode), own, on_connect_only=on_connect_only
    )
    if not names:
        return changed, steps
    by = steps.by if isinstance(steps, RuleReply) else config.responder.name
    return changed, RuleReply(steps, by, own, names)
