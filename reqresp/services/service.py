"""
Service: a script, or something else that answers, with a place to listen.

Runs what a definition says: its factory, its ports, its journal and its counters.  What steers it
at run time calls its methods; it must not know who does.
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger

from reqresp.relay import RelayFactory
from reqresp.server.config import ServerConfig
from reqresp.server.counters import Counters
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.server.limits import Limits
from reqresp.server.observers import Observer
from reqresp.server.upstream_settings import UpstreamSettings
from reqresp.services.answers import (
    Loaded,
    accept_mode_of,
    check_answers,
    is_relay,
    load,
    log_warnings,
    make_factory,
    reconfigure,
    relay_limits,
    upstream_settings,
)
from reqresp.services.appended_files import open_files
from reqresp.services.definition import (
    DEFAULT_NAME,
    Definition,
    ReplayFile,
    ScriptFile,
    WrittenScript,
    problems_of,
)
from reqresp.services.environment import Environment
from reqresp.services.faults import ServiceFaults
from reqresp.services.layers import add_layers, load_certificates
from reqresp.services.ports import Ports
from reqresp.services.summary import summary_of
from reqresp.transport.accept_modes import AcceptMode, AcceptName, accept_mode

if TYPE_CHECKING:  # few services have a journal or a script
    from reqresp.expectations.live import Expectations
    from reqresp.journal import Journal, JournalFile
    from reqresp.recording.recorder import Recorder
    from reqresp.script import Script
    from reqresp.script.calls import Functions

#: The entries of a journal in memory.
MAX_ENTRIES = 10_000

_log = Logger()


class Kind(Enum):
    """What answers the clients of a service."""

    RESPONSE = "response"
    RULES = "rules"
    RELAY = "relay"
    REPLAY = "replay"


class Service:
    """
    One service of the process; it listens when it is enabled.

    :param definition: what it is.
    :param loaded: what the files of *definition* contain.
    :param environment: what it has in common with the other services.
    :raises ProblemsError: parts of the definition do not fit together, or a file or an endpoint
        cannot be used; it says where that is written.
    :raises ImportError: a package is not installed; the message has the extra.
    """

    def __init__(self, definition: Definition, loaded: Loaded, environment: Environment) -> None:
        self._environment = environment
        #: The name that it had before it was renamed, by which a file has it.
        self.first_name = definition.name
        self._journal: Journal | None = None
        self._expectations: Expectations | None = None
        #: What its connections did; they stay 0 where nothing shows them.
        self.counters = Counters()
        #: What it writes while it runs.
        self.files: Sequence[JournalFile | Recorder] = ()
        self._is_enabled = False
        self._set(definition, loaded)
        self._initial = self._definition, loaded
        with problems_of(definition):
            #: What it serves TLS with; None: nothing is encrypted.
            self.certificates = load_certificates(definition)
            listeners = environment.listeners_of(definition)
            settings = upstream_settings(definition, loaded.script)
            self.files = open_files(
                definition,
                "" if settings is None else settings.name,
                environment.reactor,
                environment.worker,
            )
            try:
                #: Serves its clients.
                self.factory = self._make_factory()
            except BaseException:
                self.close_files()
                raise
        front_of(self.factory).name = self._shown_name
        #: What goes wrong with what its clients get.
        self.faults = ServiceFaults(self.factory)
        log_warnings(loaded)
        wrapped = add_layers(definition, self.factory, self.certificates, environment.reactor)
        #: Where it listens.
        self.ports = Ports(listeners, wrapped, environment.reactor, self._shown_name)
        self.ports.accept = accept_mode_of(definition, loaded.script)

    def _make_factory(self) -> FrontFactory:
        environment = self._environment
        observers: list[Observer] = [*environment.observers(self._definition), *self.files]
        if environment.keeps_journal:
            from reqresp.expectations.live import Expectations
            from reqresp.journal import Journal  # late: only those that steer services need it

            self._journal = Journal(most=MAX_ENTRIES)
            self._expectations = Expectations(self.name, self._journal, self._script_base)
            observers += [self._journal, self._expectations.observer]
        factory = make_factory(
            self._definition,
            self._loaded,
            environment.reactor,
            self._around,
            observers=observers,
            clock=environment.reactor,
            access=self._definition.access,
            counters=self.counters if environment.has_counters else None,
            first=environment.first,
        )
        if self._expectations is not None:
            self._expectations.attach(factory)
        return factory

    def _around(self, config: ServerConfig) -> ServerConfig:
        return config if self._expectations is None else self._expectations.around(config)

    def _set(self, definition: Definition, loaded: Loaded) -> None:
        if isinstance(definition.answering, ScriptFile):
            # Over HTTP a script is its text.
            definition = evolve(definition, written={**definition.written, "script": loaded.text})
        self._definition, self._loaded = definition, loaded

    @property
    def _shown_name(self) -> str:
        """Its name in logs; empty if the process has no other service."""
        return "" if self.name == DEFAULT_NAME else self.name

    # What it is

    @property
    def name(self) -> str:
        """Its name, which no other service of the process has."""
        return self._definition.name

    @property
    def definition(self) -> Definition:
        """What it is now."""
        return self._definition

    @property
    def kind(self) -> Kind:
        """What answers its clients."""
        if isinstance(self.factory, RelayFactory):
            return Kind.RELAY
        if isinstance(self._definition.answering, ReplayFile):
            return Kind.REPLAY
        return Kind.RESPONSE if self._loaded.script is None else Kind.RULES

    @property
    def summary(self) -> str:
        """What answers its clients, in a few words for people."""
        return summary_of(self._definition, self._loaded)

    @property
    def upstream(self) -> str | None:
        """Where its clients are forwarded to, as people write it; None: nowhere."""
        settings = self.upstream_settings
        return None if settings is None else settings.name

    @property
    def upstream_settings(self) -> UpstreamSettings | None:
        """Where its clients are forwarded to, and how; None: nowhere."""
        return upstream_settings(self._definition, self._loaded.script)

    @property
    def limits(self) -> Limits:
        """What its clients may use, with each default."""
        if isinstance(self.factory, ReqRespFactory):
            return self.factory.config.limits
        return relay_limits(self._definition, self._loaded.script)

    @property
    def script(self) -> "Script | None":
        """The script that answers; None: there is none."""
        return self._loaded.script

    @property
    def script_text(self) -> str | None:
        """
        The TOML text of its script; None: it has no script.

        If the script's keys are among those of the definition, the text is written from them.
        """
        return self._definition.script_text or self._loaded.text

    @property
    def journal(self) -> "Journal":
        """
        What happened, in memory.

        :raises RuntimeError: nothing is kept, since nothing steers the process.
        """
        if self._journal is None:
            raise RuntimeError("the process keeps no journal: nothing controls it")
        return self._journal

    @property
    def expectations(self) -> "Expectations":
        """
        What its clients should send.

        :raises RuntimeError: the process keeps no journal, since nothing steers it.
        """
        if self._expectations is None:
            raise RuntimeError("the process has no expectations: nothing controls it")
        return self._expectations

    def follow(self, other: "Service") -> None:
        """
        Take the place of *other*, which is replaced.

        Entries are numbered as if they followed its entries, so a reader of the journal goes on.
        If it should listen where *other* does, that is on the same ports.
        """
        if self._definition.listen == other._definition.listen:
            self.ports.follow(other.ports)
        if self._journal is not None and other._journal is not None:
            self._journal.continue_at(other._journal.position)

    # Where it listens

    @property
    def is_enabled(self) -> bool:
        """Whether it listens, or is about to."""
        return self._is_enabled

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens now, such as ``127.0.0.1:2525``; empty if it is disabled."""
        return self.ports.addresses

    @property
    def listen(self) -> tuple[str, ...]:
        """Where it listens; if it is disabled: where it would, with 0 for a port yet unknown."""
        return self.addresses or tuple(it.name for it in self.ports.listeners)

    def enable(self) -> Deferred[None]:
        """
        Listen, on the ports that it had before; do nothing if it does.

        The Deferred fires when all ports are open.  It fails with a `ListenError` if one cannot be
        opened; then none is.
        """
        self._is_enabled = True

        def failed(failure: Any) -> Any:
            self._is_enabled = False
            return failure

        return self.ports.open().addErrback(failed)

    def disable(self) -> Deferred[None]:
        """
        Stop listening, and reset all connections; the Deferred fires when the ports are closed.
        """
        self._is_enabled = False
        return self._stop(0)

    # What it answers

    def can_use(self, definition: Definition, loaded: Loaded) -> bool:
        """Return whether it can become what *definition* says while its connections go on."""
        is_same_kind = is_relay(definition, loaded.script) == isinstance(self.factory, RelayFactory)
        return is_same_kind and self._definition.serves_alike(definition)

    def is_as(self, definition: Definition, loaded: Loaded) -> bool:
        """Return whether it is what *definition* says, whatever its files for TLS contain now."""
        return self._definition == definition and self._loaded.is_same(loaded)

    def is_same(self, definition: Definition, loaded: Loaded) -> bool:
        """Return whether it is what *definition* says, so that it need not be touched."""
        if not self.is_as(definition, loaded):
            return False
        settings = upstream_settings(definition, loaded.script)
        # The files of TLS to an upstream may have changed.
        return settings is None or settings.tls is None

    def is_initially(self, definition: Definition, loaded: Loaded) -> bool:
        """Return whether it was made of these, and can be so again."""
        return self._initial[0] == definition and self._initial[1] is loaded

    def check(self, definition: Definition, loaded: Loaded) -> None:
        """:raises ProblemsError, ImportError: `use` would raise it; nothing has changed."""
        with problems_of(definition):
            check_answers(definition, loaded, self._environment.reactor)
            self.ports.check_accepting(accept_mode_of(definition, loaded.script))

    def use(self, definition: Definition, loaded: Loaded) -> None:
        """
        Serve new clients as *definition* says, which differs only in what it answers.

        :raises ProblemsError, ImportError: as for the class; nothing has changed.
        """
        accept = accept_mode_of(definition, loaded.script)
        with problems_of(definition):
            self.ports.check_accepting(accept)
            reactor = self._environment.reactor
            reconfigure(self.factory, definition, loaded, reactor, self._around)
        self.ports.accepting(accept)
        log_warnings(loaded)
        self._set(definition, loaded)

    def accepting(
        self, how: AcceptName | AcceptMode | None = None, *, after: float | None = None
    ) -> None:
        """
        Treat clients that connect from now on otherwise, until it uses a definition again.

        Open connections go on, and the ports stay the same.

        :param how: ``now``, ``late``, ``hold`` or ``refuse``, as in a script; or an `AcceptMode`.
        :param after: instead, the seconds that clients wait to be accepted.
        :raises FieldError: *how* or *after* is unknown or out of range, or a port cannot do that.
        :raises TypeError: both are given, or neither.
        """
        self.ports.accepting(accept_mode(how, after))

    def start_from(self, definition: Definition, loaded: Loaded) -> None:
        """Let `reset` return to *definition*: its process was told so, as if it had begun so."""
        self._initial = definition, loaded
        self.first_name = definition.name

    def check_script(self, text: str, functions: "Functions") -> tuple[Definition, Loaded]:
        """
        Return what the service would be with the script *text*.

        :param functions: those that it can call.
        :raises ProblemsError: it has problems, or faults do not fit it; it has all of them.
        """
        base = self._script_base
        answering = WrittenScript.parse(text, self._script_name, base, functions)
        definition = self._definition.with_script(answering)
        return definition, load(definition)

    @property
    def _script_name(self) -> str:
        return self.name if self._loaded.script is None else self._loaded.script.name

    @property
    def _script_base(self) -> Path:
        return self._definition.script_base or self._environment.base

    # What steers it

    def note(self, what: str) -> None:
        """Log that it was changed over the control server, and make an entry of it."""
        self.factory.note(what)
        self.log(what)

    def log(self, what: str) -> None:
        """Log what happened to it."""
        _log.info("{service}: {what}", service=self.name, what=what)

    def reset(self) -> Deferred[None]:
        """
        Be as at the start: its script, faults, journal and expectations, and whether it listens.

        Its connections are reset, and rules count anew.  Its counters go on: totals only grow.

        The Deferred fires when that is so.  It fails with a `ListenError` if it cannot listen; then
        nothing has changed.

        :raises ProblemsError, ImportError: its files for TLS cannot be used any more; likewise.
        """
        definition, loaded = self._initial
        self.check(definition, loaded)
        opened = self.enable() if definition.is_enabled else succeed(None)
        return opened.addCallback(self._reset)

    def _reset(self, _: Any) -> Deferred[None]:
        self.use(*self._initial)  # also if it is the same: its rules count anew
        self.faults.reset()
        front_of(self.factory).reset()
        return self.factory.drain(0).addCallback(self._forget)

    def _forget(self, _: Any) -> Deferred[None]:
        """Forget what has come, and do not listen if it did not at the start."""
        if self._journal is not None:
            self._journal.clear()
        if self._expectations is not None:
            self._expectations.clear()
        return succeed(None) if self._initial[0].is_enabled else self.disable()

    # Its end

    def close(self, drain: float) -> Deferred[None]:
        """
        Stop for good; the Deferred fires when no connection is left and its files are complete.

        :param drain: seconds to finish replies; then connections are reset.
        """

        def ended(_: Any) -> None:
            # Observers write at the end of a turn: let them.
            self._environment.reactor.callLater(0, self.close_files)

        return self._stop(drain).addCallback(ended)

    def close_files(self) -> None:
        """Complete the files that it writes."""
        for file in self.files:
            file.close()

    def reopen_files(self) -> None:
        """Open the files that it writes again, and read its certificates again: as on SIGHUP."""
        for file in self.files:
            file.reopen()
        if self.certificates is not None:
            self.certificates.reload()

    def _stop(self, drain: float) -> Deferred[Any]:
        front = front_of(self.factory)
        closed = self.ports.close()
        if not drain:
            front.reset()
        ended = self.factory.drain(drain)
        return gatherResults([closed, ended]).addCallback(lambda _: None)
