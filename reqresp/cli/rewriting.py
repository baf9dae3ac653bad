"""
Rewriting: what the command makes of recordings.

Prints, and returns the exit status.  It must not know how arguments are parsed.
"""

import os
import shutil
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Print = Callable[[str], None]


def mark(options: Namespace, say: Print, warn: Print) -> int:
    """
    Write marks into a recording.

    :param say: prints a result.
    :param warn: prints a problem.
    """
    from reqresp.recording import RecordingError
    from reqresp.recording.marks import mark
    from reqresp.recording.notation import read_text

    file = Path(options.file)
    try:
        text = read_text(file)
        marked = mark(text, options.ignore, str(file))
        if marked.text != text:
            replace_file(file, os.fsencode(marked.text))
    except RecordingError as error:
        warn(str(error))
        return 1
    except OSError as error:
        warn(f"{file}: cannot be written: {error.strerror}")
        return 1
    for ignored, count in zip(options.ignore, marked.counts, strict=True):
        if not count:
            warn(f"warning: {ignored.text!r} matches nothing that clients send")
    say(f"{file}: {sum(marked.counts)} marks in what clients send, {marked.echoes} in replies")
    return 0


def script(options: Namespace, say: Print, warn: Print) -> int:
    """
    Print the script that answers as a recording.

    :param say: prints a result.
    :param warn: prints a problem.
    """
    from reqresp.recording import RecordingError, load
    from reqresp.recording.scripting import make_script

    specification, framing = options.framing
    try:
        recording = load(options.file)
        text = make_script(recording, specification, framing)
    except RecordingError as error:
        warn(str(error))
        return 1
    for warning in recording.warnings:
        warn(f"warning: {warning}")
    say(text.rstrip("\n"))
    return 0


def replace_file(path: Path, data: bytes) -> None:
    """
    Replace what the file at *path* contains by *data*, at once; its owner and permissions stay.

    :raises OSError: it cannot be written; then it is unchanged.
    """
    path = Path(os.path.realpath(path))
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
            _copy_owner(path, file.fileno())
        shutil.copymode(path, new)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def _copy_owner(path: Path, file: int) -> None:
    """Give the open *file* the owner and the group of the file at *path*."""
    wanted, found = path.stat(), os.fstat(file)
    if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
        os.fchown(file, wanted.st_uid, wanted.st_gid)
