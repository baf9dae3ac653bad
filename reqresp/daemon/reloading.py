"""
Reloading: the services of a process become what its files define now.

It must not know how a service changes; that is `reqresp.services`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._errors import ProblemsError
from reqresp.daemon.definitions import load_definitions
from reqresp.daemon.options import Options
from reqresp.services.definition import ReplayFile, ScriptFile
from reqresp.services.errors import ListenError
from reqresp.services.registry import REVERTED, Changes, Services, Wanted

if TYPE_CHECKING:
    from reqresp.daemon.service_listeners import InheritedListeners, OwnListeners

T = TypeVar("T")

_log = Logger()


class SourceReloader:
    """
    Reads what the services answer again, and lets them use it for new connections.

    Also reads the files again with which TLS is added to an upstream.

    :param run: calls a function, in a thread so that clients need not wait for it, and returns a
        Deferred of its result.
    :param listeners: notified when a reload begins and ends.
    """

    def __init__(
        self,
        services: Services,
        options: Options,
        run: Callable[..., Deferred[Any]],
        listeners: "OwnListeners | InheritedListeners | None" = None,
    ) -> None:
        self._services = services
        self._options = options
        self._run = run
        self._listeners = listeners
        self._lock = DeferredLock()
        #: What the last reload has failed for.
        self._causes: frozenset[Path] = frozenset()

    def files(self) -> Iterator[Path]:
        """
        Return the files that were read for what the services answer, and that a reload reads again.

        That is so as well while a service answers otherwise, since something has changed it.  Also
        those for which the last reload has failed.
        """
        yield from files_of(self._options, self._services.initial)
        yield from self._causes

    def reload(self) -> None:
        """Begin to read the files again; if one has errors, what was read before stays."""
        if self._lock.waiting:
            return  # a reload that has not begun to read will see the same files
        # One at a time, so that the last one wins.
        loaded: Deferred[Any] = self._lock.run(self._load_and_use)
        loaded.addCallback(self._log_changes).addErrback(self._keep)
        loaded.addErrback(lambda failure: _log.failure("reload failed", failure))

    def _load_and_use(self) -> Deferred[Changes]:
        if self._listeners is not None:
            self._listeners.begin_reload()
        loaded = self._run(load_definitions, self._options).addCallback(self._use)
        return loaded if self._listeners is None else loaded.addBoth(self._ended)

    def _use(self, wanted: Sequence[Wanted]) -> Deferred[Changes]:
        # A service of its own is told on purpose to begin anew; several are, if they have changed.
        return self._services.reload(wanted, uses_same=self._options["services"] is None)

    def _ended(self, result: T) -> T:
        if self._listeners is not None:
            self._listeners.end_reload()
        return result

    def _log_changes(self, changes: Changes) -> None:
        self._causes = frozenset()
        options = self._options
        if options["services"] is not None:
            _log.info("reloaded {file}: {changes}", file=options["services"], changes=changes)
            return
        name = options["script"] or options["replay"] or "the certificates of the service"
        more = f"; {REVERTED.removesuffix(':')}" if changes.reverted else ""
        _log.info("reloaded {script} for new connections{more}", script=name, more=more)

    def _keep(self, failure: Failure) -> None:
        self._causes = causes_of(failure)
        log_reload_failure(self._options, failure)


def causes_of(failure: Failure) -> frozenset[Path]:
    """Return the files after whose change a reload may not fail again as it did."""
    error = failure.value
    return error.causes if isinstance(error, ProblemsError) else frozenset()


def log_reload_failure(options: Options, failure: Failure) -> None:
    """Log that a reload has failed, and raise again what no file of a user can cause."""
    failure.trap(ValueError, ImportError, ListenError)
    kept = "recording" if options["replay"] is not None else "rules"
    kept = kept if options["services"] is None else "services"
    _log.error(
        "reload failed; keeping the current {kept}: {problem}",
        kept=kept,
        problem=str(failure.value),
    )


def files_of(options: Options, wanted: Iterable[Wanted]) -> Iterator[Path]:
    """Yield the files that say what the services *wanted* answer, that of *options* first."""
    if options["services"] is not None:
        yield options["services"]
    for definition, loaded in wanted:
        if isinstance(definition.answering, ScriptFile | ReplayFile):
            yield definition.answering.path
        if loaded.script is not None:
            yield from loaded.script.files
