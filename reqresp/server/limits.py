"""
Limits: how much of the server clients may use, as one frozen value.

It validates the numbers.  It must not know how they are enforced.
"""

import resource
from math import inf

from attrs import field, frozen
from attrs.validators import optional

from reqresp._errors import Bytes, Seconds, expect

#: Descriptors that are kept for everything but clients (listening sockets, the reactor, logs,
#: files), and for the up to 100 clients that Twisted accepts before the first can be refused.
RESERVED_DESCRIPTORS = 128

#: The shortest timeout of connections, in seconds.  They are looked at four times in that time: any
#: shorter keeps a processor busy.
MIN_TIMEOUT = 0.001
#: Bytes that one request may have, unless `Limits` says otherwise.
MAX_REQUEST = 64 * 1024

_positive = expect("a finite number > 0", lambda value: value is not None and 0 < value < inf)
#: Validates a timeout of connections.
timeout_seconds = expect(
    f"finite seconds >= {MIN_TIMEOUT:g}", lambda seconds: MIN_TIMEOUT <= seconds < inf
)


def _available_descriptors() -> int:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 2**20
    return max(1, soft - RESERVED_DESCRIPTORS)


@frozen(kw_only=True)
class Limits:
    """
    How much of the server clients may use.

    :param max_request: bytes of one request; a larger one ends its connection.
    :param max_connections: connections open at once; one more is reset.  The default is the soft
        limit on open files less `RESERVED_DESCRIPTORS`.
    :param max_per_peer: connections open at once for each client address; None: no limit.
    :param max_waiting: bytes of requests that may wait for an unfinished reply; then reading
        pauses.
    :param idle_timeout: seconds after which an idle client is closed, or up to a quarter more;
        None: never.  A client is idle while nothing arrives from it, the server is not making a
        reply, and none is being sent.  A service that a request was forwarded to, and that sends
        nothing, does not count as making one.
    :param request_timeout: seconds after which a request that has begun must be complete, or up to
        a quarter more; None: any time.  Bytes that arrive in between do not prolong it, and time in
        which the client waits for a reply does not count.
    :raises FieldError: a limit is not finite and > 0, or a timeout is below a millisecond.
    """

    max_request: Bytes = field(default=MAX_REQUEST, validator=_positive)
    max_connections: int = field(factory=_available_descriptors, validator=_positive)
    max_per_peer: int | None = field(default=None, validator=optional(_positive))
    max_waiting: Bytes = field(default=64 * 1024, validator=_positive)
    idle_timeout: Seconds | None = field(default=None, validator=optional(timeout_seconds))
    request_timeout: Seconds | None = field(default=None, validator=optional(timeout_seconds))
