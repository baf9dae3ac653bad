"""
Services: what the command shows of a services file, and of files that a script names.

Prints, and returns the exit status.  It must not know how arguments are parsed, nor start a server.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reqresp._errors import Problem, ProblemsError
from reqresp._text import printable

if TYPE_CHECKING:
    from reqresp.recording.replay import Replay
    from reqresp.script import Script
    from reqresp.services.definition import Definition

Print = Callable[[str], None]


def is_services_file(file: str) -> bool:
    """Return whether *file* defines services; False if it cannot be read."""
    from reqresp._files import read_regular  # late, like what else a file needs
    from reqresp.script.files import MAX_FILE_BYTES
    from reqresp.script.toml import parse_toml

    try:
        data = read_regular(file, MAX_FILE_BYTES)
        tables = parse_toml(data.decode("utf-8-sig"), file) if b"service" in data else {}
    except ValueError:
        return False
    return isinstance(tables, dict) and "service" in tables


def check(file: str, say: Print, warn: Print) -> int:
    """
    Check the services file *file*, and the files that say what its services answer.

    :param say: prints a result.
    :param warn: prints a problem, or several.
    """
    from reqresp.services.reading import load_services

    warnings: list[Problem] = []
    try:
        definitions = load_services(file, lambda it: warnings.extend(_warnings(it)))
    except ProblemsError as error:
        warn(str(error))
        return 1
    for warning in warnings:
        warn(f"warning: {warning}")
    count = f"{len(definitions)} service{'s' * (len(definitions) != 1)}"
    say(f"{printable(file)}: ok: {count}: {', '.join(it.name for it in definitions)}")
    return 0


def check_script(file: str, script: "Script", warn: Print) -> int:
    """
    Check the files that *script* names for TLS to an upstream; return the exit status.

    :param file: the path of *script*, for messages.
    :param warn: prints a problem, or several.
    """
    if script.upstream is None or script.upstream.tls is None:
        return 0
    from reqresp.script.toml_positions import line_of
    from reqresp.services.definition import Definition, Origin, WrittenScript

    origin = Origin(file, locate=partial(line_of, script.lines))
    definition = Definition(answering=WrittenScript(script, None, Path()), origin=origin)
    try:
        for warning in _upstream_warnings(definition, script):
            warn(f"warning: {warning}")
    except ProblemsError as error:
        warn(str(error))
        return 1
    return 0


def _warnings(definition: "Definition") -> Iterator[Problem]:
    """
    Yield what is valid in the files of a service, but perhaps not meant.

    :raises ProblemsError: files have problems; it has those of all.
    """
    problems: list[Problem] = []
    for find in (_source_warnings, _tls_warnings):
        try:
            yield from find(definition)
        except ProblemsError as error:
            problems += error.problems
    if problems:
        raise ProblemsError(*problems)


def _source_warnings(definition: "Definition") -> Iterator[Problem]:
    from reqresp.script import Script

    source = _load(definition)
    if source is None:
        return
    yield from source.warnings
    if isinstance(source, Script):
        yield from _upstream_warnings(definition, source)


def _upstream_warnings(definition: "Definition", script: "Script") -> Iterator[Problem]:
    """
    Yield what is valid in TLS to the service that clients are forwarded to, but perhaps not meant.

    :raises ProblemsError: it cannot be used.
    """
    is_beside = definition.upstream or definition.adds_tls or definition.upstream_tls
    if not is_beside and (script.upstream is None or script.upstream.tls is None):
        return
    from reqresp.services.answers import upstream_warnings  # late: it loads Twisted
    from reqresp.services.definition import ScriptFile, problems_of

    with problems_of(definition):
        try:
            found = upstream_warnings(definition, script)
        except ImportError as error:
            raise ValueError(f"upstream.tls cannot be checked: {error}") from None
    is_of_script = isinstance(definition.answering, ScriptFile) and not definition.adds_tls
    for warning in found:
        yield definition.origin.problem("script" if is_of_script else "upstream.tls", warning)


def _tls_warnings(definition: "Definition") -> Iterator[Problem]:
    """
    Yield what is wrong with the dates of a service's certificates.

    :raises ProblemsError: a file cannot be used.
    """
    tls = definition.tls
    if tls is None:
        return
    from datetime import UTC, datetime

    from reqresp.services.definition import problems_of, reading_tls

    with problems_of(definition), reading_tls(tls):
        try:
            from reqresp.transport.pem import TLSFiles, read_credentials
        except ImportError as error:
            raise ValueError(f"tls cannot be checked: {error}") from None
        credentials = read_credentials(TLSFiles(tls.cert, tls.key, tls.client_ca))
    for warning in credentials.warnings(datetime.now(UTC)):
        yield definition.origin.problem("tls", warning)


def _load(definition: "Definition") -> "Script | Replay | None":
    # Not as a server does it, which loads Twisted.
    from reqresp.script import Script
    from reqresp.services.definition import ReplayFile, ScriptFile, WrittenScript, reading

    match definition.answering:
        case WrittenScript(script=script):
            return definition.completed(script)
        case ScriptFile(path=path):
            with reading(definition, "script"):
                script = Script.load(path)
            return definition.completed(script)
        case ReplayFile(path=path, ignore=ignore):
            from reqresp.recording.replay import Replay

            with reading(definition, "replay"):
                return Replay.load(path, ignore=ignore)
    return None
