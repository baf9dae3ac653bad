"""
Feeds: the lines of a file, each read when it is sent.

A file is never in memory as a whole, and is open only while a line is read.  What is kept of a
reader is how many bytes it has read, and the size and the checksum of the last line, where the
answers of its rule are counted.  Must not know rules.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from zlib import crc32

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
        :raises FeedError: the line that was taken last does not stand there any more, the file
            cannot be read, or the line is longer than `MAX_LINE_BYTES`.
        """
        key = self._key(place)
        with self._open() as descriptor:
            start, last = counts.get(key, 0), counts.get(f"{key} last", 0)
            data = self._after(descriptor, start, last)
            if not data and self.repeat:
                start, data = 0, os.pread(descriptor, _BLOCK_BYTES, 0)
            if not data:
                raise FeedEndError(f"{str(self.path)!r} has no line left")
            line, read = self._line(descriptor, start, data)
        counts[key] = start + len(read)
        counts[f"{key} last"] = len(read) << 32 | crc32(read)
        return line

    def has_line(self, counts: Mapping[str, int], place: str) -> bool:
        """Return whether `take` returns a line, or fails for another reason than the end."""
        if self.repeat:
            return True
        try:
            with self._open() as descriptor:
                return os.fstat(descriptor).st_size != counts.get(self._key(place), 0)
        except FeedError:
            return True

    def _key(self, place: str) -> str:
        # After a reload, a changed file begins with its first line.
        return f"{place} {self.path} {self.version}"

    @contextmanager
    def _open(self) -> Iterator[int]:
        """Yield a descriptor of the file; errors of the system become a `FeedError`."""
        try:
            descriptor = open_below(self.directory, self.path)
        except ValueError as error:
            raise self._error(str(error)) from None
        try:
            yield descriptor
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def _after(self, descriptor: int, start: int, last: int) -> bytes:
        """
        Return the first bytes from *start*, where a line begins; empty: the file ends there.

        :param last: the size and the checksum of the line before.
        :raises FeedError: that line is not there any more.
        """
        size, checksum = divmod(last, 1 << 32)
        data = os.pread(descriptor, size + _BLOCK_BYTES, start - size)
        before, data = data[:size], data[size:]
        if len(before) < size:
            raise self._error(f"has shrunk: it ends before byte {start}")
        if data and size and not before.endswith(b"\n"):
            raise self._error(f"has changed: no line begins at byte {start}")
        if crc32(before) != checksum:
            raise self._error(f"has changed: another line ends at byte {start}")
        return data

    def _line(self, descriptor: int, start: int, data: bytes) -> tuple[bytes, bytes]:
        """
        Return the line at byte *start*, and the bytes of the file that it is.

        :param data: the first bytes there.
        """
        searched = 0
        while (end := data.find(b"\n", searched)) < 0 and len(data) <= MAX_LINE_BYTES + 1:
            searched = len(data)
            more = os.pread(descriptor, _BLOCK_BYTES, start + searched)
            if not more:
                break
            data += more
        read = data if end < 0 else data[: end + 1]
        line = read if end < 0 else read[:-1].removesuffix(b"\r")
        if len(line) > MAX_LINE_BYTES:
            raise self._error(
                f"has a line of more than {MAX_LINE_BYTES} bytes, which begins at byte {start}"
            )
        return line, read

    def _error(self, why: str) -> FeedError:
        return FeedError(f"{str(self.path)!r} {why}")
