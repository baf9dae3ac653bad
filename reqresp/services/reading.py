"""
Reading: the definitions that a services file or a JSON value writes, with all their problems.

The keys of a script are read as a script is.  It must not know how a service runs.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import field, frozen

from reqresp._errors import MAX_PROBLEMS, FieldError, Problem, ProblemsError
from reqresp._files import STDOUT
from reqresp._text import quote, unknown
from reqresp.framing import Chunk
from reqresp.script import Script
from reqresp.script.calls import Functions, KnownFunctions
from reqresp.script.files import ScriptFiles
from reqresp.script.loader import read_script
from reqresp.script.payloads import read_payload
from reqresp.script.reader import JSON, Reader, TooManyProblemsError
from reqresp.script.toml import parse_toml
from reqresp.script.toml_positions import join, line_of, locate
from reqresp.server.upstream_settings import parse_address
from reqresp.services.definition import (
    Answering,
    Appended,
    Definition,
    FixedReply,
    Origin,
    ReplayFile,
    ScriptFile,
    ServerTLS,
    WrittenScript,
)
from reqresp.services.endpoints import EndpointSpec, parse_listen
from reqresp.services.schema import SCRIPT_KEYS, SERVICE_KEYS, ServicesDocument, ServiceTable
from reqresp.transport.accept_modes import AcceptMode, accept_mode

#: What the name of a service can be: it stands in paths of HTTP, in metrics and in logs.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_NAME_EXPECTED = "expected 1 to 100 letters, digits and . _ : - that start with a letter or a digit"

_SCRIPT = (
    "expected services; this is a script: pass it with --script, or write [[service]] with the key"
    " script"
)

#: The keys of a script that a service with a fixed reply can have.
_FIXED_KEYS = ("framing", "limits", "accept", "fault", "seed")
#: The keys of a script that stand beside a script: they replace its values, or add faults.
_KEYS_BESIDE = ("framing", "limits", "accept", "upstream", "fault", "seed")
#: The keys that each say what answers, in the order in which one excludes others.
_ANSWERS = ("script", "replay")

_Tables = list[dict[str, Any]]

#: What a service that no file has can call.
_NO_FUNCTIONS = KnownFunctions()


def _accept_all(_definition: Definition) -> None:
    """Accept any definition."""


def load_services(
    path: str | Path, check: Callable[[Definition], object] = _accept_all
) -> list[Definition]:
    """
    Return the services that the file at *path* defines.

    :param check: raises a `ProblemsError` for more that is wrong with a service, such as the files
        that it names.
    :raises ProblemsError: it cannot be read, or has problems; it has all of them.
    """
    path = Path(path)
    return parse_services(read_script(path), str(path), path.parent, check)


def parse_services(
    text: str,
    name: str,
    base: Path,
    check: Callable[[Definition], object] = _accept_all,
) -> list[Definition]:
    """
    Return the services that the TOML *text* defines.

    :param name: its name in messages.
    :param base: the directory that paths are relative to.
    :param check: as for `load_services`.
    :raises ProblemsError: it has problems; it has all of them, or the first of very many.
    """
    tables = parse_toml(text, name)
    if isinstance(tables, Problem):
        raise ProblemsError(tables)
    if "service" not in tables and tables.keys() & {*SCRIPT_KEYS}:
        raise ProblemsError(Problem(name, None, "", _SCRIPT))
    lines = locate(text)
    reader = Reader(name, partial(line_of, lines))
    definitions: list[Definition] = []
    files: set[Path] = set()
    try:
        document: ServicesDocument = reader.read(ServicesDocument, tables, "")
        for at, table in enumerate(document.service):
            if table is None:  # it was not a table, which has been reported
                continue
            place = _Place(reader, join("service", at), base, lines)
            definition = place.read(table)
            if definition is not None:
                _check_taken(definition, at, definitions, reader)
                definitions.append(definition)
                _check(definition, check, reader, files)
        if not document.service and not reader.problems:
            reader.report("", "expected a service: write [[service]]")
    except TooManyProblemsError:
        pass
    _raise_problems(reader, files)
    return definitions


def read_definition(
    table: Mapping[str, Any],
    base: Path,
    name: str = "service",
    functions: Functions = _NO_FUNCTIONS,
    script_base: Path | None = None,
) -> Definition:
    """
    Return the service that *table* defines, as JSON over HTTP has it.

    Its ``script`` is TOML text.

    :param base: the directory that paths are relative to.
    :param name: what messages call it.
    :param functions: those that its script can call.
    :param script_base: the directory of what its script names; None: *base*.
    :raises ProblemsError: it has problems; it has all of them.
    """
    reader = Reader(name, lambda _: None, JSON)
    script_base = base if script_base is None else script_base
    try:
        definition = _Place(reader, "", base, {}, functions, script_base).read(dict(table))
    except TooManyProblemsError:
        definition = None
    _raise_problems(reader)
    if definition is None:
        raise ProblemsError(Problem(name, None, "", "expected a service"))
    return definition


def _check(
    definition: Definition,
    check: Callable[[Definition], object],
    reader: Reader,
    files: set[Path],
) -> None:
    try:
        check(definition)
    except ProblemsError as error:
        files |= error.files
        for problem in error.problems:
            reader.add(problem)


def _accept(rules: Mapping[str, Any]) -> AcceptMode | None:
    """Return the mode that *rules*, which have no problems, say; None: they say none."""
    how = rules.get("accept")
    return accept_mode(after=how["after"]) if isinstance(how, dict) else how and accept_mode(how)


def _raise_problems(reader: Reader, files: Iterable[Path] = ()) -> None:
    if not reader.problems:
        return
    more: list[Problem] = []
    if len(reader.problems) == MAX_PROBLEMS:
        more = [Problem(reader.file, None, "", f"{MAX_PROBLEMS} problems or more")]
    # Those of files that services name come last.
    own_first = sorted(reader.problems, key=lambda it: (it.file != reader.file, it.line or 0))
    raise ProblemsError(*own_first, *more, files=files)


def _check_taken(
    definition: Definition, at: int, others: Sequence[Definition], reader: Reader
) -> None:
    """Report a name or an address that one of *others* has."""
    path = join("service", at)
    for other in others:
        if other.name == definition.name:
            reader.report(
                join(path, "name"),
                f"expected another name: another service is named {quote(definition.name)}",
            )
        for key in ("journal", "record"):
            file = getattr(definition.files, key)
            if file is not None and file in (other.files.journal, other.files.record):
                reader.report(
                    join(path, key), f"expected another file: {quote(other.name)} writes it, too"
                )
        for spec in definition.listen if definition.is_enabled and other.is_enabled else ():
            if spec in other.listen and not spec.is_any_port:
                reader.report(
                    join(path, "listen"),
                    f"expected another address: {spec.name} is that of {quote(other.name)}",
                )


@frozen
class _Place:
    """
    Where one service is written.

    :param path: its key path; empty: it is the whole value.
    :param functions: those that a script can call; None: those of the modules in *base*.
    :param script_base: the directory of ``script``, which is a text that was sent; None: it is the
        path of a file.
    """

    reader: Reader
    path: str
    base: Path
    lines: Mapping[str, int]
    functions: Functions | None = None
    script_base: Path | None = None
    _files: ScriptFiles = field(init=False)

    @_files.default
    def _make_files(self) -> ScriptFiles:
        return ScriptFiles(self.base)

    def read(self, table: dict[str, Any]) -> Definition | None:
        """Return the service that *table* defines; None after a problem."""
        if isinstance(table.get("upstream"), str):
            table = {**table, "upstream": {"address": table["upstream"]}}
        own = {key: it for key, it in table.items() if key in SERVICE_KEYS}
        rules = {key: it for key, it in table.items() if key in SCRIPT_KEYS}
        for key in table:
            if key not in own and key not in rules:
                self._report(key, unknown("key", key, (*SERVICE_KEYS, *SCRIPT_KEYS)))
        keys: ServiceTable | None = self.reader.read(ServiceTable, own, self.path)
        if keys is None or not self._is_clean:
            self._read_rules(rules)  # its problems, too
            return None
        answers = self._answers(keys, table, rules)
        common = self._common(keys, table)
        if answers is None or not self._is_clean:
            return None
        written = {key: it for key, it in table.items() if key not in ("name", "listen", "enabled")}
        reader = self.reader
        is_sent = self.script_base is not None
        origin = Origin(reader.file, self.path, locate=reader.locate, is_sent=is_sent)
        return Definition(**common, **answers, origin=origin, written=written)

    # What answers

    def _answers(
        self, keys: ServiceTable, table: Mapping[str, Any], rules: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the fields of the definition that say what answers; None after a problem."""
        fixed = [key for key in ("response", "close_on") if key in table]
        if keys.script is not None:
            self._exclude("script", [*fixed, "replay"], table, rules, _KEYS_BESIDE)
            return self._script(keys.script, rules) if self._is_clean else None
        if keys.replay is not None:
            self._exclude("replay", fixed, table, rules, ("limits", "accept"))
            return self._replay(keys, rules) if self._is_clean else None
        for key in ("pace", "ignore"):
            if key in table:
                self._report(key, "requires replay")
        if fixed or not rules.keys() - {*_FIXED_KEYS}:
            self._exclude(fixed[0] if fixed else "response", [], table, rules, _FIXED_KEYS)
            return self._fixed(keys, rules) if self._is_clean else None
        script = self._read_rules(rules)
        if script is None:
            return None
        if script.rules.forwards and script.upstream is None:
            self._report("upstream", "the key is missing: expected a service for forward = true")
        return {"answering": WrittenScript(script, None, self.base, rules)}

    def _exclude(
        self,
        key: str,
        others: Sequence[str],
        table: Mapping[str, Any],
        rules: Mapping[str, Any],
        allowed: Sequence[str],
    ) -> None:
        for other in (*(it for it in others if it in table), *(rules.keys() - {*allowed})):
            self._report(other, f"cannot be combined with {key}")

    def _script(self, script: str, rules: dict[str, Any]) -> dict[str, Any] | None:
        answering: Answering = ScriptFile(self.base / script)
        if self.script_base is not None:
            try:
                answering = WrittenScript.parse(script, "script", self.script_base, self.functions)
            except ProblemsError as error:
                for problem in error.problems:
                    self.reader.add(problem)
                return None
        elif not script:
            self._report("script", f"expected the path of a file, found {script!r}")
        # Faults are checked once the script is known: a relay has others.
        faults = self.reader.read(_Tables, rules.get("fault", []), self._name_of("fault"))
        # The other keys are checked as scripts of their own.
        others = {key: value for key, value in rules.items() if key != "fault"}
        if None in [self._read_rules({key: value}) for key, value in others.items()]:
            return None
        if not self._is_clean:
            return None
        upstream = rules.get("upstream", {})
        tls = upstream.get("tls", False)
        return {
            "answering": answering,
            "framing": self._framing(rules),
            "limits": rules.get("limits", {}),
            "accept": _accept(rules),
            "upstream": self._upstream(upstream),
            "adds_tls": tls is not False,
            "upstream_tls": self._upstream_tls(tls),
            "faults": tuple(faults),
            "seed": rules.get("seed"),
        }

    def _upstream(self, table: Mapping[str, Any]) -> dict[str, Any]:
        values = {key: it for key, it in table.items() if key != "tls"}
        if "address" in values:
            values["address"] = parse_address(values["address"], self.base)
        return values

    def _upstream_tls(self, tls: Any) -> dict[str, Any]:
        values = tls if isinstance(tls, dict) else {}
        is_path = ("ca", "cert", "key")
        base = self.base.absolute()
        return {key: base / it if key in is_path else it for key, it in values.items()}

    def _replay(self, keys: ServiceTable, rules: dict[str, Any]) -> dict[str, Any] | None:
        if self._read_rules(rules) is None:
            return None
        ignore = self._texts(keys.ignore)
        answering = ReplayFile(self.base / (keys.replay or ""), keys.pace or 0.0, ignore)
        limits = rules.get("limits", {})
        return {"answering": answering, "limits": limits, "accept": _accept(rules)}

    def _fixed(self, keys: ServiceTable, rules: dict[str, Any]) -> dict[str, Any] | None:
        script = self._read_rules({"framing": Chunk().name, **rules})
        fixed = FixedReply()
        response = self._payload(keys.response, "response", fixed.response)
        close_on = self._payload(keys.close_on, "close_on", fixed.close_on) or None
        if script is None or response is None:
            return None
        try:
            script.framing.encode(response)
        except ValueError as error:
            self._report("response", str(error))
        answering = FixedReply(
            response, close_on, (*script.faults, *script.stream_faults), script.seed
        )
        return {
            "answering": answering,
            "framing": script.framing,
            "limits": rules.get("limits", {}),
            "accept": _accept(rules),
        }

    def _payload(self, given: Any, key: str, default: bytes | None) -> bytes | None:
        if given is None:
            return default
        try:
            payload = read_payload(given, self._files, None)
        except ValueError as error:
            self._report(key, str(error))
            return None
        return payload if isinstance(payload, bytes) else default

    def _framing(self, rules: Mapping[str, Any]) -> Any:
        """Return the framing among *rules*, which have no problems."""
        if "framing" not in rules:
            return None
        script = Script.of_tables({"framing": rules["framing"]}, self.reader.file, self.base)
        return script.framing

    def _read_rules(self, rules: dict[str, Any]) -> Script | None:
        """Return the script that *rules* are; None after a problem."""
        prefix = f"{self.path}." if self.path else ""
        lines = {
            path.removeprefix(prefix): line
            for path, line in self.lines.items()
            if path.startswith(prefix)
        }
        try:
            return Script.of_tables(rules, self.reader.file, self.base, lines, self.functions)
        except ProblemsError as error:
            for problem in error.problems:
                path = self.path if not problem.path else f"{prefix}{problem.path}"
                self.reader.report(path, problem.message)
            return None

    # Where it listens, and the files that it writes

    def _common(self, keys: ServiceTable, table: Mapping[str, Any]) -> dict[str, Any]:
        if not _NAME.fullmatch(keys.name):
            self._report("name", f"{_NAME_EXPECTED}, found {quote(keys.name)}")
        for key, needed in (
            ("redact", "record"),
            ("journal_max_entry", "journal"),
            ("trust", "proxy_protocol"),
        ):
            if key in table and not table.get(needed):
                self._report(key, f"requires {needed}")
        return {
            "name": keys.name,
            "listen": self._listen(keys),
            "is_enabled": keys.enabled,
            "files": Appended(
                journal=STDOUT if keys.journal == "-" else self._file(keys.journal),
                journal_max_entry=keys.journal_max_entry,
                record=self._file(keys.record),
                redact=self._texts(keys.redact),
            ),
            "tls": self._tls(keys),
            **self._networks(keys),
            "has_proxy_header": keys.proxy_protocol,
        }

    def _listen(self, keys: ServiceTable) -> tuple[EndpointSpec, ...]:
        given = keys.listen if isinstance(keys.listen, list) else [keys.listen]
        if not given:
            self._report("listen", "expected at least one element, found an empty list")
        specs: list[EndpointSpec] = []
        for at, text in enumerate(given):
            path = join("listen", at) if isinstance(keys.listen, list) else "listen"
            try:
                spec = parse_listen(str(text))
            except ValueError as error:
                self._report(path, str(error))
                continue
            if spec in specs and not spec.is_any_port:
                self._report(path, f"expected another address: {spec.name} is given twice")
            if (keys.tls is not None or keys.proxy_protocol) and not spec.is_plain:
                self._report(path, "expected a port, tcp:, unix: or systemd: with tls")
            specs.append(spec)
        return tuple(specs)

    def _tls(self, keys: ServiceTable) -> ServerTLS | None:
        tls = keys.tls
        if tls is None:
            return None
        try:
            return ServerTLS(
                cert=self.base.absolute() / tls.cert,
                key=self._file(tls.key),
                client_ca=self._file(tls.client_ca),
                handshake_timeout=tls.handshake_timeout,
            )
        except FieldError as error:
            self._report(f"tls.{error.field}", error.problem)
            return None

    def _networks(self, keys: ServiceTable) -> dict[str, Any]:
        given = {"allow": keys.allow, "deny": keys.deny, "trust": keys.trust}
        if not any(given.values()):
            return {}
        from reqresp.transport.access import Access, Networks, parse_networks  # late: Twisted

        found: dict[str, Networks | None] = {}
        for key, texts in given.items():
            found[key] = None
            try:
                found[key] = parse_networks(texts) if texts else None
            except ValueError as error:
                self._report(key, str(error))
        allow, deny = found["allow"], found["deny"]
        access = Access(allow, deny or Networks()) if allow or deny else None
        return {"access": access, "trusted": found["trust"]}

    def _file(self, name: str | None) -> Path | None:
        return None if name is None else self.base.absolute() / name

    def _texts(self, given: str | list[str] | None) -> tuple[str, ...]:
        if given is None:
            return ()
        return (given,) if isinstance(given, str) else tuple(given)

    @property
    def _is_clean(self) -> bool:
        """Whether the service has no problems so far."""
        return self.reader.is_clean(self.path)

    def _report(self, key: str, message: str) -> None:
        self.reader.report(self._name_of(key), message)

    def _name_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key
