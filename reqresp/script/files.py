"""
Files: what the files contain that a payload can name.

Must not know payloads or rules.
"""

from pathlib import Path
from typing import Protocol

from attrs import define, field, frozen

from reqresp._files import FileTooLargeError, read_below, read_regular, resolve_below
from reqresp.script.feeds import Feed

#: Bytes that one file may have, and all files of a script together.
MAX_FILE_BYTES = 64 * 1024 * 1024


class Files(Protocol):
    """The files that a payload can name.  Each method raises a `ValueError` that names the file."""

    def read(self, name: str) -> bytes:
        """Return the content of the file *name*."""

    def feed(self, name: str, *, repeat: bool) -> Feed:
        """Return the lines of the file *name*."""


@define
class ScriptFiles:
    """
    The files that a script names: only those in its *directory* or below, and each read once.

    However often a script names a file, it is in memory once.

    :param directory: None: no file can be read.
    """

    directory: Path | None
    #: What each file contains, or why it cannot be used.
    _found: dict[Path, bytes | str] = field(factory=dict, init=False)
    #: Those that are not read yet.
    _fed: set[Path] = field(factory=set, init=False)
    _left: int = field(default=MAX_FILE_BYTES, init=False)

    @property
    def paths(self) -> frozenset[Path]:
        """The files that were named, whether they can be used or not."""
        return frozenset(self._fed.union(self._found))

    def read(self, name: str) -> bytes:
        """
        Return the content of the file *name*, relative to the directory or absolute.

        :raises ValueError: the file is outside of the directory, is not a regular file, cannot be
            read, or has more bytes than are left for the files of a script.
        """
        directory, path, shown = self._find(name)
        if path not in self._found:
            self._found[path] = self._read(directory, path)
        found = self._found[path]
        if isinstance(found, bytes):
            return found
        raise ValueError(f"{shown} {found}")

    def feed(self, name: str, *, repeat: bool) -> Feed:
        """
        Return the lines of the file *name*, relative to the directory or absolute.

        :raises ValueError: the file is outside of the directory, is not a regular file, cannot be
            opened, or is empty.
        """
        directory, path, shown = self._find(name)
        self._fed.add(path)
        try:
            return Feed.find(directory, path, repeat=repeat)
        except ValueError as error:
            raise ValueError(f"{shown} {error}") from None

    def _find(self, name: str) -> tuple[Path, Path, str]:
        """Return the directory and the path of the file *name*, and how it is shown."""
        if self.directory is None:
            raise ValueError("expected text, hex or base64: no file can be named here")
        shown = repr(str(self.directory / name))
        try:
            return *resolve_below(self.directory, name), shown
        except ValueError as error:
            raise ValueError(f"{shown} {error}; a script can read no other files") from None

    def _read(self, directory: Path, path: Path) -> bytes | str:
        try:
            data = read_below(directory, path, self._left)
        except FileTooLargeError:
            what = "together" if self._left < MAX_FILE_BYTES else "at most"
            return f"is too large: the files of a script can have {MAX_FILE_BYTES} bytes {what}"
        except ValueError as error:
            return str(error)
        self._left -= len(data)
        return data


@frozen
class AnyFiles:
    """Any regular files, relative to *directory* or absolute: code names them."""

    directory: Path

    def read(self, name: str) -> bytes:
        """
        Return the content of the file *name*.

        :raises ValueError: the file cannot be read, is not a regular file, or is larger than
            `MAX_FILE_BYTES`.
        """
        path = self.directory / name
        try:
            return read_regular(path, MAX_FILE_BYTES)
        except ValueError as error:
            raise ValueError(f"{str(path)!r} {error}") from None

    def feed(self, name: str, *, repeat: bool) -> Feed:
        """
        Return the lines of the file *name*.

        :raises ValueError: the file cannot be opened, is not a regular file, or is empty.
        """
        path = self.directory / name
        try:
            return Feed.find(*resolve_below(path.parent, path.name), repeat=repeat)
        except ValueError as error:
            raise ValueError(f"{str(path)!r} {error}") from None
