"""
Results: the expectations of a server, and what has come otherwise so far.

An observer of its errors.  Must not know what answers a request, or how the server runs.
"""

from collections.abc import Collection, Mapping
from typing import cast

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp._errors import FieldError
from reqresp.expectations.expectation import BaseExpectation
from reqresp.framing import FrameError
from reqresp.script.names import Name, variable_source
from reqresp.script.rules import Rules, StateScope, is_for_all
from reqresp.script.variables import Notes
from reqresp.server.observers import Observer
from reqresp.server.responders import ConnectionContext, PastConnection
from reqresp.server.state_properties import NO_PROPERTIES, StateProperties
from reqresp.steps import Request

#: The number of unexpected requests, and of errors, that are kept: the first ones.
MAX_KEPT = 10_000
#: The bytes of unexpected requests that are kept.
MAX_KEPT_BYTES = 2**24
_START = "start"


class Results(Observer):
    """What was expected of the clients of one server, and what they did instead."""

    def __init__(self) -> None:
        self.expectations: list[BaseExpectation] = []
        #: The states of conversations without a script.
        self.states = ConnectionStates()
        self.clear()

    def clear(self) -> None:
        """Forget what has come so far; the expectations stay."""
        #: The first requests that nothing answers, and how many more there were.
        self.unexpected: list[Request] = []
        self.more_unexpected = 0
        #: The number of frames that were no request.
        self.malformed = 0
        #: The first exceptions, each with the request that was being answered, and how many more.
        self.errors: list[tuple[Request | None, BaseException]] = []
        self.more_errors = 0
        self._bytes = 0

    @property
    def is_met(self) -> bool:
        """Whether each expectation has answered as many requests as are expected."""
        return all(it.is_met for it in self.expectations)

    def variables(self, states: "Rules | ConnectionStates") -> Mapping[str, Name]:
        """
        Return what stands for each variable that an expectation sets, by its name.

        :param states: those of the conversations; the rules among them set variables, too.
        """
        rules = [it.rule for it in self.expectations]
        if isinstance(states, Rules):
            rules += states.all()
        return {it.name: variable_source(it.name) for rule in rules for it in rule.all_variables}

    def add_unexpected(self, request: Request) -> None:
        """Keep a *request* that nothing answers."""
        self._bytes += len(request.data)
        if len(self.unexpected) < MAX_KEPT and self._bytes <= MAX_KEPT_BYTES:
            self.unexpected.append(request)
        else:
            self.more_unexpected += 1

    def add_error(self, request: Request | None, error: BaseException) -> None:
        """Keep an *error* that was raised in place of the reply to *request*; None: elsewhere."""
        if len(self.errors) < MAX_KEPT:
            self.errors.append((request, error))
        else:
            self.more_errors += 1

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:  # noqa: ARG002, the observer's
        # Exceptions of handlers have been answered: these are other errors, such as no request.
        if failure.check(FrameError):
            self.malformed += 1
        else:
            self.add_error(None, cast(BaseException, failure.value))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:  # noqa: ARG002, the observer's
        self.states.forget(connection)


class ConnectionStates:
    """
    The states and variables of conversations without a script, with these methods of `Rules`.

    They are kept here, because what answers otherwise may keep notes on the connections.
    """

    def __init__(self) -> None:
        self._notes: dict[int, Notes] = {}
        self._server: dict[str, bytes] = {}  # the variables of all connections
        #: Whether all connections have one state.
        self.shares_state = False
        self._shared_state = _START
        #: What is different in each state.
        self.by_state: dict[str, StateProperties] = {}
        #: The same, without the states.
        self.state_properties: Collection[StateProperties] = self.by_state.values()

    def use_scope(self, scope: StateScope) -> None:
        """
        Have one state for all connections, or one for each; before there is any.

        :raises FieldError: *scope* is unknown.
        """
        self.shares_state = is_for_all(scope)

    def describe(self, state: str, properties: StateProperties) -> None:
        """
        Have *properties* in a state, for connections from now on.

        :raises FieldError: *state* is not a string, or all connections have one state.
        """
        if not isinstance(state, str):
            raise FieldError("name", f"expected a string, found {state!r}")
        if self.shares_state:
            raise FieldError("", "expected state_scope='connection', found 'server'")
        self.by_state[state] = properties

    def properties(self, connection: ConnectionContext) -> StateProperties:
        """Return what is different on *connection* in its state."""
        return self.by_state.get(self.state(connection), NO_PROPERTIES)

    def state(self, connection: ConnectionContext) -> str:
        """Return the state of the conversation on *connection*."""
        if self.shares_state:
            return self._shared_state
        notes = self._notes.get(connection.number)
        return _START if notes is None else notes.state

    def move(self, connection: ConnectionContext, state: str) -> None:
        """Set the state of the conversation on *connection*."""
        if self.shares_state:
            self._shared_state = state
            return
        self._notes_of(connection).state = state

    def with_notes(self, connection: ConnectionContext) -> ConnectionContext:
        """Return *connection* with the notes of rules, where templates find variables."""
        notes = self._notes_of(connection)
        return PastConnection(
            connection.peer, connection.number, connection.taken, notes, connection.config
        )

    def forget(self, number: int) -> None:
        """Forget the connection with this *number*, which has ended."""
        self._notes.pop(number, None)

    def _notes_of(self, connection: ConnectionContext) -> Notes:
        notes = self._notes.get(connection.number)
        if notes is None:
            notes = self._notes[connection.number] = Notes(_START, self._server)
        return notes
