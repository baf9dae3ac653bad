"""
Build: creating a server from its options.

Connects what the other packages provide, and checks the files that options name.  It contains no
behaviour of its own.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._defaults import HANDSHAKE_TIMEOUT
from reqresp._errors import FieldError
from reqresp.daemon.appended_files import (
    APPENDED_FILES,
    find_append_problem,
    import_writers,
    open_files,
)
from reqresp.daemon.forwarding import (
    check_forwarding,
    is_relay,
    make_relay,
    make_service,
    reconfigure_relay,
    upstream_settings,
)
from reqresp.daemon.listeners import Listener
from reqresp.daemon.options import Options
from reqresp.daemon.privileges import as_final_user, with_user
from reqresp.daemon.service import ReqRespService
from reqresp.daemon.threads import defer_to_daemon_thread
from reqresp.daemon.tls_need import may_need_tls
from reqresp.relay import RelayFactory
from reqresp.server.config import ConfigSource, ServerConfig, resolve
from reqresp.server.counters import Counters
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.server.observers import Observer
from reqresp.server.responders import fixed

if TYPE_CHECKING:
    from reqresp.script import Script
    from reqresp.transport.tls import Certificates

_log = Logger()

#: The options that name files to read, and those that name any files.
_READ_FILES = (
    *("script", "replay", "tls-cert", "tls-key", "client-ca"),
    *("forward-ca", "forward-cert", "forward-key"),
)
_FILES = (*_READ_FILES, *APPENDED_FILES)
#: The numbers of connections that each worker has for itself: worker 2 begins at 2,000,000,001.
CONNECTIONS_PER_WORKER = 1_000_000_000


def make_server(
    options: Options,
    listeners: Sequence[Listener],
    metrics: Listener | None,
    reactor: Any,
    worker: int | None = None,
) -> ReqRespService:
    """
    Return the service of one process that serves as *options* say.

    :param listeners: where it listens.
    :param metrics: where it serves metrics; None: nowhere.
    :param worker: its number, for its files and the numbers of its connections; None: the server
        has no workers.
    :raises SystemExit: a file cannot be used, or has errors; the message names it.
    """
    observers: list[Observer] = []
    if not options["quiet"]:
        from reqresp.journal import RequestLog  # late, like what else an option turns on

        observers.append(RequestLog(reactor, options["log-format"]))
    counters = None if metrics is None else Counters()
    _import_packages(options)
    with _opening_files(options):
        source = _load(options)
        script = _as_script(options, source)
        settings = upstream_settings(options, script)
        config = None if is_relay(options, script) else _make_config(options, source)
        certificates = _load_certificates(options)
        files = open_files(options, "" if settings is None else settings.name, reactor, worker)
        observers += files
        common: dict[str, Any] = {
            "observers": observers,
            "clock": reactor,
            "access": options["access"],
            "counters": counters,
            "first": (worker or 0) * CONNECTIONS_PER_WORKER + 1,
        }
        factory: FrontFactory
        if config is None:
            with _missing_packages_exit():
                factory = make_relay(options, script, reactor, **common)
        else:
            with _missing_packages_exit():
                forwarding = make_service(options, script, reactor)
            factory = ReqRespFactory(config, service=forwarding, **common)
    wrapped = _add_layers(options, factory, certificates, reactor)
    service = ReqRespService(
        [evolve(it, factory=wrapped) for it in listeners],
        factory,
        options["drain"],
        reactor,
        options["lame-duck"],
    )
    if counters is not None and metrics is not None:
        with _missing_packages_exit():
            from reqresp.control.site import make_site

        hosts = options["metrics-host"] or ()
        site = make_site(factory, counters, lambda: service.is_ready, hosts)
        service.listeners = [
            *service.listeners,
            evolve(metrics, factory=site, closes_last=True),
        ]
    for file in files:
        service.on_hangup.append(file.reopen)
        service.on_end.append(file.close)
    if certificates is not None:
        service.on_hangup.append(certificates.reload)
    has_tls = settings is not None and settings.tls is not None
    if has_tls or _source_file(options) is not None:
        run = partial(defer_to_daemon_thread, reactor)
        service.on_hangup.append(SourceReloader(factory, options, run).reload)
    return service


def check_server(options: Options, reactor: Any) -> None:
    """
    Check that workers can create a server from *options*, without creating one or any file.

    :raises SystemExit: a file cannot be used, or has errors; the message names it.
    """
    _import_packages(options)
    with _opening_files(options):
        source = _load(options)
        script = _as_script(options, source)
        upstream_settings(options, script)
        if is_relay(options, script):
            with _missing_packages_exit():
                make_relay(options, script, reactor)
        else:
            config = _make_config(options, source)
            # With a seed: otherwise one would be chosen and logged, and never used.
            with _missing_packages_exit():
                service = make_service(options, script, reactor)
            ReqRespFactory(config, clock=reactor, seed=0, service=service)
        _load_certificates(options)
        problem = find_file_problem(options)
        if problem is not None:
            raise ValueError(problem)
    if options["metrics_endpoints"]:
        with _missing_packages_exit():
            import_module("reqresp.control.site")


class SourceReloader:
    """
    Reads a script or a recording again, and lets *factory* use it for new connections.

    Also reads the files again with which a relay adds TLS to its service.

    :param run: calls a function, in a thread so that clients need not wait for it, and returns a
        Deferred of its result.
    """

    def __init__(
        self,
        factory: FrontFactory,
        options: Options,
        run: Callable[..., Deferred[Any]],
    ) -> None:
        self._factory = factory
        self._options = options
        self._run = run
        self._lock = DeferredLock()

    def reload(self) -> None:
        """Begin to read the file again; if it has errors, what was read before stays."""
        if self._lock.waiting:
            return  # a reload that has not begun to read will see the same file
        # One at a time, so that the last one wins.
        loaded: Deferred[Any] = self._lock.run(self._run, _load, self._options)
        loaded.addCallback(self._use).addErrback(self._keep)
        loaded.addErrback(lambda failure: _log.failure("reload failed", failure))

    def _use(self, source: ConfigSource | None) -> None:
        file = _source_file(self._options)
        if source is not None and source.is_empty:
            raise ValueError(f"{file}: the script answers nothing")
        factory, options = self._factory, self._options
        script = _as_script(options, source)
        if is_relay(options, script) != isinstance(factory, RelayFactory):
            raise ValueError(f"{file}: a relay begins or ends to be one only at a restart")
        if isinstance(factory, RelayFactory):
            reconfigure_relay(factory, options, script, factory.clock)
        elif isinstance(factory, ReqRespFactory):
            service = make_service(options, script, factory.clock)
            factory.reconfigure(_make_config(options, source), service=service)
        name = file or "the certificates of the service"
        _log.info("reloaded {script} for new connections", script=name)

    def _keep(self, failure: Failure) -> None:
        failure.trap(ValueError, ImportError)  # a script may need a package that is missing
        kept = "recording" if self._options["replay"] is not None else "rules"
        _log.error(
            "reload failed; keeping the current {kept}: {problem}",
            kept=kept,
            problem=str(failure.value),
        )


def find_file_problem(options: Options) -> str | None:
    """
    Return why workers, run by this user, cannot use a file that *options* name; None: they can.

    No file is created: each worker creates its own.
    """
    if not os.access(sys.executable, os.X_OK, effective_ids=True):
        return f"{sys.executable}: the user that workers run as cannot execute it"
    for path in filter(None, (options[name] for name in _READ_FILES)):
        if not os.access(path, os.R_OK, effective_ids=True):
            return f"{path}: the user that workers run as cannot read it"
    return find_append_problem(options)


def _source_file(options: Options) -> Path | None:
    """Return the file that says what to answer; None: none does."""
    file: Path | None = options["script"] or options["replay"]
    return file


def _load(options: Options) -> ConfigSource | None:
    """
    Return the script or the recording, if there is one.

    A script with thousands of rules takes seconds, as a large recording does.
    """
    if options["replay"] is not None:
        from reqresp.recording.replay import Replay  # late: few servers replay

        ignore = options["ignore"] or ()
        return Replay.load(options["replay"], options["pace"] or 0.0, ignore)
    if options["script"] is None:
        return None
    from reqresp.script import Script  # late: a server without a script does not need it

    return Script.load(options["script"])


def _as_script(options: Options, source: ConfigSource | None) -> "Script | None":
    """Return *source* if it is a script, which may forward clients."""
    return cast("Script | None", source) if options["script"] is not None else None


def _make_config(options: Options, source: ConfigSource | None) -> ServerConfig:
    framing, limits = options["framing"], options["limits"]
    if source is None:
        reply = fixed(options["response"], close_on=options["close-on"] or None)
        return resolve(reply, framing=framing, limits=limits)
    for warning in source.warnings:
        _log.warn("{problem}", problem=warning)
    try:
        config = resolve(source, framing=framing, limits=limits)
    except ValueError as error:
        raise ValueError(f"{_source_file(options)} {_conflict(options, error)}") from error
    check_forwarding(options, _as_script(options, source), config)
    return config


def _conflict(options: Options, error: ValueError) -> str:
    """Return which options conflict with a script that has no errors of its own."""
    given = [f"--{name}" for name in ("framing", "max-request") if options[name] is not None]
    problem = error.problem if isinstance(error, FieldError) else error
    return f"conflicts with {' and '.join(given)}: {problem}"


def _load_certificates(options: Options) -> "Certificates | None":
    if options["tls-cert"] is None:
        return None
    from reqresp.transport.tls import Certificates, TLSFiles

    files = TLSFiles(options["tls-cert"], options["tls-key"], options["client-ca"])
    certificates = Certificates(files)
    certificates.load()
    return certificates


def _add_layers(
    options: Options, factory: FrontFactory, certificates: "Certificates | None", reactor: Any
) -> IProtocolFactory:
    """Wrap *factory* in what comes first on a connection: TLS, and before that a PROXY header."""
    wrapped: IProtocolFactory = factory
    if certificates is not None:
        from reqresp.transport.tls import wrap

        malformed = partial(front_of(factory).malformed, "tls_handshake")
        timeout = options["handshake-timeout"] or HANDSHAKE_TIMEOUT
        wrapped = wrap(factory, certificates, reactor, malformed, timeout)
    if options["proxy-protocol"]:
        from reqresp.server.proxied import ProxiedFactory

        wrapped = ProxiedFactory(wrapped, server=factory, trusted=options["trusted"])
    return wrapped


@contextmanager
def _missing_packages_exit() -> Iterator[None]:
    """Raise SystemExit instead of an ImportError, with its message: what to install."""
    try:
        yield
    except ImportError as error:
        raise SystemExit(f"reqresp: {error}") from None


def _import_packages(options: Options) -> None:
    """Import what opens files: the user that opens them may not be able to read packages."""
    import_writers(options)
    if options["script"] is not None:
        import_module("reqresp.script")
    if options["replay"] is not None:
        import_module("reqresp.recording.replay")
        import_module("reqresp.recording.marks")
    if options["tls-cert"] is not None:
        with _missing_packages_exit():
            import_module("reqresp.transport.tls")
    if may_need_tls(options):
        with suppress(ImportError):  # whether a script needs it is not known yet
            import_module("reqresp.relay.client_tls")


@contextmanager
def _opening_files(options: Options) -> Iterator[None]:
    """
    Be the user that the server will run as, and turn a ValueError into a SystemExit.

    The message is one line, or one for each problem of a script.
    """
    has_files = any(options[name] is not None for name in _FILES)
    try:
        with as_final_user(options) if has_files else nullcontext():
            yield
    except ValueError as error:
        raise SystemExit(f"reqresp: {with_user(str(error), options)}") from None
