"""
StateProperties: what is different on a connection while its conversation is in a state.

Values only.  Must not know which states there are, or what changes them.
"""

from typing import TypedDict

from attrs import field, frozen
from attrs.validators import optional

from reqresp._errors import Seconds
from reqresp.framing import Framing
from reqresp.server.limits import timeout_seconds


class PropertyArguments(TypedDict, total=False):
    """What is different in a state, as keyword arguments; a framing can be given by its name."""

    framing: str | Framing | None
    reply_framing: str | Framing | None
    idle_timeout: float | None


@frozen
class StateProperties:
    """
    What is different while the conversation of a connection is in a state.

    :param framing: of requests from the next byte on, and of their replies; None: the server's.
    :param idle_timeout: seconds, in place of the limit of that name; None: the limit applies.
    :raises FieldError: *idle_timeout* is not finite, or below a millisecond.
    """

    framing: Framing | None = None
    idle_timeout: Seconds | None = field(default=None, validator=optional(timeout_seconds))


#: Nothing is different.
NO_PROPERTIES = StateProperties()
