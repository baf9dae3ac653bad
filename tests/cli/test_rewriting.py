"""What the command makes of recordings."""

import os
import stat
import unittest
from pathlib import Path
from unittest import mock

from reqresp.cli.rewriting import replace_file
from tests.support.command import CommandTestCase
from tests.support.live import temporary
from tests.support.recorded import HEADER


class RecordingTestCase(CommandTestCase):
    """A test case that writes recordings."""

    def recording(self, *lines: str) -> Path:
        """Return the path of a new recording with these lines."""
        path = temporary(self) / "it.rec"
        path.write_text(HEADER + "".join(f"{it}\n" for it in lines), encoding="utf-8")
        return path


class ScriptTests(RecordingTestCase):
    """Tests for ``reqresp script``."""

    def test_a_script(self) -> None:
        """The script is printed, and passes ``reqresp check``."""
        path = self.recording("> PING\\n", "< PONG\\r\\n", "> torn")
        path.write_text(path.read_text(encoding="utf-8") + "> x", encoding="utf-8")
        ended = self.run_command("script", str(path), "--framing", "line")
        self.assertEqual(ended.status, 0)
        self.assertIn(f"warning: {path}:5: ", ended.errors)
        self.assertIn('equals = "PING"\nreply  = "PONG"\n', ended.output)
        checked = self.good("check", self.script(ended.output))
        self.assertIn("ok: 1 rule in 1 state, framing Line", checked[0].replace("line", "Line"))

    def test_problems(self) -> None:
        """Bytes that are not of the framing are a problem, with the line of the file."""
        path = self.recording("> PING\\n", "< PONG\\n")
        ended = self.run_command("script", str(path), "--framing=netstring")
        self.assertEqual((ended.status, ended.output), (1, ""))
        self.assertIn(f"{path}:2: expected requests of the framing netstring", ended.errors)

    def test_arguments(self) -> None:
        """A framing is needed, and must be one."""
        self.assertIn("required: --framing", self.refused("script", "it.rec"))
        self.assertIn("unknown framing", self.refused("script", "it.rec", "--framing=x"))


class MarkTests(RecordingTestCase):
    """Tests for ``reqresp mark``."""

    def test_marks(self) -> None:
        """The marks are written into the file, and counted."""
        path = self.recording("# a note", "> id=4711;n=1\\n", "< 4711")
        path.chmod(0o640)
        lines = self.good("mark", str(path), "--ignore", "id=(?P<id>[^;]*)", "--ignore=n=([0-9])")
        self.assertEqual(lines, [f"{path}: 2 marks in what clients send, 1 in replies"])
        self.assertEqual(
            path.read_text(encoding="utf-8"),
            HEADER + "# a note\n> id=\\<id>;n=\\<ignored>\\n\n< \\<id>\n",
        )
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)

    def test_bytes_that_are_no_text(self) -> None:
        """Bytes that are not UTF-8 stay as they are."""
        path = self.recording("> a")
        path.write_bytes(path.read_bytes() + b"# \xff\n")
        self.good("mark", str(path), "--ignore=a")
        self.assertTrue(path.read_bytes().endswith(b"> \\<ignored:1>\n# \xff\n"))

    def test_a_pattern_that_matches_nothing(self) -> None:
        """It is a warning, and the file is not written."""
        path = self.recording("> a")
        before = path.stat().st_mtime_ns
        ended = self.run_command("mark", str(path), "--ignore=b")
        self.assertEqual(
            (ended.status, ended.errors), (0, "warning: 'b' matches nothing that clients send\n")
        )
        self.assertEqual(path.stat().st_mtime_ns, before)

    def test_problems(self) -> None:
        """A file with problems is not changed."""
        path = self.recording("oops")
        ended = self.run_command("mark", str(path), "--ignore=b")
        self.assertEqual((ended.status, ended.output), (1, ""))
        self.assertIn(f"{path}:2: expected", ended.errors)

    def test_a_file_that_cannot_be_written(self) -> None:
        """It is one line, and the file is unchanged."""
        path = self.recording("> a")
        with mock.patch.object(Path, "replace", side_effect=OSError(28, "No space left")):
            ended = self.run_command("mark", str(path), "--ignore=a")
        self.assertEqual(ended.status, 1)
        self.assertEqual(ended.errors, f"{path}: cannot be written: No space left\n")
        self.assertEqual([*path.parent.iterdir()], [path])
        self.assertIn("> a\n", path.read_text(encoding="utf-8"))

    def recording_of_another_user(self) -> Path:
        """Return the path of a new recording that its group can read."""
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root can give a file to another user")
        path = self.recording("> a")
        os.chown(path, 1, 2)
        path.chmod(0o640)
        return path

    def test_the_owner(self) -> None:
        """A recording of another user stays readable for that user."""
        path = self.recording_of_another_user()
        self.good("mark", str(path), "--ignore=a")
        found = path.stat()
        self.assertEqual((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (1, 2, 0o640))

    def test_an_owner_that_cannot_be_kept(self) -> None:
        """The file is not changed: its owner could perhaps not read it any more."""
        path = self.recording_of_another_user()
        before = path.stat()
        refusal = PermissionError(1, "Not permitted")
        with mock.patch.object(os, "fchown", side_effect=refusal):
            ended = self.run_command("mark", str(path), "--ignore=a")
        self.assertEqual(
            (ended.status, ended.errors), (1, f"{path}: cannot be written: Not permitted\n")
        )
        found = path.stat()
        self.assertEqual((found.st_uid, found.st_mtime_ns), (before.st_uid, before.st_mtime_ns))

    def test_a_link(self) -> None:
        """A link stays one: the file that it leads to is replaced."""
        path = self.recording("> a")
        link = path.with_name("link")
        link.symlink_to(path)
        replace_file(link, b"new")
        self.assertTrue(link.is_symlink())
        self.assertEqual(path.read_bytes(), b"new")

    def test_arguments(self) -> None:
        """A pattern is needed, and must be one of RE2."""
        self.assertIn("required: --ignore", self.refused("mark", "it.rec"))
        self.assertIn("invalid RE2 pattern", self.refused("mark", "it.rec", "--ignore=("))
