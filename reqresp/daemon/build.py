"""
Build: creating the services of a process from its options.

Connects what the other packages provide, and checks the files that options and services name.  It
contains no behaviour of its own.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IProtocolFactory

from reqresp._errors import Problem, ProblemsError
from reqresp._files import read_regular
from reqresp.daemon.definitions import load_definitions, read_definitions
from reqresp.daemon.exits import wrong_use
from reqresp.daemon.options import Options
from reqresp.daemon.privileges import as_final_user, with_user
from reqresp.daemon.reloading import SourceReloader
from reqresp.daemon.service import ReqRespService
from reqresp.daemon.service_listeners import InheritedListeners, OwnListeners
from reqresp.daemon.threads import defer_to_daemon_thread
from reqresp.daemon.tls_need import may_need_tls
from reqresp.daemon.twisted_files import is_log_seen
from reqresp.daemon.watching import FileWatcher
from reqresp.server.observers import Observer
from reqresp.services.answers import check_answers, log_warnings, upstream_settings
from reqresp.services.appended_files import find_append_problem, import_writers
from reqresp.services.definition import Definition, ReplayFile, ScriptFile, problems_of
from reqresp.services.endpoints import EndpointSpec
from reqresp.services.environment import Environment
from reqresp.services.layers import load_certificates
from reqresp.services.ports import Listener
from reqresp.services.registry import Services, Wanted

#: Bytes that the file of a token can have.
MAX_TOKEN_BYTES = 4096
#: The numbers of connections that each worker has for itself: worker 2 begins at 2,000,000,001.
CONNECTIONS_PER_WORKER = 1_000_000_000


def make_server(
    options: Options,
    listeners_of: OwnListeners | InheritedListeners,
    metrics: Listener | None,
    reactor: Any,
    worker: int | None = None,
    control: Listener | None = None,
) -> ReqRespService:
    """
    Return the service of one process that serves as *options* say.

    :param listeners_of: returns where a service listens.
    :param metrics: where it serves metrics; None: nowhere.
    :param worker: its number, for its files and the numbers of its connections; None: the server
        has no workers.
    :param control: where it is controlled; None: nowhere.
    :raises SystemExit: a file cannot be used, or has errors; the message names it.
    """
    is_controlled = control is not None
    services = Services(
        Environment(
            reactor=reactor,
            listeners=listeners_of,
            observers=partial(_make_observers, options, reactor),
            keeps_journal=is_controlled,
            has_counters=metrics is not None or is_controlled,
            worker=worker,
            first=(worker or 0) * CONNECTIONS_PER_WORKER + 1,
            run=partial(defer_to_daemon_thread, reactor),
            drain=options["drain"],
            base=_base(options),
        )
    )
    _import_packages(options)
    with _opening_files(options), _missing_packages_exit():
        services.start(load_definitions(options))
    service = ReqRespService([], services, options["drain"], reactor, options["lame-duck"])
    service.is_log_seen = is_log_seen(options)
    with _missing_packages_exit(), _opening_files(options):
        for listener, serves, make_site in (
            (metrics, "metrics", _make_metrics),
            (control, "control", _make_control),
        ):
            if listener is not None:
                site = make_site(options, services, lambda: service.is_ready)
                made = evolve(listener, factory=site, serves=serves, closes_last=True)
                service.listeners = [*service.listeners, made]
    changes = is_controlled or options["services"] is not None
    if changes or any(it.files or it.certificates for it in services):
        service.on_hangup.append(services.reopen_files)
    if changes or any(it.files for it in services):
        service.on_end.append(services.close_files)
    if changes or _has_source(services):
        run = partial(defer_to_daemon_thread, reactor)
        reloader = SourceReloader(services, options, run, listeners_of)
        service.on_hangup.append(reloader.reload)
        # The parent watches a services file: it opens the sockets.
        if options["watch"] and (worker is None or options["services"] is None):
            watcher = FileWatcher(reloader.files, reloader.reload, reactor)
            service.on_start.append(watcher.start)
            service.on_end.append(watcher.stop)
    return service


def read_listeners(options: Options, make: Callable[[EndpointSpec], Any]) -> OwnListeners:
    """
    Return where the services of *options* listen.

    :param make: returns the Twisted endpoint of a specification.
    :raises WrongUseError: an endpoint of the options cannot be made; one line has been printed.
    :raises SystemExit: the services file cannot be used, or has errors; the message has all.
    """
    if options["services"] is not None:
        import_module("reqresp.services.reading")
    with _opening_files(options):
        try:
            definitions = read_definitions(options)
        except ProblemsError:
            load_definitions(options)  # the files that it names have problems, too
            raise
        if options["workers"] is not None:
            check_plain(definitions)
        try:
            return OwnListeners(definitions, make)
        except ProblemsError as error:
            if options["services"] is not None:
                raise
            problem = error
    raise wrong_use(str(problem))


def check_plain(definitions: Iterable[Definition]) -> None:
    """:raises ProblemsError: workers cannot accept from an endpoint."""
    problems = [
        definition.origin.problem("listen", f"--workers cannot be combined with {spec.name!r}")
        for definition in definitions
        for spec in definition.listen
        if not spec.is_plain
    ]
    if problems:
        raise ProblemsError(*problems)


def check_server(options: Options, reactor: Any) -> Sequence[Wanted]:
    """
    Check that workers can create a server from *options*, without creating one or any file.

    Return its services, and what the files contain that they name.

    :raises SystemExit: a file cannot be used, or has errors; the message names it.
    """
    _import_packages(options)
    with _opening_files(options), _missing_packages_exit():
        wanted = load_definitions(options)
        check_services(options, wanted, reactor)
        for _, loaded in wanted:
            log_warnings(loaded)
    if options["metrics_endpoints"]:
        with _missing_packages_exit():
            import_module("reqresp.control.site")
    return wanted


def check_services(options: Options, wanted: Sequence[Wanted], reactor: Any) -> None:
    """
    Check that workers can have the services *wanted*.

    :raises ValueError: they cannot; a ProblemsError has the problems of all services.
    :raises ImportError: a package is not installed; the message has the extra.
    """
    problems: list[Problem] = []
    for definition, loaded in wanted:
        try:
            with problems_of(definition):
                check_answers(definition, loaded, reactor)
                load_certificates(definition)
        except ProblemsError as error:
            problems += error.problems
    if problems:
        raise ProblemsError(*problems)
    definitions = [definition for definition, _ in wanted]
    check_plain(definitions)
    problem = find_file_problem(options, definitions)
    if problem is not None:
        raise ValueError(problem)


def find_file_problem(options: Options, definitions: Iterable[Definition]) -> str | None:
    """
    Return why workers, run by this user, cannot use a file of a service; None: they can.

    No file is created: each worker creates its own.
    """
    if not os.access(sys.executable, os.X_OK, effective_ids=True):
        return f"{sys.executable}: the user that workers run as cannot execute it"
    definitions = [*definitions]
    named = [options["services"], *(path for it in definitions for path in _read_files(it))]
    for path in filter(None, named):
        if not os.access(path, os.R_OK, effective_ids=True):
            return f"{path}: the user that workers run as cannot read it"
    problems = (find_append_problem(it, options["workers"]) for it in definitions)
    return next(filter(None, problems), None)


def _read_files(definition: Definition) -> Iterator[Path | None]:
    """Yield the files that a service reads."""
    if isinstance(definition.answering, ScriptFile | ReplayFile):
        yield definition.answering.path
    if definition.tls is not None:
        yield from (definition.tls.cert, definition.tls.key, definition.tls.client_ca)
    yield from (definition.upstream_tls.get(key) for key in ("ca", "cert", "key"))


def _make_observers(options: Options, reactor: Any, definition: Definition) -> Sequence[Observer]:
    """Return what logs the events of a service."""
    if options["quiet"]:
        return ()
    from reqresp.journal import RequestLog  # late, like what else an option turns on

    name = "" if options["services"] is None else definition.name
    return (RequestLog(reactor, options["log-format"], service=name),)


def _make_metrics(
    options: Options, services: Services, is_ready: Callable[[], bool]
) -> IProtocolFactory:
    """Return what serves metrics and health."""
    from reqresp.control.site import make_services_site, make_site

    hosts = options["http-host"] or ()
    if options["services"] is not None or options["control"] is not None:
        return make_services_site(services, is_ready, hosts)
    [service] = services
    return make_site(service.factory, service.counters, is_ready, hosts)


def _make_control(
    options: Options, services: Services, is_ready: Callable[[], bool]
) -> IProtocolFactory:
    """Return what serves those that control the process."""
    from reqresp.control.control_site import make_control_site
    from reqresp.control.prometheus import Exposition, make_services_registry
    from reqresp.control.site import make_pages

    clock = services.environment.reactor
    exposition = Exposition(make_services_registry(services, is_ready), clock)
    return make_control_site(
        services,
        clock=clock,
        pages=make_pages(exposition, is_ready),
        token=_read_token(options["control-token-file"]),
        hosts=options["http-host"] or (),
    )


def _base(options: Options) -> Path:
    """Return the directory that paths are relative to in what is sent while the process runs."""
    file: Path | None = options["services"]
    return Path.cwd() if file is None else file.absolute().parent


def _read_token(path: Path | None) -> str | None:
    """
    Return the token in the file at *path*, without blanks around it; None: the file is missing.

    :raises ValueError: the file cannot be read, or has no token.
    """
    if path is None:
        return None
    try:
        token = read_regular(path, MAX_TOKEN_BYTES).decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    except ValueError as error:
        raise ValueError(f"--control-token-file: {path}: {error}") from None
    if not token.isprintable() or not token or " " in token:
        raise ValueError(
            f"--control-token-file: {path}: expected one word of printable ASCII characters"
        )
    return token


def _has_source(services: Services) -> bool:
    """Return whether a file says what a service answers, or how TLS is added to its upstream."""
    for service in services:
        if isinstance(service.definition.answering, ScriptFile | ReplayFile):
            return True
        settings = upstream_settings(service.definition, service.script)
        if settings is not None and settings.tls is not None:
            return True
    return False


@contextmanager
def _missing_packages_exit() -> Iterator[None]:
    """Raise SystemExit instead of an ImportError, with its message: what to install."""
    try:
        yield
    except ImportError as error:
        raise SystemExit(f"reqresp: {error}") from None


def _import_packages(options: Options) -> None:
    """Import what opens files: the user that opens them may not be able to read packages."""
    if options["services"] is not None:
        import_module("reqresp.services.reading")
        modules = ["reqresp.journal", "reqresp.recording.recorder", "reqresp.recording.replay"]
        for module in modules:
            import_module(module)
    else:
        [definition] = read_definitions(options)
        import_writers(definition)
    if options["script"] is not None:
        import_module("reqresp.script")
    if options["replay"] is not None:
        import_module("reqresp.recording.replay")
        import_module("reqresp.recording.marks")
    if options["tls-cert"] is not None:
        with _missing_packages_exit():
            import_module("reqresp.transport.tls")
    if may_need_tls(options):
        with suppress(ImportError):  # whether a file needs it is not known yet
            import_module("reqresp.transport.tls")
            import_module("reqresp.relay.client_tls")


#: The options that name any files.
_FILES = (
    *("services", "script", "replay", "tls-cert", "tls-key", "client-ca", "control-token-file"),
    *("forward-ca", "forward-cert", "forward-key", "journal", "record"),
)


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
