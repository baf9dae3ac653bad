"""
Tap: what ``twistd reqresp`` makes of its options.

The roof of the house: it sees all rooms, puts them together and does nothing else.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger

from reqresp.factory import ReqRespFactory
from reqresp.limits import Limits
from reqresp.options import Options
from reqresp.responders import fixed
from reqresp.service import Listener, ReqRespService
from reqresp.transcript import Transcript

__all__ = ["Options", "makeService"]

_log = Logger()


def makeService(options: Options) -> ReqRespService:
    """
    Make the service that *options* describe.

    :raises SystemExit: a script has problems, or an endpoint's description is of no use; it says
        which.
    """
    from twisted.internet import reactor

    try:
        factory = ReqRespFactory(
            **_behaviour(options),
            observers=[] if options["quiet"] else [Transcript(reactor)],
            clock=reactor,
        )
    except ValueError as error:
        raise SystemExit(f"reqresp: {error}") from None
    listeners = [
        Listener(name, _endpoint(reactor, description))
        for name, description in options["endpoints"]
    ]
    reload = partial(_reload, factory, options) if options["script"] else None
    return ReqRespService(listeners, factory, options["drain"], reactor, reload)


def _behaviour(options: Options) -> dict[str, Any]:
    """Say how a factory is to behave; what was given as an option wins over a script."""
    if options["script"] is None:
        return {
            "respond": fixed(options["response"], close_on=options["close-on"] or None),
            "framing": options["framing"],
            "limits": Limits(**options["limits"]),
        }
    from reqresp.script import Script  # late: it takes as long as half of all else

    script = Script.load(options["script"])
    for warning in script.warnings:
        _log.warn("{warning}", warning=warning)
    limits = evolve(script.limits, **options["limits"])
    return {"respond": script, "framing": options["framing"], "limits": limits}


def _reload(factory: ReqRespFactory, options: Options) -> None:
    try:
        factory.behave(**_behaviour(options))
    except ValueError as error:
        _log.error("not reloaded, the old rules go on: {error}", error=error)
    else:
        _log.info("reloaded {script}, for new connections", script=options["script"])


#: Where ``tls:`` looks for certificates, at each handshake and, alas, not before.
_TLS_PATH = re.compile(
    r"(?:haproxy:)?tls:(?:(?:port|backlog|interface)=(?:\\.|[^:])*:)*(?:path=)?((?:\\.|[^:])*)"
)


def _endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    try:
        if (tls := _TLS_PATH.match(description)) is not None:
            _check_certificates(Path(re.sub(r"\\(.)", r"\1", tls[1])))
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # each parser, ours or a plugin's, raises what it likes
        if isinstance(error, LookupError) and description.startswith("systemd:"):
            reason = "systemd passed no such descriptor"
        elif isinstance(error, ImportError):
            reason = f"{error} (pip install 'reqresp[tls]')"
        else:
            # Without the name of a function that nobody has heard of.
            reason = re.sub(r"^\S+\(\) ", "", str(error)) or type(error).__name__
        raise SystemExit(f"reqresp: {description!r} is no usable endpoint: {reason}") from None
    return endpoint


def _check_certificates(directory: Path) -> None:
    if not any(path.suffix == ".pem" for path in directory.iterdir()):
        raise ValueError(f"there is no .pem file in {str(directory)!r}")
