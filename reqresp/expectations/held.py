"""
WaitingRequest: a request whose client waits until something outside of the server answers it.

Must not know what answers it, or how the server runs.
"""

from twisted.internet.defer import Deferred

from reqresp.script.calls import Call
from reqresp.script.variables import Notes
from reqresp.server.responders import PastConnection, Reply


class WaitingRequest:
    """A request that waits for its answer."""

    def __init__(self, call: Call) -> None:
        #: The request as it came.
        self.request = call.request
        notes = Notes("", call.server)
        notes.values = call.variables
        #: Its connection, with the variables that templates can name.
        self.context = PastConnection(call.peer, call.connection, call.number, notes)
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
