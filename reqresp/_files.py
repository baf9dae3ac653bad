"""
Files that other users can name or replace.

Only regular files are read: a pipe can block, and a device may never end.  What is checked is
what was opened, so it does not matter if a name changes its meaning in between.  Must not know what
files contain.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Bytes that are read at once.
MAX_READ_BYTES = 1024 * 1024

# Without O_NONBLOCK, opening a pipe waits for a writer.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: Only its owner can read a new file: it may contain secrets.
_NEW_MODE = 0o600
#: The standard output of this process, as a path.
STDOUT = Path("/dev/stdout")
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
    descriptor = open_below(directory, name)
    with _reason_as_value_error():
        return _read(descriptor, limit)


def open_below(directory: str | Path, name: str | Path) -> int:
    """
    Open the regular file *name* for reading, and return its descriptor.

    :param name: as for `read_below`, which says what is not opened.
    :raises ValueError: the file cannot be opened, is not a regular file, or is outside of
        *directory*.
    """
    with _reason_as_value_error():
        root, path = resolve_below(directory, name)
        return _open_below(root, path.relative_to(root))


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


def open_appending(path: str | Path, *, only_regular: bool) -> int:
    """
    Open the file at *path* for appending, without waiting, and return its descriptor.

    A missing file is created, and only its owner can read it.

    :param only_regular: whether pipes and devices are refused.
    :raises OSError: the file cannot be opened or created, *only_regular* forbids it, or
        root would follow a link of another user.
    """
    if path == STDOUT:
        return _open_stdout()
    _check_links(path)
    try:
        is_regular = stat.S_ISREG(Path(path).stat().st_mode)
    except FileNotFoundError:
        is_regular = True  # it will be
    if not is_regular and only_regular:
        raise OSError(errno.EINVAL, "is not a regular file")
    if not is_regular:
        return os.open(path, _APPEND)
    # Links have been followed: one that is made from now on is not.
    descriptor = os.open(os.path.realpath(path), _APPEND | os.O_NOFOLLOW, _NEW_MODE)
    try:
        _check_regular(os.fstat(descriptor))
    except ValueError as error:
        os.close(descriptor)
        raise OSError(errno.EINVAL, str(error)) from None
    return descriptor


def why_not_appendable(path: Path) -> str | None:
    """Return why `open_appending` would fail; None: it would not.  No file is created."""
    if path == STDOUT:
        return None
    try:
        _check_links(path)
        os.close(os.open(path, _APPEND & ~os.O_CREAT))
    except FileNotFoundError:
        if not path.parent.is_dir():
            return os.strerror(errno.ENOENT)
        if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
            return os.strerror(errno.EACCES)
    except OSError as error:
        return error.strerror
    return None


def find_foreign_link(path: str | Path) -> Path | None:
    """
    Return the symbolic link of another user on the way to *path*; None: there is none.

    Only root needs to care, since it can write everything that such a link may lead to.
    """
    if os.geteuid() != 0:
        return None
    path = Path(path).absolute()
    return next((part for part in (path, *path.parents) if _is_foreign_link(part)), None)


def _open_stdout() -> int:
    # In a regular file, what else is printed must be written after it, not over it.
    if not stat.S_ISREG(os.fstat(1).st_mode):
        with suppress(OSError):  # it is a socket, or a pipe of another user
            return os.open(STDOUT, _APPEND & ~os.O_CREAT)
    return os.dup(1)


def _is_foreign_link(path: Path) -> bool:
    try:
        status = os.lstat(path)
    except OSError:  # opening it will say why
        return False
    return stat.S_ISLNK(status.st_mode) and status.st_uid != 0


def _check_links(path: str | Path) -> None:
    link = find_foreign_link(path)
    if link is not None:
        raise OSError(errno.EPERM, f"{link} is a symbolic link of another user")


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
