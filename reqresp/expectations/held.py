"""
WaitingRequest: a request whose client waits until something outside of the server answers it.

Must not know what answers it, or how the server runs.
"""

from twisted.internet.defer import Deferred

from reqresp.server.responders import Reply
from reqresp.steps import Request


class WaitingRequest:
    """A request that waits for its answer."""

    def __init__(self, request: Request) -> None:
        #: The request as it came.
        self.request = request
        #: Fires with the answer.
        self.answered: Deferred[Reply] = Deferred(self._cancel)
        #: What has become of it, for messages.
        self.condition = "waiting"

    def complete(self, reply: Reply) -> None:
        """
        Answer it; called where the server runs.

        :raises RuntimeError: it was answered before, or its connection has ended.
        """
        if self.condition != "waiting":
            request = self.request
            raise RuntimeError(
                f"{request.data!r} on connection {request.connection}: {self.condition}"
            )
        self.condition = "was answered"
        self.answered.callback(reply)

    def _cancel(self, _: object) -> None:
        self.condition = "its connection has ended"
