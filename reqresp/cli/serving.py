"""
Serving: the server of ``twistd reqresp`` in the foreground, for those who do not know twistd.

Must not know options: those of the server are twistd's to read.
"""

import sys
from collections.abc import Sequence


def serve(arguments: Sequence[str]) -> int:
    """
    Serve as ``twistd -n --pidfile= reqresp`` does with these *arguments*, until a signal comes.

    Return 0.

    :raises SystemExit: an argument is wrong, help was printed, or the server cannot start.
    """
    from twisted.scripts import twistd  # late: no other command needs it

    from reqresp._defaults import SERVE

    sys.argv = [SERVE, "--nodaemon", "--pidfile=", "reqresp", *arguments]
    twistd.run()
    return 0
