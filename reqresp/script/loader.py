"""
Loader: a whole service in one TOML file, read with all its problems at once.

Knows files and TOML.  Must not know what a key means: that is `compiler`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from attrs import evolve, field, frozen

from reqresp._errors import MAX_PROBLEMS, Problem, ProblemsError
from reqresp._files import read_regular
from reqresp.faults import DirectedFault, PlacedFault
from reqresp.framing import BaseFraming, Mixed
from reqresp.script._faults import ScriptFaults, read_faults
from reqresp.script._parts import TableParts
from reqresp.script.calls import CalledFunction, Functions
from reqresp.script.compiler import compile_script
from reqresp.script.files import MAX_FILE_BYTES, ScriptFiles
from reqresp.script.reader import JSON, TOML, Reader, TooManyProblemsError
from reqresp.script.rules import Rules
from reqresp.script.toml import parse_toml
from reqresp.script.toml_positions import line_of, locate
from reqresp.server.config import ConfigSource, ServerConfig
from reqresp.server.limits import Limits
from reqresp.server.upstream_settings import UpstreamSettings
from reqresp.transport.accept_modes import Accept, AcceptMode

# Where a test loads a script with problems, pytest shows the line of the test.
__tracebackhide__ = True


_SERVICES_FILE = "expected a script; this is a services file: pass it with --services"


class ScriptError(ProblemsError):
    """A script has *problems*; the text has one line for each."""


def read_script(path: Path) -> str:
    """
    Return the text of the script at *path*.

    :raises ScriptError: the file cannot be read, or is not text.
    """
    try:
        # Some editors write a byte order mark.
        return read_regular(path, MAX_FILE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = error.object[error.start : error.start + 1]
        problem = Problem(str(path), line, "", f"expected UTF-8, found the byte {found!r}")
    except ValueError as error:
        problem = Problem(str(path), None, "", str(error))
    raise ScriptError(problem)


@frozen(kw_only=True)
class Script(ConfigSource):
    """
    A service that a script describes, for ``ReqRespFactory(script)``.

    Each factory counts for itself: factories share no state.

    :param name: the file's name in messages.
    :param framing: of requests.
    :param reply_framing: of replies; the same as *framing* unless the script has its own.
    :param ordered: whether replies leave in the order of their requests.
    :param accept: what happens to clients that connect; what listens has to apply it.
    :param stream_faults: what goes wrong in a direction of the relay that the script is, or with
        what clients send.
    :param upstream: the service that clients are forwarded to; None: there is none.
    :param is_relay: whether all bytes are forwarded; then there are no rules.
    :param files: the files that it names.
    :param called: the functions that its rules and framings call.
    :param warnings: what is valid, but hardly meant: rules that never answer, or no answer at all.
    """

    name: str
    rules: Rules
    framing: BaseFraming
    reply_framing: BaseFraming
    limits: Limits
    faults: tuple[PlacedFault, ...]
    seed: int | None
    ordered: bool = True
    accept: AcceptMode = Accept.NOW
    stream_faults: tuple[DirectedFault, ...] = ()
    upstream: UpstreamSettings | None = None
    is_relay: bool = False
    files: frozenset[Path] = field(default=frozenset(), eq=False)
    called: tuple[CalledFunction, ...] = field(default=(), eq=False, repr=False)
    warnings: tuple[Problem, ...] = ()
    #: The line of each key path.
    lines: Mapping[str, int] = field(repr=False, eq=False)
    #: The paths of rules, by their names.
    _paths: Mapping[str, str] = field(init=False, repr=False, eq=False)

    @_paths.default
    def _paths_of_rules(self) -> Mapping[str, str]:
        return {rule.name: rule.path for rule in self.rules.all()}

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """
        Return the script in the file at *path*.

        :raises ScriptError: the file cannot be read, or has problems; it has all of them.
        """
        path = Path(path)
        return cls.parse(read_script(path), str(path), path.parent)

    @classmethod
    def parse(
        cls,
        text: str,
        name: str = "script",
        base: str | Path = ".",
        functions: Functions | None = None,
    ) -> Self:
        """
        Return the script in *text*.

        :param name: the name in messages.
        :param base: the directory that file names in the script are relative to.  The script can
            name only files in it or below it.
        :param functions: those that it can call; None: those of the modules in *base*, which are
            run.
        :raises ScriptError: *text* has problems; it has all of them, or the first of very many.
        """
        tables = parse_toml(text, name)
        if isinstance(tables, Problem):
            raise ScriptError(tables)
        return cls.of_tables(tables, name, base, locate(text), functions)

    @classmethod
    def of_tables(
        cls,
        tables: dict[str, Any],
        name: str,
        base: str | Path = ".",
        lines: Mapping[str, int] = MappingProxyType({}),
        functions: Functions | None = None,
    ) -> Self:
        """
        Return the script that *tables* describe, as `parse` does.

        :param lines: the line of each key path in *tables*; empty: they are not written as TOML.
        """
        reader = Reader(name, partial(line_of, lines), TOML if lines else JSON)
        if "service" in tables:
            raise ScriptError(reader.problem("service", _SERVICES_FILE))
        more: list[Problem] = []
        files = ScriptFiles(Path(base))
        try:
            fields = compile_script(tables, reader, files, functions)
        except TooManyProblemsError:
            more = [
                Problem(name, None, "", f"more than {MAX_PROBLEMS} problems; some are not shown")
            ]
        if reader.problems:
            problems = sorted(reader.problems, key=lambda it: it.line or 0)
            raise ScriptError(*problems, *more, files=files.paths)
        return cls(name=name, lines=lines, **fields)

    def with_faults(self, tables: Sequence[dict[str, Any]], seed: int | None = None) -> Self:
        """
        Return the script with more faults, after its own.

        :param tables: as under ``fault`` in a script.
        :param seed: in place of its own; None: its own.
        :raises ScriptError: *tables* have problems; it has all of them, or the first of very many.
        """
        reader = Reader(self.name, lambda _: None)
        parts = TableParts(reader, ScriptFiles(None))
        taken = [it.name for it in self.stream_faults]
        faults = ScriptFaults()
        with suppress(TooManyProblemsError):
            faults = read_faults(tables, parts, is_relay=self.is_relay, taken=taken)
        if reader.problems:
            raise ScriptError(*reader.problems)
        # Their keys seed their dice, which are not those of its own faults.
        replies = [evolve(it, key=f"service.{it.key}") for it in faults.replies]
        return evolve(
            self,
            faults=(*self.faults, *replies),
            stream_faults=(*self.stream_faults, *faults.streams),
            seed=self.seed if seed is None else seed,
        )

    def place(self, by: str) -> str:
        """
        Return the place of the rule with the name *by*, as people read it.

        It is ``rule[3] (line 12)``, or ``name (rule[3], line 12)`` if the rule has a name.  A name
        that no rule has is returned as it is.
        """
        path = self._paths.get(by, by)
        line = self.lines.get(path)
        parts = [*([path] if path != by else []), *([f"line {line}"] if line else [])]
        return f"{by} ({', '.join(parts)})" if parts else by

    @property
    def functions(self) -> Mapping[str, CalledFunction]:
        """The functions that its rules and framings call, by their references."""
        return {it.reference: it for it in self.called}

    def is_same(self, other: "Script") -> bool:
        """Return whether *other* says the same, wherever its keys stand."""
        return self.rules.is_same(other.rules) and evolve(self, rules=other.rules) == other

    @property
    def is_empty(self) -> bool:
        """Whether the script says nothing of what clients get: perhaps it is not written yet."""
        has_faults = bool(self.faults or self.stream_faults)
        return self.rules.is_empty and not has_faults and self.upstream is None

    def config(self) -> ServerConfig:
        """
        Return a new config; two servers share nothing that changes.

        :raises ValueError: the script is a relay, which answers nothing.
        """
        if self.is_relay:
            raise ValueError(f"{self.name}: expected rules, found only [upstream], a relay")
        framing = self.framing
        if self.reply_framing != framing:
            framing = Mixed(framing, self.reply_framing)
        return ServerConfig(
            self.rules.anew(),
            framing,
            self.limits,
            self.faults,
            self.seed,
            self.ordered,
            stream_faults=self.stream_faults,
        )
