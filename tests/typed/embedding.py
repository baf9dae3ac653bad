"""A server in a program of its own: functions, steps, a framing, limits and a script."""

from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from reqresp import (
    Close,
    Journal,
    Limits,
    Line,
    ReqRespFactory,
    Request,
    Script,
    ScriptError,
    Send,
    Steps,
    Wait,
)


async def respond(request: Request) -> Steps:
    """Answer in two parts; ``QUIT`` closes."""
    if request.data == b"QUIT":
        return (Send(b"bye"), Close())
    return (Send(b"one moment"), Wait(0.5), Send(request.data.upper()))


def make_factory(journal: Journal, clock: IReactorTime) -> ReqRespFactory:
    """Return a factory for lines, which waits by *clock*."""
    limits = Limits(max_request=1024, max_connections=10)
    return ReqRespFactory(respond, framing=Line(), limits=limits, observers=[journal], clock=clock)


def load(path: Path) -> ReqRespFactory | str:
    """Return a factory for the script at *path*, or its problems."""
    try:
        return ReqRespFactory(Script.load(path))
    except ScriptError as error:
        return "\n".join(problem.message for problem in error.problems)
