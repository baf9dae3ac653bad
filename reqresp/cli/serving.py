"""
Serving: the server of ``twistd reqresp`` in the foreground, for those who do not know twistd.

Must not know options: those of the server are twistd's to read.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any


def serve(arguments: Sequence[str]) -> int:
    """
    Serve as ``twistd -n --pidfile= reqresp`` does with these *arguments*, until a signal comes.

    Return 0.

    :raises SystemExit: an argument is wrong, help was printed, or the server cannot start.
    """
    from twisted.scripts import twistd  # late: no other command needs it

    from reqresp._defaults import SERVE

    if os.getpid() == 1:
        # The kernel drops signals that process 1 does not handle.  Twisted handles this one later.
        signal.signal(signal.SIGTERM, _end)
    sys.argv = [SERVE, "--nodaemon", "--pidfile=", "reqresp", *arguments]
    twistd.run()
    return 0


def _end(number: int, _frame: Any) -> None:
    """End the process at once, with the status that a shell shows for this signal."""
    os._exit(128 + number)
