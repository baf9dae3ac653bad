"""Files that other users name: never blocking, and never outside."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest, mock

from twisted.trial.unittest import SynchronousTestCase

from reqresp._files import (
    STDOUT,
    _open_below,
    open_appending,
    open_regular,
    read_below,
    read_regular,
    resolve_below,
    why_not_appendable,
)
from tests.support.descriptors import descriptors
from tests.support.live import temporary


class FileTestCase(SynchronousTestCase):
    """Has a directory *base*, with a file beside it."""

    def setUp(self) -> None:
        outer = temporary(self).resolve()
        self.base = outer / "base"
        self.base.mkdir(parents=True)
        self.secret = outer / "secret"
        self.secret.write_bytes(b"secret")

    def unusual(self) -> dict[str, str]:
        """Make files that are not regular, and return the reason to refuse each name."""
        os.mkfifo(self.base / "pipe")
        (self.base / "file").touch()
        (self.base / "directory").mkdir()
        (self.base / "loop").symlink_to("loop")
        with socket.socket(socket.AF_UNIX) as server:
            here = Path.cwd()
            os.chdir(self.base)  # the path of a socket is short
            self.addCleanup(os.chdir, here)
            server.bind("socket")
            os.chdir(here)
        return {
            "missing": "cannot be read: No such file or directory",
            "pipe": "is not a regular file",
            "directory": "is not a regular file",
            "socket": "is not a regular file",
            "file/inside": "cannot be read: Not a directory",
            "a" * 300: "cannot be read: File name too long",
            "nul\0": "is not a possible file name",
            "\ud800": "is not a possible file name",
        }


class ReadRegularTests(FileTestCase):
    """`read_regular` reads any regular file, also through a link."""

    def test_the_content(self) -> None:
        """The content is returned as it is, also of a link to a file."""
        data = bytes(range(256)) * 8192  # more than one read
        (self.base / "file").write_bytes(data)
        (self.base / "link").symlink_to("file")
        self.assertEqual(read_regular(self.base / "file", len(data)), data)
        self.assertEqual(read_regular(self.base / "link", len(data)), data)

    def test_a_file_above_the_limit(self) -> None:
        """A file may have as many bytes as the limit, and not one more."""
        self.assertEqual(read_regular(self.secret, 6), b"secret")
        with self.assertRaisesRegex(ValueError, "^is larger than 5 bytes$"):
            read_regular(self.secret, 5)

    def test_a_file_without_a_size(self) -> None:
        """A file of /proc says that it has no bytes; the limit applies to those that come."""
        with self.assertRaisesRegex(ValueError, "^is larger than 10 bytes$"):
            read_regular("/proc/self/status", 10)

    def test_what_is_no_regular_file(self) -> None:
        """Each is refused at once, with a reason, and leaves no descriptor open."""
        unusual = self.unusual() | {"loop": "cannot be read: Too many levels of symbolic links"}
        before = descriptors()
        for name, reason in unusual.items():
            with self.assertRaisesRegex(ValueError, f"^{reason}$", msg=name):
                read_regular(self.base / name, 99)
        with self.assertRaisesRegex(ValueError, "^is not a regular file$"):
            read_regular("/dev/zero", 99)
        self.assertEqual(descriptors(), before)


class OpenRegularTests(FileTestCase):
    """`open_regular` returns a descriptor."""

    def test_a_link_can_be_refused(self) -> None:
        """With `follow=False` a link is not a regular file; its target still is."""
        (self.base / "link").symlink_to(self.secret)
        os.close(open_regular(self.base / "link"))
        os.close(open_regular(self.secret, follow=False))
        with self.assertRaisesRegex(ValueError, "^is not a regular file$"):
            open_regular(self.base / "link", follow=False)

    def test_what_was_opened_is_checked(self) -> None:
        """A name that becomes a pipe after it was looked at does not block, and is refused."""
        regular = self.secret.stat()
        os.mkfifo(self.base / "pipe")
        before = descriptors()
        refused = self.assertRaisesRegex(ValueError, "^is not a regular file$")
        with mock.patch.object(os, "stat", return_value=regular), refused:
            open_regular(self.base / "pipe")
        self.assertEqual(descriptors(), before)


class OpenAppendingTests(FileTestCase):
    """`open_appending` opens what may be written, without waiting."""

    def refusal(self, path: Path, *, only_regular: bool = False) -> str:
        """Return why *path* is not opened."""
        with self.assertRaises(OSError) as caught:
            open_appending(path, only_regular=only_regular)
        return str(caught.exception.strerror)

    def test_appends_or_creates(self) -> None:
        """A file keeps its content and its mode; a new one is readable by its owner only."""
        for path in (self.secret, self.base / "new"):
            descriptor = open_appending(path, only_regular=True)
            self.addCleanup(os.close, descriptor)
            os.write(descriptor, b"!")
        self.assertEqual(self.secret.read_bytes(), b"secret!")
        self.assertEqual((self.base / "new").stat().st_mode & 0o777, 0o600)

    def test_what_is_no_regular_file(self) -> None:
        """A pipe or a device is opened only if it may be; nothing is waited for."""
        os.mkfifo(self.base / "pipe")
        for path in (self.base / "pipe", Path("/dev/null"), self.base):
            self.assertEqual(self.refusal(path, only_regular=True), "is not a regular file")
        os.close(open_appending("/dev/null", only_regular=False))
        self.assertEqual(self.refusal(self.base / "pipe"), "No such device or address")
        self.assertEqual(self.refusal(self.base), "Is a directory")

    def test_what_was_opened_is_checked(self) -> None:
        """A pipe that takes the place of a file between check and opening is refused."""
        os.mkfifo(self.base / "pipe")
        reader = os.open(self.base / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        regular = self.secret.stat()
        before = descriptors()
        with mock.patch.object(os, "stat", return_value=regular):
            self.assertEqual(self.refusal(self.base / "pipe"), "is not a regular file")
        self.assertEqual(descriptors(), before)

    def test_links(self) -> None:
        """A link is followed, also to a file that does not exist yet."""
        (self.base / "link").symlink_to("file")
        os.close(open_appending(self.base / "link", only_regular=True))
        self.assertTrue((self.base / "file").exists())

    def test_links_of_others(self) -> None:
        """As root, no link of another user is followed, whether it is a file or a directory."""
        if os.geteuid() != 0:
            raise SkipTest("only root can make a link of another user")
        (self.base / "link").symlink_to("../secret")
        (self.base / "up").symlink_to("..")
        for name in ("link", "up"):
            os.chown(self.base / name, 1, 1, follow_symlinks=False)
        for path, link in (("link", "link"), ("up/secret", "up"), ("up/new", "up")):
            why = f"{self.base / link} is a symbolic link of another user"
            self.assertEqual(self.refusal(self.base / path), why)
            self.assertEqual(why_not_appendable(self.base / path), why)
        self.patch(os, "geteuid", lambda: 1)
        self.assertIsNone(why_not_appendable(self.base / "link"))


class StdoutTests(FileTestCase):
    """`STDOUT` is what the process prints to, whatever that is."""

    def test_kinds(self) -> None:
        """What is appended and what is printed keep their order in a file, a pipe and a socket."""
        code = (
            "import os; from reqresp._files import *;"
            " file = open_appending(STDOUT, only_regular=False); assert file > 2;"
            " os.write(file, b'1'); os.write(1, b'2'); os.write(file, b'3')"
        )
        pipe = os.pipe()
        sockets = [it.detach() for it in socket.socketpair()]
        regular = [os.open(self.base / "file", flags) for flags in (os.O_CREAT, os.O_WRONLY)]
        for reader, writer in (pipe, sockets, regular):
            self.addCleanup(os.close, reader)
            subprocess.run([sys.executable, "-c", code], stdout=writer, check=True)
            os.close(writer)
            self.assertEqual(os.read(reader, 10), b"123")

    def test_is_appendable(self) -> None:
        """Nothing is wrong with it."""
        self.assertIsNone(why_not_appendable(STDOUT))


class ReadBelowTests(FileTestCase):
    """`read_below` reads files of one directory only."""

    def test_below(self) -> None:
        """A file in the directory or below it is read, by a relative or an absolute name."""
        inner = self.base / "inner"
        inner.mkdir()
        (inner / "file").write_bytes(b"data")
        for name in ("inner/file", inner / "file", "inner/../inner/file", "./inner//file"):
            self.assertEqual(read_below(self.base, name, 99), b"data", msg=name)

    def test_a_link_within(self) -> None:
        """A link that leads to a file below the directory is followed."""
        (self.base / "data").mkdir()
        (self.base / "data" / "file").write_bytes(b"data")
        (self.base / "link").symlink_to(self.base / "data" / "file")
        (self.base / "latest").symlink_to("data")
        self.assertEqual(read_below(self.base, "link", 99), b"data")
        self.assertEqual(read_below(self.base, "latest/file", 99), b"data")

    def test_a_directory_that_is_a_link(self) -> None:
        """The directory itself can be a link."""
        (self.base / "file").write_bytes(b"data")
        link = self.base.parent / "link"
        link.symlink_to("base")
        self.assertEqual(read_below(link, "file", 99), b"data")
        self.assertEqual(read_below(link, self.base / "file", 99), b"data")

    def test_outside(self) -> None:
        """No name leads out of the directory, whether or not there is such a file."""
        (self.base / "link").symlink_to("../secret")
        (self.base / "up").symlink_to("..")
        (self.base.parent / "base2").mkdir()
        for name in ("../secret", self.secret, "link", "up/secret", "../missing", "/", "../base2"):
            with self.assertRaisesRegex(ValueError, "^is outside of the directory '/.*/base'$"):
                read_below(self.base, name, 99)

    def test_what_is_no_regular_file(self) -> None:
        """Each is refused at once, with a reason, and leaves no descriptor open."""
        unusual = self.unusual() | {".": "is not a regular file", "loop": "is not a regular file"}
        before = descriptors()
        for name, reason in unusual.items():
            with self.assertRaisesRegex(ValueError, f"^{reason}$", msg=name):
                read_below(self.base, name, 99)
        self.assertEqual(descriptors(), before)

    def test_a_link_that_is_made_in_between(self) -> None:
        """A directory or a file that becomes a link after it was resolved is not followed."""
        inner = self.base / "inner"
        inner.mkdir()
        (inner / "secret").touch()
        root, path = resolve_below(self.base, "inner/secret")
        (inner / "secret").unlink()
        (inner / "secret").symlink_to("../../secret")
        with self.assertRaisesRegex(ValueError, "^is not a regular file$"):
            _open_below(root, path.relative_to(root))
        (inner / "secret").unlink()
        inner.rmdir()
        inner.symlink_to("..")
        with self.assertRaises(OSError):
            _open_below(root, path.relative_to(root))
