"""
Files: what the files contain that a payload can name.

Must not know payloads or rules.
"""

from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from reqresp._files import FileTooLargeError, read_below, read_regular, resolve_below

#: Bytes that one file may have, and all files of a script together.
MAX_FILE_BYTES = 64 * 1024 * 1024

#: Returns the content of the file with a name.  Raises a `ValueError` that names the file.
FileReader = Callable[[str], bytes]


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
    _left: int = field(default=MAX_FILE_BYTES, init=False)

    @property
    def paths(self) -> frozenset[Path]:
        """The files that were named, whether they can be used or not."""
        return frozenset(self._found)

    def read(self, name: str) -> bytes:
        """
        Return the content of the file *name*, relative to the directory or absolute.

        :raises ValueError: the file is outside of the directory, is not a regular file, cannot be
            read, or has more bytes than are left for the files of a script.
        """
        if self.directory is None:
            raise ValueError("expected text, hex or base64: no file can be named here")
        shown = repr(str(self.directory / name))
        try:
            _, path = resolve_below(self.directory, name)
        except ValueError as error:
            raise ValueError(f"{shown} {error}; a script can read no other files") from None
        if path not in self._found:
            self._found[path] = self._read(self.directory, path)
        found = self._found[path]
        if isinstance(found, bytes):
            return found
        raise ValueError(f"{shown} {found}")

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


def read_any(directory: Path, name: str) -> bytes:
    """
    Return the content of a regular file, relative to *directory* or absolute: code names it.

    :raises ValueError: the file cannot be read, is not a regular file, or is larger than
        `MAX_FILE_BYTES`.
    """
    path = directory / name
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} {error}") from None
