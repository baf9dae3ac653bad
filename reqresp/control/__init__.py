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
    from reqresp.control._remote_expectation import RemoteExpectation
    from reqresp.control.async_client import AsyncConnection, AsyncControlClient, AsyncFault
    from reqresp.control.client import ControlClient, RemoteFault
    from reqresp.control.client_connections import RemoteConnection
    from reqresp.control.prometheus import Exposition, ServerCollector, make_registry
    from reqresp.control.site import make_site

__all__ = [
    "AsyncConnection",
    "AsyncControlClient",
    "AsyncFault",
    "ControlClient",
    "ControlError",
    "Exposition",
    "LimitedSite",
    "RemoteConnection",
    "RemoteExpectation",
    "RemoteFault",
    "ServerCollector",
    "make_registry",
    "make_site",
]

_MODULES = {
    "AsyncConnection": "async_client",
    "AsyncControlClient": "async_client",
    "AsyncFault": "async_client",
    "ControlClient": "client",
    "ControlError": "_http",
    "Exposition": "prometheus",
    "LimitedSite": "_limited_site",
    "RemoteConnection": "client_connections",
    "RemoteExpectation": "_remote_expectation",
    "RemoteFault": "client",
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
