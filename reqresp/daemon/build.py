"""
Assembly: putting a server together, as options describe it.

It sees all rooms that serve, connects them and does nothing else.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._errors import FieldError
from reqresp.daemon.endpoints import Place
from reqresp.daemon.listeners import Listener
from reqresp.daemon.options import Options
from reqresp.daemon.service import ReqRespService
from reqresp.daemon.worker_files import journal_path, why_unusable
from reqresp.journal import JournalFile, RequestLog
from reqresp.server.config import ServerConfig, Source, resolve
from reqresp.server.counters import Counters
from reqresp.server.factory import ReqRespFactory
from reqresp.server.observers import Observer
from reqresp.server.proxied import ProxiedFactory
from reqresp.server.responders import fixed

if TYPE_CHECKING:
    from reqresp.script import Script
    from reqresp.transport.tls import Certificates

_log = Logger()

#: Numbers of connections that each worker has; those of the first begin with a 1.
NUMBERS = 1_000_000_000


def make_server(
    options: Options,
    listeners: Sequence[Listener],
    measured: Listener | None,
    reactor: Any,
    worker: int | None = None,
) -> ReqRespService:
    """
    Make the service of one process that serves, as *options* say.

    :param listeners: where it listens.
    :param measured: where its metrics are, if there are any.
    :param worker: its number, if it is one of several: its connections and its journal have it.
    :raises SystemExit: a file is of no use, or what it says; it says which.
    """
    observers: list[Observer] = [] if options["quiet"] else [RequestLog(reactor)]
    counters = None if measured is None else Counters()
    with _one_line(options):
        config = _config_of(options, _load(options))
        certificates = _certificates(options)
        journal = _journal(options, reactor, worker)
        observers += [] if journal is None else [journal]
        factory = ReqRespFactory(
            config,
            observers=observers,
            clock=reactor,
            access=options["access"],
            counters=counters,
            first=(worker or 0) * NUMBERS + 1,
        )
    layered = _layers(options, factory, certificates, reactor)
    service = ReqRespService(
        [evolve(it, factory=layered) for it in listeners],
        factory,
        options["drain"],
        reactor,
        options["lame-duck"],
    )
    if counters is not None and measured is not None:
        with _needing_extras():
            from reqresp.control.site import make_site

        site = make_site(factory, counters, lambda: service.is_ready)
        last = evolve(measured, factory=site, is_last=True)
        service.listeners = [*service.listeners, last]
    if journal is not None:
        service.on_hangup.append(journal.reopen)
        service.on_end.append(journal.close)
    if certificates is not None:
        service.on_hangup.append(certificates.reload)
    if options["script"] is not None:
        service.on_hangup.append(partial(_reload, factory, options, DeferredLock()))
    return service


def check(options: Options, reactor: Any) -> None:
    """
    Find out whether a server can be made of *options*; none is, and no file is written.

    :raises SystemExit: a file is of no use, or what it says; it says which.
    """
    with _one_line(options):
        config = _config_of(options, _load(options))
        # Any seed: one that is chosen would be logged, and never used.
        ReqRespFactory(config, clock=reactor, seed=0)
        _certificates(options)
    if options["measured"]:
        with _needing_extras():
            import_module("reqresp.control.site")
    why = why_unusable(options)
    if why is not None:
        raise SystemExit(f"reqresp: {why}")


def _certificates(options: Options) -> "Certificates | None":
    if options["tls-cert"] is None:
        return None
    with _needing_extras():
        from reqresp.transport.tls import Certificates, TLSFiles

    files = TLSFiles(options["tls-cert"], options["tls-key"], options["client-ca"])
    certificates = Certificates(files)
    certificates.load()
    return certificates


def _layers(
    options: Options, factory: ReqRespFactory, certificates: "Certificates | None", reactor: Any
) -> IProtocolFactory:
    """Put what a connection begins with in front of *factory*: its PROXY header, then TLS."""
    layered: IProtocolFactory = factory
    if certificates is not None:
        from reqresp.transport.tls import wrap

        layered = wrap(factory, certificates, reactor)
    if options["proxy-protocol"]:
        layered = ProxiedFactory(layered, server=factory, trusted=options["trusted"])
    return layered


@contextmanager
def _needing_extras() -> Iterator[None]:
    """Have a package that is missing end the process with one line, which tells how to get it."""
    try:
        yield
    except ImportError as error:
        raise SystemExit(f"reqresp: {error}") from None


@contextmanager
def _one_line(options: Options) -> Iterator[None]:
    """Have what a user got wrong end the process with one line."""
    try:
        yield
    except ValueError as error:
        raise SystemExit(f"reqresp: {_told(options, error)}") from None


def _journal(options: Options, reactor: Any, worker: int | None) -> JournalFile | None:
    path = options["journal"]
    if path is None:
        return None
    if worker is not None:
        path = journal_path(path, worker)
    try:
        return JournalFile(path, reactor, worker=worker)
    except OSError as error:
        raise SystemExit(f"reqresp: --journal: {path}: {error.strerror}") from None


def _load(options: Options) -> "Script | None":
    """Load the script, if there is one; one of thousands of rules takes seconds."""
    if options["script"] is None:
        return None
    from reqresp.script import Script  # late: without a script there is no need for all that

    return Script.load(options["script"])


def _config_of(options: Options, script: "Script | None") -> ServerConfig:
    """Return the config of a server; command-line options override the script."""
    source: Source = (
        fixed(options["response"], close_on=options["close-on"] or None)
        if script is None
        else script
    )
    for warning in () if script is None else script.warnings:
        _log.warn("{problem}", problem=warning)
    return resolve(source, framing=options["framing"], limits=options["limits"])


def _told(options: Options, error: BaseException | None) -> str:
    """Say whose fault *error* is, where it is not a script's alone, which says so itself."""
    if options["script"] is None or hasattr(error, "problems"):
        return str(error)
    given = [f"--{name}" for name in ("framing", "max-request") if options[name] is not None]
    problem = error.problem if isinstance(error, FieldError) else error
    return f"{options['script']} conflicts with {' and '.join(given)}: {problem}"


