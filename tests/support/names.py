"""Names: the keys of scripts, and the classes of tests, that documents name."""

from typing import Any

import attrs

from reqresp import ReqRespFactory
from reqresp.framing import LengthField
from reqresp.script.schema import (
    AnswerTable,
    Document,
    FramingTable,
    PayloadTable,
    RuleTable,
    StateTable,
    StepTable,
)
from reqresp.testing import Expectation, HeldRequest, Server, ServerConnection, ServerConnections

#: Classes whose methods a test calls.
CLASSES = (ReqRespFactory, Server, Expectation, HeldRequest, ServerConnection, ServerConnections)
#: Classes whose fields are keys of a script.
_TABLES: tuple[Any, ...] = (
    *(Document, RuleTable, AnswerTable, StepTable, PayloadTable, FramingTable, LengthField),
    StateTable,
)


def keys() -> set[str]:
    """Return the keys of a script."""
    return {it.name.removesuffix("_") for table in _TABLES for it in attrs.fields(table)}
