"""The files that a script names: those of its directory only, each read and kept once."""

import os

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import Line
from reqresp.script import Script, ScriptError
from reqresp.script.files import MAX_FILE_BYTES, AnyFiles, ScriptFiles
from reqresp.server.factory import ReqRespFactory
from tests.support.live import temporary


class FilesTestCase(SynchronousTestCase):
    """Has a directory *base*, and a file beside it."""

    def setUp(self) -> None:
        outer = temporary(self)
        self.base = outer / "base"
        self.base.mkdir()
        (outer / "secret").write_bytes(b"secret")

    def assert_refused(self, name: str, reason: str) -> None:
        """Assert that a script cannot read the file, and that the error says why."""
        with self.assertRaises(ValueError) as caught:
            ScriptFiles(self.base).read(name)
        self.assertEqual(str(caught.exception), f"{str(self.base / name)!r} {reason}")


class ScriptFilesTests(FilesTestCase):
    """`ScriptFiles` reads what is in one directory."""

    def test_a_file(self) -> None:
        """A file is read as it is; its name is relative to the directory, or absolute."""
        data = bytes(range(256)) + b"\r\n{0}"
        (self.base / "a file").write_bytes(data)
        (self.base / "empty").touch()
        files = ScriptFiles(self.base)
        self.assertEqual(files.read("a file"), data)
        self.assertEqual(files.read(str(self.base / "a file")), data)
        self.assertEqual(files.read("empty"), b"")

    def test_what_is_outside(self) -> None:
        """A path, or a link, that leads out of the directory is refused: it names the rule."""
        (self.base / "link").symlink_to("../secret")
        for name in ("../secret", "/etc/passwd", "/proc/kmsg", "link", "../missing"):
            self.assert_refused(
                name,
                f"is outside of the directory {str(self.base.resolve())!r};"
                " a script can read no other files",
            )

    def test_what_is_no_file(self) -> None:
        """A missing file, a directory, a pipe and an unusable name are refused."""
        (self.base / "file").touch()
        os.mkfifo(self.base / "pipe")
        for name, reason in {
            "missing": "cannot be read: No such file or directory",
            "\n": "cannot be read: No such file or directory",
            ".": "is not a regular file",
            "": "is not a regular file",
            "pipe": "is not a regular file",
            "file/inside": "cannot be read: Not a directory",
            "x" * 300: "cannot be read: File name too long",
        }.items():
            self.assert_refused(name, reason)
        self.assert_refused("a\0b", "is not a possible file name; a script can read no other files")

    def test_each_is_read_once(self) -> None:
        """A file that is named again, also by another path, is the same bytes in memory."""
        (self.base / "file").write_bytes(b"first")
        (self.base / "link").symlink_to("file")
        files = ScriptFiles(self.base)
        found = files.read("file")
        (self.base / "file").write_bytes(b"second")
        self.assertIs(files.read("./file"), found)
        self.assertIs(files.read("link"), found)

    def test_a_failure_is_found_once(self) -> None:
        """A file that could not be read is not tried again."""
        files = ScriptFiles(self.base)
        for _ in range(2):
            with self.assertRaisesRegex(ValueError, "No such file"):
                files.read("file")
            (self.base / "file").touch()

    def test_a_file_that_is_too_large(self) -> None:
        """A file may have 64 MiB."""
        with (self.base / "large").open("wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)
        self.assert_refused(
            "large", "is too large: the files of a script can have 67108864 bytes at most"
        )

    def test_files_that_are_too_large_together(self) -> None:
        """All files of a script may have 64 MiB; one that is named again counts once."""
        for name, size in (("a", MAX_FILE_BYTES - 10), ("b", 10), ("c", 1)):
            with (self.base / name).open("wb") as file:
                file.truncate(size)
        files = ScriptFiles(self.base)
        for name in ("a", "b", "a", "b"):
            files.read(name)
        with self.assertRaisesRegex(ValueError, "can have 67108864 bytes together$"):
            files.read("c")


class ScriptTests(FilesTestCase):
    """Files in scripts, as they are loaded and served."""

    def test_a_path_outside_is_a_problem(self) -> None:
        """`Script.load` reports the key whose file is outside, with its line."""
        path = self.base / "it.toml"
        path.write_text('greeting = "hi"\nunmatched = { file = "../secret" }')
        with self.assertRaises(ScriptError) as caught:
            Script.load(path)
        [problem] = caught.exception.problems
        self.assertEqual((problem.line, problem.path), (2, "unmatched"))
        self.assertIn("is outside of the directory", problem.message)

    def test_a_file_is_in_memory_once(self) -> None:
        """Rules that send the same file share its bytes, and the bytes of its frame."""
        (self.base / "file").write_bytes(bytes(1000))
        rules = "".join(f'[[rule]]\nequals = "{n}"\nreply = {{ file = "file" }}\n' for n in "ab")
        script = Script.parse(rules, base=self.base)
        first, second = (rule.constant for rule in script.rules.rules)
        assert first is not None
        assert second is not None
        self.assertIs(first[0].data, second[0].data)  # type: ignore[union-attr]
        batch = ReqRespFactory(script, framing=Line()).config.batch
        assert batch is not None
        self.assertIs(batch.answer([b"a"]), batch.answer([b"b"]))


class AnyFilesTests(FilesTestCase):
    """`AnyFiles` reads what code names."""

    def test_any_regular_file(self) -> None:
        """A file may be anywhere; one that is not regular is refused with its name."""
        self.assertEqual(AnyFiles(self.base).read("../secret"), b"secret")
        os.mkfifo(self.base / "pipe")
        with self.assertRaisesRegex(ValueError, "^'.*/base/pipe' is not a regular file$"):
            AnyFiles(self.base).read("pipe")
