"""Counts the calls of Python functions: the same on every machine."""

import gc
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from reqresp import EagerServer, ReqRespFactory
from tests.support.conversation import Conversation
from tests.support.wire import Wire


def called_by(
    do: Callable[[], object], paths: Iterable[str] = ("",), *, but: Iterable[str] = ()
) -> list[str]:
    """
    Name the functions that *do* calls.

    :param paths: only of files whose path has one of these in it.
    :param but: not of files whose path has one of these in it.
    """
    called: list[str] = []
    parts, others = tuple(paths), tuple(but)

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        name = code.co_filename
        is_counted = any(it in name for it in parts) and not any(it in name for it in others)
        if event == "call" and is_counted:
            called.append(code.co_qualname)

    gc.disable()  # hypothesis times collections by functions of its own
    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
        gc.enable()
    return called


class CallCase(Conversation):
    """Has a server in memory, whose calls are named."""

    def calls(self, factory: ReqRespFactory, data: bytes) -> list[str]:
        """Name the functions of ours and of Twisted's that one read of *data* calls."""
        wire = Wire(factory, self.reactor, transport=EagerServer)
        for _ in range(2):
            wire.send(data)  # what happens once, or for the first known read, happens now
        read = wire.protocol.dataReceived
        return called_by(lambda: read(data), but=("wire", "_memory_", __file__))
