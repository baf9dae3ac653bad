"""
Tap: what ``twistd reqresp`` makes of its options.

The roof of the house: one process that serves, or one that looks after those which do.
"""

from twisted.application.service import IService

from reqresp.daemon.build import check, endpoint, make_server
from reqresp.daemon.listeners import Listener
from reqresp.daemon.options import Options

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """
    Make the service that *options* describe.

    :raises SystemExit: something that an option names is of no use; it says which.
    """
    from twisted.internet import reactor

    listeners = [
        Listener(
            place.name,
            endpoint(reactor, place),
            is_private=place.is_encrypted or options["tls-cert"] is not None,
            is_kept=place.is_kept,
        )
        for place in options["places"]
    ]
    measured = [Listener(it.name, endpoint(reactor, it)) for it in options["measured"]]
    if options["workers"] is None:
        return make_server(options, listeners, measured[0] if measured else None, reactor)
    from reqresp.daemon.supervisor import Supervisor  # late: without workers nobody needs it

    check(options, reactor)
    return Supervisor(options, listeners, measured, reactor)
