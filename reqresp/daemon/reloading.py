"""
Reloading: the services of a process become what its files define now.

It must not know how a service changes; that is `reqresp.services`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.daemon.definitions import load_definitions
from reqresp.daemon.options import Options
from reqresp.services.definition import Definition, ReplayFile, ScriptFile
from reqresp.services.errors import ListenError
from reqresp.services.registry import REVERTED, Changes, Services, Wanted

_log = Logger()


class SourceReloader:
    """
    Reads what the services answer again, and lets them use it for new connections.

    Also reads the files again with which TLS is added to an upstream.

    :param run: calls a function, in a thread so that clients need not wait for it, and returns a
        Deferred of its result.
    :param check: raises a ValueError if the process cannot have these services.
    """

    def __init__(
        self,
        services: Services,
        options: Options,
        run: Callable[..., Deferred[Any]],
        check: Callable[[Iterable[Definition]], object] = list,
    ) -> None:
        self._services = services
        self._options = options
        self._run = run
        self._check = check
        self._lock = DeferredLock()

    def files(self) -> Iterator[Path]:
        """
        Yield the files that were read for what the services answer, and that a reload reads again.

        That is so as well while a service answers otherwise, since something has changed it.
        """
        if self._options["services"] is not None:
            yield self._options["services"]
        for definition, loaded in self._services.initial:
            if isinstance(definition.answering, ScriptFile | ReplayFile):
                yield definition.answering.path
            if loaded.script is not None:
                yield from loaded.script.files

    def reload(self) -> None:
        """Begin to read the files again; if one has errors, what was read before stays."""
        if self._lock.waiting:
            return  # a reload that has not begun to read will see the same files
        # One at a time, so that the last one wins.
        loaded: Deferred[Any] = self._lock.run(self._load_and_use)
        loaded.addCallback(self._log_changes).addErrback(self._keep)
        loaded.addErrback(lambda failure: _log.failure("reload failed", failure))

    def _load_and_use(self) -> Deferred[Changes]:
        loaded = self._run(load_definitions, self._options)
        return loaded.addCallback(self._use)

    def _use(self, wanted: Sequence[Wanted]) -> Deferred[Changes]:
        self._check([definition for definition, _ in wanted])
        # A service of its own is told on purpose to begin anew; several are, if they have changed.
        return self._services.reload(wanted, uses_same=self._options["services"] is None)

    def _log_changes(self, changes: Changes) -> None:
        options = self._options
        if options["services"] is not None:
            _log.info("reloaded {file}: {changes}", file=options["services"], changes=changes)
            return
        name = options["script"] or options["replay"] or "the certificates of the service"
        more = f"; {REVERTED.removesuffix(':')}" if changes.reverted else ""
        _log.info("reloaded {script} for new connections{more}", script=name, more=more)

    def _keep(self, failure: Failure) -> None:
        failure.trap(ValueError, ImportError, ListenError)
        kept = "recording" if self._options["replay"] is not None else "rules"
        kept = kept if self._options["services"] is None else "services"
        _log.error(
            "reload failed; keeping the current {kept}: {problem}",
            kept=kept,
            problem=str(failure.value),
        )
