"""Recorded: a test case with a server in memory that replays a recording."""

from typing import Any

from reqresp import ReqRespFactory
from reqresp.recording import parse
from reqresp.recording.replay import Replay, Replayer
from tests.support.conversation import Conversation

HEADER = "# reqresp recording 1\n"


def recorded(*lines: str, pace: float = 0.0, name: str = "it.rec") -> Replay:
    """Return the replay of a recording with these *lines*; the first of them is line 2."""
    return Replay(parse(HEADER + "".join(f"{line}\n" for line in lines), name), pace)


class Recorded(Conversation):
    """Makes servers from recordings."""

    def replay(self, *lines: str, pace: float = 0.0, **options: Any) -> ReqRespFactory:
        """Return a factory that replays *lines*."""
        self.server = self.factory(recorded(*lines, pace=pace), **options)
        return self.server

    @property
    def replayer(self) -> Replayer:
        """The responder of the factory."""
        responder = self.server.config.responder
        assert isinstance(responder, Replayer)
        return responder
