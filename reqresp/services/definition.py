"""
Definition: what a service is, before any file that it names is read.

Options, a services file and HTTP are three ways to write one.  It must not know them, nor how a
service runs.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, field, frozen

from reqresp._defaults import HANDSHAKE_TIMEOUT
from reqresp._errors import FieldError, Problem, ProblemsError, TLSFileError
from reqresp.framing import Framing
from reqresp.server.responders import CLOSE_ON, RESPONSE
from reqresp.server.upstream_settings import TLSSettings
from reqresp.services.endpoints import EndpointSpec
from reqresp.transport.accept_modes import AcceptMode

if TYPE_CHECKING:  # a services file is checked without Twisted, and few services have a script
    from reqresp.faults import DirectedFault, PlacedFault
    from reqresp.script import Script
    from reqresp.script.calls import Functions
    from reqresp.transport.access import Access, Networks

#: The name of the service that options describe.
DEFAULT_NAME = "default"


@frozen
class FixedReply:
    """
    The same reply to every request.

    :param close_on: the request after whose reply the connection is closed; None: no request.
    """

    response: bytes = RESPONSE
    close_on: bytes | None = CLOSE_ON
    faults: "tuple[PlacedFault | DirectedFault, ...]" = ()
    seed: int | None = None


@frozen
class ScriptFile:
    """A script that is read from *path* when the service is made, and again on SIGHUP."""

    path: Path


@frozen
class WrittenScript:
    """
    A script that was written down with the service.

    :param script: what it says.
    :param text: its TOML text; None: its keys are among those of the service.
    :param base: the directory whose files it can name.
    """

    script: "Script" = field(eq=False)
    text: str | None
    base: Path
    #: What it was made of: tells whether it is the same as another.
    tables: Mapping[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str, name: str, base: Path, functions: "Functions | None") -> Self:
        """
        Return the script with this *text*.

        :param name: its name in messages.
        :param functions: those that it can call, as for `Script.parse`.
        :raises ScriptError: it has problems; it has all of them.
        """
        from reqresp.script import Script

        return cls(Script.parse(text, name, base, functions), text, base)


@frozen
class ReplayFile:
    """
    A recording that is replayed.

    :param pace: what the recorded times are multiplied by.
    :param ignore: patterns of RE2 for what clients may send otherwise.
    """

    path: Path
    pace: float = 0.0
    ignore: tuple[str, ...] = ()


@frozen
class Forwarded:
    """Nothing is answered here: all bytes are forwarded to the service that *upstream* names."""


#: What answers the clients of a service.
Answering = FixedReply | ScriptFile | WrittenScript | ReplayFile | Forwarded


@frozen(kw_only=True)
class ServerTLS:
    """
    The certificate of a service, as PEM files.

    :param key: the private key; None: it is in the file of the certificate.
    :param client_ca: the CAs that sign client certificates; None: clients need none.
    :param handshake_timeout: seconds that a client has for its handshake.
    """

    cert: Path
    key: Path | None = None
    client_ca: Path | None = None
    handshake_timeout: float = HANDSHAKE_TIMEOUT


@frozen(kw_only=True)
class Appended:
    """
    The files that a service writes while it runs; None: it does not write that file.

    :param journal_max_entry: bytes of request and reply that an entry holds; None: the default.
    :param redact: patterns of RE2 for what is not recorded.
    """

    journal: Path | None = None
    journal_max_entry: int | None = None
    record: Path | None = None
    redact: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.journal is not None or self.record is not None


def _nowhere(_path: str) -> None:
    """Return that a path has no line."""


@frozen
class Origin:
    """
    Where a definition is written, for messages.

    :param file: the name of the file, or of what else has it; empty: nothing has a name.
    :param path: the key path of the service in it.
    :param names: what keys are called that are not called by their own names.
    :param locate: returns the line of a key path; None: it is not known.
    :param is_sent: whether it was sent from elsewhere.
    """

    file: str = ""
    path: str = ""
    names: Mapping[str, str] = field(factory=dict)
    locate: Callable[[str], int | None] = _nowhere
    is_sent: bool = False

    def name_of(self, key: str) -> str:
        """Return what messages call the key *key*; empty: the service itself."""
        if key in self.names:
            return self.names[key]
        return ".".join(filter(None, (self.path, key)))

    def problem(self, key: str, message: str) -> Problem:
        """Return the problem that *key* has."""
        name = self.name_of(key)
        return Problem(self.file, self.locate(name), name, message)


@frozen(kw_only=True)
class Definition:
    """
    What a service is.

    :param name: unique in its process.
    :param listen: where it listens.
    :param is_enabled: whether it listens from the start.
    :param answering: what answers its clients.
    :param framing: replaces that of a script; None: that of *answering*.
    :param limits: replace single limits of a script.
    :param accept: what happens to clients that connect; None: what a script says.
    :param upstream: replaces single values of a script's `UpstreamSettings`, by their names.
    :param adds_tls: whether TLS to the upstream is added where a script does not add it.
    :param upstream_tls: replaces single values of its `TLSSettings`.
    :param faults: are added to those of a script, as they are written under ``fault``.
    :param seed: replaces that of a script.
    :param files: what it writes while it runs.
    :param tls: None: bytes are not encrypted.
    :param access: which clients may connect; None: all.
    :param has_proxy_header: whether each connection begins with a PROXY header.
    :param trusted: the networks of the load balancers that send one; None: loopback.
    :param origin: where it is written.
    :param written: the other keys of the service, as they were written.
    """

    name: str = DEFAULT_NAME
    listen: tuple[EndpointSpec, ...] = ()
    is_enabled: bool = True
    answering: Answering = FixedReply()
    framing: Framing | None = None
    limits: Mapping[str, Any] = field(factory=dict)
    accept: AcceptMode | None = None
    upstream: Mapping[str, Any] = field(factory=dict)
    adds_tls: bool = False
    upstream_tls: Mapping[str, Any] = field(factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    seed: int | None = None
    files: Appended = Appended()
    tls: ServerTLS | None = None
    access: "Access | None" = None
    has_proxy_header: bool = False
    trusted: "Networks | None" = None
    origin: Origin = field(factory=Origin, eq=False, repr=False)
    written: Mapping[str, Any] = field(factory=dict, eq=False, repr=False)

    def name_of(self, key: str) -> str:
        """Return what messages call a key, such as ``--framing`` for ``framing``."""
        return self.origin.name_of(key)

    def as_json(self) -> dict[str, Any]:
        """Return the keys with which a service is defined over HTTP, as JSON values."""
        keys: dict[str, Any] = {"name": self.name, "listen": [it.name for it in self.listen]}
        keys |= {"enabled": self.is_enabled, **self.written}
        if isinstance(self.answering, WrittenScript) and self.answering.text is not None:
            keys["script"] = self.answering.text
        return keys

    @property
    def script_text(self) -> str | None:
        """
        The TOML text of the script; None: it is in a file, or there is none.

        If the script's keys are among those of the service, the text is written from them.
        """
        if isinstance(self.answering, WrittenScript) and self.answering.text is not None:
            return self.answering.text
        if not self.has_script_keys:
            return None
        from reqresp.script.toml_writing import write_toml  # late: few services have a script
        from reqresp.services.schema import SCRIPT_KEYS

        return write_toml({key: it for key, it in self.written.items() if key in SCRIPT_KEYS})

    @property
    def script_base(self) -> Path | None:
        """The directory whose files its script can name; None: it has no script."""
        match self.answering:
            case ScriptFile(path=path):
                return path.parent
            case WrittenScript(base=base):
                return base
        return None

    @property
    def has_script_keys(self) -> bool:
        """Whether the keys of a script are among those of the service."""
        answering = self.answering
        is_inline = isinstance(answering, WrittenScript) and answering.text is None
        return is_inline or isinstance(answering, Forwarded)

    def with_script(self, script: WrittenScript) -> Self:
        """Return the service with a script that has a text, instead of what answers now."""
        from reqresp.services.schema import SCRIPT_KEYS  # late, likewise

        gone = {"script", "response", "close_on", "replay", "pace", "ignore"}
        changes: dict[str, Any] = {}
        if isinstance(self.answering, FixedReply):
            gone |= {"framing", "fault", "seed"}  # those of the fixed reply
            changes = {"framing": None}
        if self.has_script_keys:
            gone |= {*SCRIPT_KEYS}
            changes = {
                "framing": None,
                "limits": {},
                "accept": None,
                "upstream": {},
                "adds_tls": False,
                "upstream_tls": {},
            }
        written = {key: it for key, it in self.written.items() if key not in gone}
        return evolve(self, answering=script, written=written, **changes)

    def completed(self, script: "Script") -> "Script":
        """
        Return *script*, which answers, with the faults and the seed that stand beside it.

        :raises ProblemsError: the faults have problems; it says where they are written.
        """
        if not self.faults and self.seed is None:
            return script
        try:
            return script.with_faults(self.faults, self.seed)
        except ProblemsError as error:
            problems = [self.origin.problem(it.path, it.message) for it in error.problems]
            raise ProblemsError(*problems) from None

    def serves_alike(self, other: "Definition") -> bool:
        """
        Return whether *other* differs only in what it answers.

        Then a running service can change to it, and its open connections go on.
        """
        answers: dict[str, Any] = {
            "answering": FixedReply(),
            "framing": None,
            "limits": {},
            "accept": None,
            "upstream": {},
            "adds_tls": False,
            "upstream_tls": {},
            "faults": (),
            "seed": None,
        }
        return evolve(self, **answers) == evolve(other, **answers)


#: The keys of files for TLS, in the order in which they are read.
_TLS_FILES = ("cert", "key", "client_ca", "ca")


@contextmanager
def reading_tls(tls: ServerTLS | TLSSettings, path: str = "tls") -> Iterator[None]:
    """
    Say which key names the file that cannot be used.

    :param path: of the table with the keys.
    :raises FieldError: as what is called, such as for a file that is missing.
    """
    try:
        yield
    except TLSFileError as error:
        key = next(it for it in _TLS_FILES if getattr(tls, it, None) == error.path)
        raise FieldError(f"{path}.{key}", str(error)) from None


@contextmanager
def reading(definition: Definition, key: str) -> Iterator[None]:
    """
    Say where *key* names the file that is read, instead of problems that have no place in it.

    Who sends a definition does not see the file: all its problems are those of the key.

    :raises ProblemsError: as what is called; such as for a file that is missing.
    """
    try:
        yield
    except ProblemsError as error:
        origin = definition.origin
        problems = [
            origin.problem(key, str(it)) if origin.is_sent or not (it.line or it.path) else it
            for it in error.problems
        ]
        raise ProblemsError(*problems, files=error.causes) from None


@contextmanager
def problems_of(definition: Definition) -> Iterator[None]:
    """Raise a `ProblemsError` that says where *definition* is written, instead of a ValueError."""
    try:
        yield
    except ProblemsError:  # of a file that has places of its own
        raise
    except FieldError as error:
        raise ProblemsError(definition.origin.problem(error.field, error.problem)) from None
    except ValueError as error:
        raise ProblemsError(definition.origin.problem("", str(error))) from None
