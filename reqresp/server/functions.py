"""
Functions: a user's function as a responder.

Knows what a function may return.  It must not know connections.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from reqresp.server.responders import ConnectionContext, Reply, Responder, as_steps
from reqresp.steps import Request, Send, Steps

#: Everything that a user's function may return.  The result of a Deferred is not checked by type.
Answer = Reply | Coroutine[Any, Any, Reply] | Deferred[Any]


def steps_of(answer: Any, convert: Callable[[Any], Steps] = as_steps) -> Steps | Deferred[Steps]:
    """
    Return the steps of *answer*, which a user's function has returned.

    :param convert: makes steps of a `Reply`.
    """
    if isinstance(answer, Coroutine):
        answer = Deferred.fromCoroutine(answer)
    if isinstance(answer, Deferred):
        return answer.addCallback(convert)
    return convert(answer)


class Function(Responder):
    """
    Answers with what a user's function returns for a `Request`.

    The function is plain, ``async def`` (it can await Deferreds) or returns a Deferred.
    """

    def __init__(self, function: Callable[[Request], Answer]) -> None:
        self._function = function
        self.name = getattr(function, "__qualname__", type(function).__name__)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        request = Request(data, connection.peer, connection.number, connection.taken)
        reply: Any = self._function(request)
        if isinstance(reply, bytes):  # first: isinstance() of an abstract class is slow
            return (Send(reply),)
        return steps_of(reply)
