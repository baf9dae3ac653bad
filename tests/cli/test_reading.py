"""``reqresp show``, ``check`` and ``import``: recordings and captures on the command line."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from reqresp.recording import parse
from tests.support import captures
from tests.support.captures import Talk
from tests.support.command import CommandTestCase
from tests.support.imports import imported_by, of_packages
from tests.support.live import PATIENCE, Ended, temporary

TEXT = "# reqresp recording 1\n-- 1\n> PING\\r\\n\n< +PONG\\r\\n\n-- 7\n> a\n"


class ReadingCase(CommandTestCase):
    """Files in a directory of the test."""

    def file(self, text: str | bytes, name: str = "it.rec") -> str:
        """Return the path of a new file."""
        path = temporary(self) / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)


class CheckTests(ReadingCase):
    """``reqresp check`` tells recordings from scripts by their header."""

    def test_a_recording(self) -> None:
        """It says how much there is; scripts can be checked with it."""
        recording, script = self.file(TEXT), self.script('rule = [{ reply = "a" }]')
        self.assertEqual(
            self.good("check", recording, script),
            [
                f"{recording}: ok: 2 conversations, 7 bytes sent, 7 received",
                f"{script}: ok: 1 rule in 1 state, framing line, 0 faults",
            ],
        )

    def test_a_byte_order_mark(self) -> None:
        """An editor may have added one."""
        [line] = self.good("check", self.file("\ufeff" + TEXT))
        self.assertIn(": ok: 2 conversations", line)

    def test_problems(self) -> None:
        """All of them are printed with their lines, and other files are checked nevertheless."""
        broken, good = self.file(TEXT + "?\n!\n"), self.file(TEXT)
        ended = self.run_command("check", broken, good)
        self.assertEqual(ended.status, 1)
        self.assertIn(f"{good}: ok: ", ended.output)
        self.assertEqual(
            [it.split(" ")[0] for it in ended.errors.splitlines()],
            [f"{broken}:7:", f"{broken}:8:"],
        )

    def test_a_torn_line(self) -> None:
        """A warning is no problem."""
        path = self.file(TEXT + "> b")
        ended = self.run_command("check", path)
        self.assertEqual(ended.status, 0)
        self.assertTrue(ended.errors.startswith(f"warning: {path}:7: an incomplete line"))

    def test_another_version(self) -> None:
        """The line says which version can be read."""
        path = self.file("# reqresp recording 9\n")
        self.assertEqual(
            self.run_command("check", path),
            Ended(
                1,
                "",
                f"{path}:1: expected version 1 of the notation of recordings, found version 9\n",
            ),
        )


class ShowTests(ReadingCase):
    """``reqresp show``."""

    def test_a_page(self) -> None:
        """Without a terminal there are no colours."""
        path = self.file(TEXT)
        self.assertEqual(
            self.good("show", path),
            [
                f"{path}: 2 conversations, 7 bytes sent, 7 received",
                "",
                "conversation 1: 6 bytes sent, 7 received, 0 s, line 2",
                r"    0.0000  > PING\r\n",
                r"    0.0000  < +PONG\r\n",
                "",
                "conversation 7: 1 bytes sent, 0 received, 0 s, line 5",
                "    0.0000  > a",
            ],
        )

    def test_options(self) -> None:
        """One conversation, in hex."""
        lines = self.good("show", self.file(TEXT), "--conversation=7", "--hex")
        self.assertEqual(len(lines), 4)
        self.assertTrue(lines[-1].endswith("61                                               a"))

    def test_problems(self) -> None:
        """A number that no conversation has, and files that are no recordings."""
        path = self.file(TEXT)
        self.assertEqual(
            self.run_command("show", path, "--conversation=2"),
            Ended(1, "", f"{path}: no conversation has the number 2\n"),
        )
        other = self.file("hello\n")
        self.assertEqual(
            self.run_command("show", other).errors,
            f"{other}:1: expected the header '# reqresp recording 1'; found 'hello'\n",
        )
        self.assertIn(
            "argument --conversation: expected an integer >= 0, found 'x'",
            self.refused("show", path, "--conversation=x"),
        )

    def on_a_terminal(self, **environment: str) -> bytes:
        """Return what is printed on a terminal."""
        terminal, end = os.openpty()
        try:
            command = [sys.executable, "-m", "reqresp", "show", self.file(TEXT)]
            subprocess.run(
                command,
                stdout=end,
                check=True,
                timeout=PATIENCE,
                env={**os.environ, **environment},
            )
            os.close(end)
            return os.read(terminal, 10_000)
        finally:
            os.close(terminal)

    def test_colours_on_a_terminal(self) -> None:
        """The two sides differ in colour, unless the environment forbids it."""
        self.assertIn(b"\x1b[36m> PING", self.on_a_terminal())
        self.assertNotIn(b"\x1b", self.on_a_terminal(NO_COLOR="1"))


class ImportTests(ReadingCase):
    """``reqresp import``."""

    def capture(self) -> str:
        """Return the path of a capture of two connections."""
        one, other = Talk(), Talk(client=("10.0.0.9", 1), server=("10.0.0.2", 80))
        packets = [*one.open(), *other.open(), one.send(b"a\xff\n"), other.send(b"b")]
        lost = Talk(client=("10.0.0.8", 1)).send(b"x")
        frames = [(it.at, it.ethernet()) for it in [*packets, lost]]
        return self.file(captures.pcapng(frames), "it.pcapng")

    def test_a_recording_is_printed(self) -> None:
        """What could not be imported is told on stderr."""
        path = self.capture()
        ended = self.run_command("import", path, "--port", "5432")
        self.assertEqual(ended.status, 0)
        self.assertEqual(
            ended.errors,
            f"warning: {path}: left out: packets of connections that have begun before the capture"
            " (1)\n",
        )
        self.assertEqual(
            ended.output,
            "# reqresp recording 1 of=10.0.0.2:5432\n-- 1 10.0.0.1:40000\n(0.02 s)\n> a\\xff\\n\n",
        )
        both = parse(self.run_command("import", path).output)
        self.assertEqual(len(both.conversations), 2)

    def test_problems(self) -> None:
        """One line, and status 1."""
        path = self.file("hello")
        self.assertEqual(
            self.run_command("import", path),
            Ended(1, "", f"{path}: expected a capture in the format pcap or pcapng\n"),
        )
        self.assertIn(
            "argument --port: expected a port number from 1 to 65535, found '0'",
            self.refused("import", path, "--port=0"),
        )

    def test_without_dpkt(self) -> None:
        """The line says what to install."""
        path = self.capture()
        with mock.patch.dict(sys.modules, {"dpkt": None}):
            loaded = sys.modules.pop("reqresp.recording.pcap", None)
            try:
                ended = self.run_command("import", path)
            finally:
                if loaded is not None:
                    sys.modules["reqresp.recording.pcap"] = loaded
        self.assertEqual((ended.status, ended.output), (1, ""))
        self.assertRegex(ended.errors, r"\Areqresp: .*\(pip install 'reqresp\[pcap\]'\)\n\Z")


class HostileTests(ReadingCase):
    """Recordings of strangers cannot act on the terminal."""

    def test_what_is_shown_is_printable(self) -> None:
        """Also peers, names and what cannot be read."""
        text = (
            "# reqresp recording 1 of=\\x1b[2J redacted=\x1b\n-- 1 \x1b[2J\u202e\n> \x1b\u2028\n"
            "# \x1b\n"
        )
        for more in ("", "\x1b\n", "> \\\x1b\n"):
            for command in ("show", "check"):
                ended = self.run_command(command, self.file(text + more))
                for line in (ended.output + ended.errors).split("\n"):
                    self.assertTrue(line.isprintable(), line)


class ImportsTests(ReadingCase):
    """What the commands import."""

    def test_reading_loads_no_twisted(self) -> None:
        """So it starts fast."""
        path = Path(self.file(TEXT))
        for command in (("show", path.name), ("check", path.name)):
            found = imported_by(path.parent, "-m", "reqresp", *command)
            self.assertIn("reqresp.recording.notation", found)
            self.assertEqual(of_packages(found, "twisted", "dpkt", "reqresp.script"), set())
