"""
Testing: servers for tests, in a thread, in memory or on the reactor that runs already.

`serve` is for whatever client a test has; the others are for Twisted's own.
"""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint

from reqresp.fakes import Fake
from reqresp.messages import Request, Wait
from reqresp.reactors import ThreadedReactor
from reqresp.stubs import Expectation
from reqresp.transport import EagerServerEndpoint

__all__ = ["Expectation", "Server", "StartServer", "Wait", "serve"]
