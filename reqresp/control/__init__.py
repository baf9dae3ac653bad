"""
Control: what a server shows over HTTP: its metrics and its health.

Reads factories and counters.  It must not change them.  Importing it needs the extra ``metrics``:
without ``prometheus_client`` an ImportError says what to install.
"""

from reqresp.control._limited_site import LimitedSite
from reqresp.control.prometheus import Exposition, ServerCollector, make_registry
from reqresp.control.site import make_site

__all__ = ["Exposition", "LimitedSite", "ServerCollector", "make_registry", "make_site"]
