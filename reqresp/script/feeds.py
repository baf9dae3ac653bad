"""
Feeds: the lines of a file, each read when it is sent.

A file is never in memory as a whole, and is open only while a line is read.  What is kept of a
reader is how many bytes it has read, where the answers of its rule are counted.  Must not know
rules.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Self

from attrs import frozen

from reqresp._files import open_below
from reqresp.script.names import TemplateContext

#: Bytes that a line may have.
MAX_LINE_BYTES = 65536
_BLOCK_BYTES = 4096


class FeedError(Exception):
    """A line cannot be read; the message names the file and says why."""


class FeedEndError(FeedError):
    """No line is left."""


@frozen
class Feed:
    """
    The lines of the regular file at *path*, in *directory* or below it.

    Feeds are equal if they read the same file, which has not changed in between.

    :param directory: resolved.  A link that is made later and leads out of it is not followed.
    :param path: likewise.
    :param repeat: whether the first line follows the last.
    :param version: tells the file from what it was before a change.
    """

    directory: Path
    path: Path
    repeat: bool
    version: str

    @classmethod
    def find(cls, directory: Path, path: Path, *, repeat: bool) -> Self:
        """
        Return the feed of the file at *path*.

        :raises ValueError: the file cannot be opened, is not a regular file, or is empty.
        """
        descriptor = open_below(directory, path)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not status.st_size:
            raise ValueError("is empty: expected at least one line")
        version = f"{status.st_ino}.{status.st_mtime_ns}.{status.st_size}"
        return cls(directory, path, repeat, version)

    def __str__(self) -> str:
        again = ", repeat" if self.repeat else ""
        return f"lines of {str(self.path)!r} ({self.version}){again}"

    def __call__(self, context: TemplateContext) -> bytes:
        """Take the next line for the rule of *context*; see `take`."""
        return self.take(context.counts, context.place)

    def take(self, counts: MutableMapping[str, int], place: str) -> bytes:
        """
        Return the next line without its ending, and count its bytes in *counts*.

        :param place: where the rule is; each rule reads on its own.
        :raises FeedEndError: no line is left.
        :raises FeedError: the file has changed so that no line begins where the last one ended, or
            it cannot be read, or the line is longer than `MAX_LINE_BYTES`.
        """
        # After a reload, a changed file begins with its first line.
        key = f"{place} {self.path} {self.version}"
        try:
            descriptor = open_below(self.directory, self.path)
        except ValueError as error:
            raise self._error(str(error)) from None
        try:
            found = self._line(descriptor, counts.get(key, 0))
            if found is None and self.repeat:
                found = self._line(descriptor, 0)
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)
        if found is None:
            raise FeedEndError(f"{str(self.path)!r} has no line left")
        line, counts[key] = found
        return line

    def _line(self, descriptor: int, start: int) -> tuple[bytes, int] | None:
        """Return the line at byte *start*, and the byte after it; None: the file ends there."""
        at = start
        data = b""
        if start:  # the end of the line before, if the file is as it was
            data = os.pread(descriptor, _BLOCK_BYTES, start - 1)
            if not data:
                raise self._error(f"has shrunk: it ends before byte {start}")
            if data[:1] != b"\n" and len(data) > 1:
                raise self._error(f"has changed: no line begins at byte {start}")
            data = data[1:]
            if not data:
                return None
        searched = 0
        while (end := data.find(b"\n", searched)) < 0 and len(data) <= MAX_LINE_BYTES + 1:
            searched = len(data)
            more = os.pread(descriptor, _BLOCK_BYTES, at + searched)
            if not more:
                break
            data += more
        if not data:
            return None
        line = data if end < 0 else data[:end]
        size = len(line) + (end >= 0)
        line = line.removesuffix(b"\r") if end >= 0 else line
        if len(line) > MAX_LINE_BYTES:
            raise self._error(
                f"has a line of more than {MAX_LINE_BYTES} bytes, which begins at byte {start}"
            )
        return line, start + size

    def _error(self, why: str) -> FeedError:
        return FeedError(f"{str(self.path)!r} {why}")
