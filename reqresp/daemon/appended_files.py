"""
Appended files: what a server writes while it runs, its journal and its recording.

Opens them as options say, one for each worker.  It must not know what is written.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reqresp._defaults import MAX_ENTRY_BYTES
from reqresp._files import why_not_appendable
from reqresp.daemon.options import Options

if TYPE_CHECKING:
    from reqresp.journal import JournalFile
    from reqresp.recording.recorder import Recorder

#: The options that name such files, and what writes each.
APPENDED_FILES = {"journal": "reqresp.journal", "record": "reqresp.recording.recorder"}


def worker_path(path: Path, worker: int | None) -> Path:
    """Return the path of the file of the *worker* with this number; None: there are no workers."""
    if worker is None:
        return path
    # One file each: a torn line, a full disk or a rename affects one process only.
    # Not it.jsonl.2, which is how logrotate names old files.
    return path.with_name(f"{path.stem}.worker-{worker}{path.suffix}")


def find_append_problem(options: Options) -> str | None:
    """
    Return why workers, run by this user, cannot write the files that *options* name.

    None: they can.  No file is created.
    """
    given = ((name, options[name]) for name in APPENDED_FILES if options[name] is not None)
    return next((problem for it in given if (problem := _problem(*it, options["workers"]))), None)


def _problem(name: str, path: Path, workers: int) -> str | None:
    if path.is_dir():
        return f"--{name}: {path}: {os.strerror(EISDIR)}"
    paths = [worker_path(path, it) for it in range(1, workers + 1)]
    problems = ((path, why_not_appendable(path)) for path in paths)
    return next((f"--{name}: {path}: {why}" for path, why in problems if why), None)


def import_writers(options: Options) -> None:
    """Import what opens the files: the user that opens them may not be able to read packages."""
    for name, module in APPENDED_FILES.items():
        if options[name] is not None:
            import_module(module)


def open_files(
    options: Options, service: str, reactor: Any, worker: int | None
) -> "list[JournalFile | Recorder]":
    """
    Return the observers that write the files that *options* name.

    :param service: the name of the service that clients are forwarded to; empty: there is none.
    :param worker: the number of this worker; None: there are no workers.
    :raises ValueError: a file cannot be opened; the message names it.
    """
    opened: list[JournalFile | Recorder] = []
    if options["journal"] is not None:
        path = worker_path(options["journal"], worker)
        with _naming(f"--journal: {path}"):
            opened.append(_open_journal(options, path, reactor, worker))
    if options["record"] is not None:
        path = worker_path(options["record"], worker)
        with _naming(f"--record: {path}"):
            opened.append(_open_recorder(options, path, reactor, service))
    return opened


def _open_journal(options: Options, path: Path, reactor: Any, worker: int | None) -> "JournalFile":
    from reqresp.journal import JournalFile  # late, like what else an option turns on

    max_entry = options["journal-max-entry"]
    if max_entry is None:
        max_entry = MAX_ENTRY_BYTES
    return JournalFile(path, reactor, worker=worker, max_entry=max_entry)


def _open_recorder(options: Options, path: Path, reactor: Any, service: str) -> "Recorder":
    from reqresp.recording.recorder import Recorder

    return Recorder(path, reactor, service=service, redact=options["redact"] or ())


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Raise a ValueError that begins with *name* instead of an error of a file."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
