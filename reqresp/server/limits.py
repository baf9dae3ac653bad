"""
Limits: what a client may use of the server.

One frozen value, which knows how much and nothing of how it is enforced.
"""

import resource
from math import inf
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import optional

from reqresp._errors import FieldError

#: Descriptors left for what is no client (listening sockets, the reactor's own, logs, files), and
#: for those that Twisted accepts in one go, up to 100, before the first can be turned away.
RESERVED_DESCRIPTORS = 128


def _descriptors_left() -> int:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 2**20
    return max(1, soft - RESERVED_DESCRIPTORS)


def _positive(_instance: object, attribute: "Attribute[Any]", value: float | None) -> None:
    if value is None or not 0 < value < inf:
        raise FieldError(attribute.name, f"expected a finite number > 0, found {value!r}")


def _a_while(_instance: object, attribute: "Attribute[Any]", seconds: float) -> None:
    # It is looked at four times in that time: any less would keep a processor busy.
    if not 0.001 <= seconds < inf:
        raise FieldError(attribute.name, f"expected finite seconds >= 0.001, found {seconds!r}")


@frozen(kw_only=True)
class Limits:
    """
    What clients may use.

    :param max_request: bytes of one request; a larger one ends its connection.
    :param max_connections: open at once; a client over it is reset.  The default is what the soft
        limit on file descriptors allows, less a reserve.
    :param max_per_peer: the same for each client address (no limit: None).
    :param max_waiting: bytes of requests that wait behind an unfinished reply; then reading pauses.
        Bytes, because a request can be as small as one.
    :param idle_timeout: seconds (up to a quarter more) in which nothing arrives from a client, none
        of its replies is being waited for and none gets through, until it is closed (never: None).
    :raises ValueError: a limit is zero, negative or infinite, or a time-out under a millisecond.
    """

    max_request: int = field(default=64 * 1024, validator=_positive)
    max_connections: int = field(factory=_descriptors_left, validator=_positive)
    max_per_peer: int | None = field(default=None, validator=optional(_positive))
    max_waiting: int = field(default=64 * 1024, validator=_positive)
    idle_timeout: float | None = field(default=None, validator=optional(_a_while))