def _reload(factory: ReqRespFactory, options: Options, lock: DeferredLock) -> None:
    def take(script: "Script | None") -> None:
        factory.reconfigure(_config_of(options, script))
        _log.info("reloaded {script}, for new connections", script=options["script"])

    def keep(failure: Failure) -> None:
        failure.trap(ValueError)
        told = _told(options, failure.value)
        _log.error("not reloaded, the old rules go on: {told}", told=told)

    if lock.waiting:
        return  # the one that waits has not looked at the file yet
    # In a thread, so that clients need not wait for it; one at a time, so that the last one wins.
    loaded: Deferred[Any] = lock.run(deferToThread, _load, options)
    loaded.addCallback(take).addErrback(keep)
    loaded.addErrback(lambda failure: _log.failure("cannot reload", failure))


#: Where ``tls:`` looks for certificates, at each handshake and, alas, not before.
_TLS_PATH = re.compile(
    r"(?:haproxy:)?tls:(?:(?:port|backlog|interface)=(?:\\.|[^:])*:)*(?:path=)?((?:\\.|[^:])*)"
)


def endpoint(reactor: Any, place: Place) -> IStreamServerEndpoint:
    """
    Make the endpoint of *place*.

    :raises SystemExit: that is of no use; it says why.
    """
    description = place.description
    try:
        if (tls := _TLS_PATH.match(description)) is not None:
            _check_certificates(Path(re.sub(r"\\(.)", r"\1", tls[1])))
        made: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # each parser, ours or a plugin's, raises what it likes
        if isinstance(error, LookupError) and description.startswith("systemd:"):
            reason = "systemd passed no such descriptor"
        elif isinstance(error, ImportError):
            reason = f"{error} (pip install 'reqresp[tls]')"
        else:
            # Without the name of a function that nobody has heard of.
            reason = re.sub(r"^\S+\(\) ", "", str(error)) or type(error).__name__
        raise SystemExit(f"reqresp: {description!r} is no usable endpoint: {reason}") from None
    return made


def _check_certificates(directory: Path) -> None:
    if not any(path.suffix == ".pem" for path in directory.iterdir()):
        raise ValueError(f"there is no .pem file in {str(directory)!r}")
