"""
Variables: what rules remember of a connection, and of all connections.

Must not know rules.
"""

from collections.abc import MutableMapping

from attrs import frozen

from reqresp.script.names import TemplateContext
from reqresp.script.templates import Template

#: The most bytes of a value that a template makes: one that holds itself twice grows with each
#: request.
MAX_VALUE = 2**20


class Notes:
    """
    What rules remember of one connection.

    :param server: the variables of all connections.
    """

    __slots__ = ("counts", "server", "state", "values")

    def __init__(self, state: str, server: MutableMapping[str, bytes]) -> None:
        self.state = state
        self.server = server
        self.counts: dict[str, int] = {}  # of rules with per_connection
        self.values: MutableMapping[str, bytes] = {}  # the variables of the connection

    def variable(self, name: str) -> bytes:
        """
        Return the connection's variable *name*, else the server's; empty: there is none.

        :raises TypeError: a function has set it to something else than bytes.
        """
        value = self.values[name] if name in self.values else self.server.get(name, b"")
        if not isinstance(value, bytes):
            raise TypeError(f"variable {name}: expected bytes, found {value!r}")
        return value


@frozen
class Variable:
    """
    A variable that a rule sets to *value* when it answers.

    :param is_shared: it is the server's, not the connection's.
    """

    name: str
    value: bytes | Template
    is_shared: bool = False

    def is_template(self, text: str) -> bool:
        """Return whether its value is the template *text*."""
        return isinstance(self.value, Template) and self.value.written == text

    def assign(self, notes: Notes, context: TemplateContext) -> None:
        """
        Set it in *notes*.

        :raises ValueError: its value would be too long, or a filter cannot change one.
        """
        value = self.value
        if isinstance(value, Template):
            value = value.fill_from(context)
            if len(value) > MAX_VALUE:
                raise ValueError(
                    f"variable {self.name}: expected at most {MAX_VALUE} bytes, found {len(value)}"
                )
        values = notes.server if self.is_shared else notes.values
        values[self.name] = value
