"""
Reading files that other users can name or replace.

Only regular files are opened: a pipe can block, and a device may never end.  What is checked is
what was opened, so it does not matter if a name changes its meaning in between.  Must not know what
files contain.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Bytes that are read at once.
MAX_READ_BYTES = 1024 * 1024

# Without O_NONBLOCK, opening a pipe waits for a writer.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: Opens a directory to look files up in it.  With O_PATH this needs no permission to list it.
_LOOK_UP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileTooLargeError(ValueError):
    """A file is larger than a limit."""


def read_regular(path: str | Path, limit: int) -> bytes:
    """
    Return the content of the regular file at *path*.

    :param limit: bytes that the file may have.
    :raises ValueError: the file cannot be opened or read, is not a regular file, or is larger than
        *limit*; the message says which, without the name.
    """
    with _reason_as_value_error():
        return _read(open_regular(path), limit)


def read_below(directory: str | Path, name: str | Path, limit: int) -> bytes:
    """
    Return the content of the regular file *name*, which must be in *directory* or below it.

    This holds for the file that *name* leads to when all symbolic links are resolved.  A link that
    is made or changed in the meantime is not followed.

    :param name: relative to *directory*, or absolute.
    :raises ValueError: as for `read_regular`; or the file is outside of *directory*.
    """
    with _reason_as_value_error():
        root, path = resolve_below(directory, name)
        return _read(_open_below(root, path.relative_to(root)), limit)


def resolve_below(directory: str | Path, name: str | Path) -> tuple[Path, Path]:
    """
    Return *directory*, and the path that *name* in it leads to, with all symbolic links resolved.

    :raises ValueError: the path is outside of *directory*, or is not a possible name.
    """
    _check_name(name)
    root = Path(os.path.realpath(directory))
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(root):
        raise ValueError(f"is outside of the directory {str(root)!r}")
    return root, path


def open_regular(path: str | Path, *, follow: bool = True, within: int | None = None) -> int:
    """
    Open the regular file at *path* for reading, without waiting, and return its descriptor.

    :param follow: whether *path* itself may be a symbolic link.
    :param within: the descriptor of the directory that *path* is relative to.
    :raises OSError: the file cannot be opened.
    :raises ValueError: *path* is not a regular file, or is not a possible name.
    """
    _check_name(path)
    # First by name: to open some devices has an effect.
    _check_regular(os.stat(path, dir_fd=within, follow_symlinks=follow))
    descriptor = os.open(path, _READ | (0 if follow else os.O_NOFOLLOW), dir_fd=within)
    try:
        _check_regular(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a regular file")


def _open_below(root: Path, path: Path) -> int:
    """Open the file at *path*, relative to *root*, without following any link."""
    directory = os.open(root, _LOOK_UP)
    try:
        for part in path.parts[:-1]:
            inner = os.open(part, _LOOK_UP, dir_fd=directory)
            os.close(directory)
            directory = inner
        return open_regular(path.name or ".", follow=False, within=directory)
    finally:
        os.close(directory)


def _read(descriptor: int, limit: int) -> bytes:
    """Return what the file of *descriptor* contains, and close it."""
    parts = []
    left = limit + 1
    try:
        while left and (part := os.read(descriptor, min(left, MAX_READ_BYTES))):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    if not left:
        raise FileTooLargeError(f"is larger than {limit} bytes")
    return b"".join(parts)


def _check_name(path: str | Path) -> None:
    try:
        is_possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise ValueError("is not a possible file name")


@contextmanager
def _reason_as_value_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
