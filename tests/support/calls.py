"""CallCase: counts the calls of Python functions that a read takes."""

import gc
import sys
from types import FrameType
from typing import Any

from reqresp import EagerServer, ReqRespFactory
from tests.support.conversation import Conversation
from tests.support.wire import Wire


class CallCase(Conversation):
    """Has a server in memory, whose calls are named."""

    def calls(self, factory: ReqRespFactory, data: bytes) -> list[str]:
        """Name the functions of ours and of Twisted's that one read of *data* calls."""
        wire = Wire(factory, self.reactor, transport=EagerServer)
        for _ in range(2):
            wire.send(data)  # what happens once, or for the first known read, happens now
        called: list[str] = []

        def note(frame: FrameType, event: str, _argument: Any) -> None:
            name = frame.f_code.co_filename
            if event == "call" and "wire" not in name and "_memory_" not in name:
                called.append(frame.f_code.co_qualname)

        gc.disable()  # hypothesis times collections by functions of its own
        sys.setprofile(note)
        try:
            wire.protocol.dataReceived(data)
        finally:
            sys.setprofile(None)
            gc.enable()
        return called
