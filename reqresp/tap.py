"""
Tap: what ``twistd reqresp`` creates from its options.

Composes the daemon: one process that serves, or one that supervises workers.  Imports that when a
service is made, since help does not need it.
"""

from contextlib import nullcontext
from typing import Any

from twisted.application.service import IService
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import globalLogBeginner

from reqresp.daemon.exits import wrong_use
from reqresp.daemon.interrupts import raise_logged_interrupt
from reqresp.daemon.listeners import Listener
from reqresp.daemon.options import Options
from reqresp.daemon.privileges import FinalUserEndpoint, as_final_user, check_final_user
from reqresp.daemon.reactor import install_default, prepare
from reqresp.daemon.twisted_files import check_socket
from reqresp.services.endpoints import EndpointSpec, make_endpoint

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """
    Return the service that *options* describe.

    :raises SystemExit: an endpoint or a file cannot be used; the message names it.
    :raises KeyboardInterrupt: there was an interrupt while Twisted loaded plugins.
    """
    check_final_user(options)
    install_default()
    from twisted.internet import reactor

    prepare(reactor)

    from reqresp.daemon.build import check_server, make_server, read_listeners

    def make(spec: EndpointSpec) -> IStreamServerEndpoint:
        return _make_endpoint(reactor, spec, options)

    listeners = read_listeners(options, make)
    metrics, control = (
        [
            Listener(spec.name, _make(reactor, spec, options), serves=name)
            for spec in options[f"{name}_endpoints"]
        ]
        for name in ("metrics", "control")
    )
    # Now: parsing endpoints has loaded plugins once more.
    raise_logged_interrupt(globalLogBeginner)
    if options["workers"] is None:
        return make_server(
            options,
            listeners,
            metrics[0] if metrics else None,
            reactor,
            control=control[0] if control else None,
        )
    from reqresp.daemon.supervisor import Supervisor  # late: only workers need it

    return Supervisor(options, listeners, metrics, reactor, check_server(options, reactor))


def _make(reactor: Any, spec: EndpointSpec, options: Options) -> IStreamServerEndpoint:
    try:
        return _make_endpoint(reactor, spec, options)
    except ValueError as error:
        problem = error
    raise wrong_use(str(problem))


def _make_endpoint(reactor: Any, spec: EndpointSpec, options: Options) -> IStreamServerEndpoint:
    if spec.socket_path is not None:
        check_socket(spec, options)
        return FinalUserEndpoint(make_endpoint(reactor, spec), options)
    # Only these read files.  (To find other kinds, Twisted reads its packages.)
    with as_final_user(options) if spec.is_encrypted else nullcontext():
        return make_endpoint(reactor, spec)
