"""
Control: a running process over HTTP: what serves that, and what asks for it.

Each name is loaded when it is first used.  The client needs nothing but reqresp; what serves needs
the extra ``metrics``: without ``prometheus_client`` an ImportError says what to install.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reqresp.control._http import ControlError
    from reqresp.control._limited_site import LimitedSite
    from reqresp.control.async_client import AsyncControlClient
    from reqresp.control.async_objects import (
        AsyncConnection,
        AsyncExpectation,
        AsyncFault,
        AsyncHeldRequest,
    )
    from reqresp.control.client import ControlClient
    from reqresp.control.client_connections import RemoteConnection, RemoteConnections
    from reqresp.control.client_expectations import RemoteExpectation
    from reqresp.control.client_faults import RemoteFault
    from reqresp.control.client_held import RemoteHeldRequest
    from reqresp.control.prometheus import Exposition, ServerCollector, make_registry
    from reqresp.control.site import make_site

__all__ = [
    "AsyncConnection",
    "AsyncControlClient",
    "AsyncExpectation",
    "AsyncFault",
    "AsyncHeldRequest",
    "ControlClient",
    "ControlError",
    "Exposition",
    "LimitedSite",
    "RemoteConnection",
    "RemoteConnections",
    "RemoteExpectation",
    "RemoteFault",
    "RemoteHeldRequest",
    "ServerCollector",
    "make_registry",
    "make_site",
]

_MODULES = {
    "AsyncConnection": "async_objects",
    "AsyncControlClient": "async_client",
    "AsyncExpectation": "async_objects",
    "AsyncFault": "async_objects",
    "AsyncHeldRequest": "async_objects",
    "ControlClient": "client",
    "ControlError": "_http",
    "Exposition": "prometheus",
    "LimitedSite": "_limited_site",
    "RemoteConnection": "client_connections",
    "RemoteConnections": "client_connections",
    "RemoteExpectation": "client_expectations",
    "RemoteFault": "client_faults",
    "RemoteHeldRequest": "client_held",
    "ServerCollector": "prometheus",
    "make_registry": "prometheus",
    "make_site": "site",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
