"""
Reactions: what the responder sends because of a trigger other than a request.

It must not know how a connection performs it.
"""

from typing import Any, Protocol

from twisted.python.failure import Failure

from reqresp.framing import FrameError
from reqresp.server import _report
from reqresp.server._backlog import Backlog
from reqresp.server._reply import ENDINGS, UNASKED, Replier, closing, use_faults
from reqresp.server._state import Hold
from reqresp.server.observers import Unasked
from reqresp.server.triggers import Trigger
from reqresp.steps import RuleReply, Steps, Wait


class Reacting(Replier, Protocol):
    """What reactions need of a connection."""

    backlog: Backlog
    notes: Any
    taken: int
    hold: Hold | None

    def begin(
        self,
        steps: Steps,
        request: bytes | None,
        by: Unasked | None = None,
        is_silence: bool = False,
    ) -> None:
        """Begin the reply to *request*; None: there is none."""

    def fail(self, failure: Failure) -> None:
        """End the connection after this turn: the responder has failed."""


def refuse_bytes(connection: Reacting, error: FrameError) -> None:
    """Begin what the responder says because of bytes that are no request, then close."""
    _report.frame_error(connection, error)
    connection.backlog.clear()
    if connection.hold is None:
        say(connection, Trigger.MALFORMED)


def say(connection: Reacting, trigger: Trigger) -> None:
    """Begin what the responder says because of *trigger*, or inject faults into its silence."""
    if connection.injector is None and connection.config.faults:
        use_faults(connection)
    injector = connection.injector
    try:
        steps = connection.config.responder.react(trigger, connection)
        if steps or isinstance(steps, RuleReply):
            steps = closing(steps) if trigger in ENDINGS else steps
            connection.begin(steps, None, UNASKED[trigger])
        elif trigger in ENDINGS:
            connection.hold = ENDINGS[trigger]
        elif trigger is Trigger.CONNECT and injector is not None and injector.affects_silence:
            connection.begin((Wait(0),), None, is_silence=True)
    except BaseException:  # as for replies
        connection.fail(Failure())
