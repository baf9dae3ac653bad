"""
Appended files: what a server writes while it runs, its journal and its recording.

Opens them as a definition says, one for each worker.  It must not know what is written.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EISDIR
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reqresp._defaults import MAX_ENTRY_BYTES
from reqresp._errors import FieldError
from reqresp._files import STDOUT, why_not_appendable
from reqresp.services.definition import Definition

if TYPE_CHECKING:
    from reqresp.journal import JournalFile
    from reqresp.recording.recorder import Recorder


def worker_path(path: Path, worker: int | None) -> Path:
    """Return the path of the file of the *worker* with this number; None: there are no workers."""
    if worker is None:
        return path
    # One file each: a torn line, a full disk or a rename affects one process only.
    # Not it.jsonl.2, which is how logrotate names old files.
    return path.with_name(f"{path.stem}.worker-{worker}{path.suffix}")


def find_append_problem(definition: Definition, workers: int) -> str | None:
    """
    Return why *workers*, run by this user, cannot write the files of a service.

    None: they can.  No file is created.
    """
    given = _paths(definition).items()
    return next((it for name, path in given if (it := _problem(name, path, workers))), None)


def _paths(definition: Definition) -> dict[str, Path]:
    """Return the files of a service, by what messages call them."""
    files, name_of = definition.files, definition.name_of
    paths = {"journal": files.journal, "record": files.record}
    return {name_of(key): path for key, path in paths.items() if path is not None}


def _problem(name: str, path: Path, workers: int) -> str | None:
    if path == STDOUT:
        return f"{name}: expected a file: workers cannot share standard output"
    if path.is_dir():
        return f"{name}: {path}: {os.strerror(EISDIR)}"
    paths = [worker_path(path, it) for it in range(1, workers + 1)]
    problems = ((path, why_not_appendable(path)) for path in paths)
    return next((f"{name}: {path}: {why}" for path, why in problems if why), None)


def import_writers(definition: Definition) -> None:
    """Import what opens the files: the user that opens them may not be able to read packages."""
    if definition.files.journal is not None:
        import_module("reqresp.journal")
    if definition.files.record is not None:
        import_module("reqresp.recording.recorder")


def open_files(
    definition: Definition, upstream: str, reactor: Any, worker: int | None
) -> "list[JournalFile | Recorder]":
    """
    Return the observers that write the files of a service.

    :param upstream: the name of what clients are forwarded to; empty: there is nothing.
    :param worker: the number of this worker; None: there are no workers.
    :raises FieldError: a file cannot be opened; it names the key and the file.
    """
    files = definition.files
    opened: list[JournalFile | Recorder] = []
    if files.journal is not None:
        path = worker_path(files.journal, worker)
        with _naming("journal", path):
            opened.append(_open_journal(path, reactor, worker, files.journal_max_entry))
    if files.record is not None:
        path = worker_path(files.record, worker)
        with _naming("record", path), _closing_on_error(opened):
            opened.append(_open_recorder(path, reactor, upstream, files.redact))
    return opened


def _open_journal(
    path: Path, reactor: Any, worker: int | None, max_entry: int | None
) -> "JournalFile":
    from reqresp.journal import JournalFile  # late: few services write one

    if max_entry is None:
        max_entry = MAX_ENTRY_BYTES
    return JournalFile(path, reactor, worker=worker, max_entry=max_entry)


def _open_recorder(path: Path, reactor: Any, upstream: str, redact: Sequence[str]) -> "Recorder":
    from reqresp.recording.recorder import Recorder

    return Recorder(path, reactor, service=upstream, redact=redact)


@contextmanager
def _closing_on_error(opened: "list[JournalFile | Recorder]") -> Iterator[None]:
    """Close what was *opened* before, if an error follows."""
    try:
        yield
    except BaseException:
        for file in opened:
            file.close()
        raise


@contextmanager
def _naming(key: str, path: Path) -> Iterator[None]:
    """Raise a FieldError of *key* that names the file at *path*, instead of the file's error."""
    try:
        yield
    except OSError as error:
        raise FieldError(key, f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise FieldError(key, f"{path}: {error}") from None
