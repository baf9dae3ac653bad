"""The command ``reqresp``: what it prints, where, and its exit status."""

import os
import signal
import subprocess
import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from reqresp.cli.client import Address
from tests.support import live
from tests.support.command import CommandTestCase
from tests.support.imports import imported_by, of_packages
from tests.support.live import PATIENCE, Ended, temporary
from tests.support.peer import Peer

#: The sub-commands.
COMMANDS = ("ask", "check", "explain", "import", "mark", "new", "schema", "script", "show")

#: The command line of a process.
PROCESS = [sys.executable, "-m", "reqresp"]

SCRIPT = r"""
framing = "resp"
reply_framing = "line"
[[rule]]
equals = "PING"
reply = "PONG"
"""


class CommandTests(CommandTestCase):
    """How the command ends."""

    def test_ctrl_c_has_status_130(self) -> None:
        """Ctrl-C ends the command with status 130, without a traceback."""
        with mock.patch("reqresp.cli.main.ask", side_effect=KeyboardInterrupt):
            ended = self.run_command("ask", "a:1", "b")
        self.assertEqual(ended, Ended(130, "", ""))


class HostileFileTests(CommandTestCase):
    """Files of other users cannot act on the terminal."""

    #: An eight-bit CSI, an override of direction, an escape, and ends of lines.
    HOSTILE = r"\u009b2J\u202E\u001b[1m\n\r\u2028"

    def lines(self, *arguments: str) -> list[str]:
        """Return what the command prints, each line of which must be printable."""
        ended = self.run_command(*arguments)
        lines = (ended.output + ended.errors).split("\n")
        for line in lines:
            self.assertTrue(line.isprintable(), line)
        return lines

    def test_problems(self) -> None:
        """Keys, values and names in problems are printed with escapes, one line each."""
        it = self.HOSTILE
        texts = [
            f'"{it}" = 1',
            f'[limits]\n"{it}" = 1',
            f'rule = [{{ "{it}" = "a" }}]',
            f'rule = [{{ reply = "a", goto = "{it}" }}]',
            f'rule = [{{ reply = "a", when = "{it}" }}]',
            f'rule = [{{ reply = {{ template = "{{{it}}}" }} }}]',
            f'rule = [{{ matches = "({it}", reply = "" }}]',
            f'rule = [{{ reply = {{ hex = "{it}" }} }}]',
            f'rule = [{{ reply = {{ base64 = "{it}" }} }}]',
            f'rule = [{{ reply = {{ file = "{it}" }} }}]',
            f'fault = [{{ kind = "{it}" }}]',
            f'fault = [{{ kind = "latency", delay = "{it}" }}]',
            f'framing = "{it}"',
            f'framing = "delimiter:{it}"\ngreeting = "{it}"',
            "a = \x9b",
            "a = '\u202e",
            "\u202e = 1",
        ]
        for text in texts:
            lines = self.lines("check", self.script(text))
            self.assertEqual(len(lines), 2, lines)

    def test_names_of_files(self) -> None:
        """The name of a file is printed with escapes, whether or not the file is good."""
        for text in ("framig = 1", 'greeting = "a"', ""):
            path = temporary(self) / "\x1b[2J\u202e\n"
            path.write_text(text)
            lines = self.lines("check", str(path))
            self.assertIn(r"\x1b[2J\u202e\n", lines[0])

    def test_explain(self) -> None:
        """States, and what else a script names, are printed with escapes."""
        it = self.HOSTILE
        text = f'''
start = "{it}"
rule = [
    {{ equals = "{it}", reply = ["{it}", "a"], goto = "2{it}", when = "{it}" }},
    {{ equals = "b", reply = {{ template = "{{0}}{it}" }}, when = "2{it}" }},
]
framing = "chunk"
'''
        lines = self.lines("explain", self.script(text), "a", r"\x1b\n", "b", "2")
        self.assertTrue(any(r"\x9b2J\u202e\x1b[1m\n\r\u2028" in line for line in lines))

    def test_arguments(self) -> None:
        """Wrong arguments are printed with escapes: a script may have passed them."""
        self.lines("ask", "--\x1b[2J", "localhost:1", "a")
        self.lines("ask", "a\u202e:b", "a")


class AskTests(CommandTestCase):
    """``reqresp ask``: `tests.cli.test_client` has what happens on the wire."""

    def test_replies_are_lines(self) -> None:
        """Replies are printed in order, one a line, with escapes."""
        peer = Peer(self, 4, b"250-\xc3\xbc\r\n250 \\ \xff\r\n", 3, b"\r\n\r\n")
        ended = self.ask(peer, "--framing=line", "--replies=2", "a\\t", "b")
        self.assertEqual(ended, Ended(0, "250-ü\n250 \\\\ \\xff\n\n\n", ""))
        self.assertEqual(peer.received, [b"a\t\r\n", b"b\r\n"])

    def test_hex_digits(self) -> None:
        """With ``--hex``, requests and replies are hex digits; blanks are allowed."""
        peer = Peer(self, 5, b"\0\2\r\xff")
        ended = self.ask(peer, "--hex", "--framing=int16", "00 0aFF")
        self.assertEqual(ended, Ended(0, "0dff\n", ""))
        self.assertEqual(peer.received, [b"\0\3\0\x0a\xff"])

    def test_without_a_framing(self) -> None:
        """The default framing is that of a server."""
        peer = Peer(self, 4, b"response")
        self.assertEqual(self.ask(peer, "a\\r\\nb"), Ended(0, "response\n", ""))
        self.assertEqual(peer.received, [b"a\r\nb"])

    def test_without_options(self) -> None:
        """By default one reply is waited for, for five seconds."""
        with mock.patch("reqresp.cli.main.ask", return_value=iter(())) as ask:
            self.assertEqual(self.good("ask", "a:1", "b"), [])
        ask.assert_called_once_with(
            Address("a", 1),
            [b"b"],
            mock.ANY,
            half_close=False,
            replies=1,
            greeting=False,
            timeout=5,
        )

    def test_a_greeting(self) -> None:
        """A greeting is printed like a reply."""
        peer = Peer(self, b"hi\n", 3, b"A\n")
        ended = self.ask(peer, "--greeting", "--framing=line", "--", "-")
        self.assertEqual(ended, Ended(0, "hi\nA\n", ""))

    def test_no_reply(self) -> None:
        """The replies before are printed, and the error says which one is missing."""
        peer = Peer(self, 3, b"A\nB", stays=True)
        ended = self.run_command(
            *("ask", "--timeout=0.5", "--framing=line", "--replies=2", str(peer.address), "a")
        )
        self.assertEqual((ended.status, ended.output), (1, "A\n"))
        self.assertEqual(
            ended.errors,
            f"reqresp: {peer.address}: no reply 2 of 2 to request 1:"
            " only b'B' arrived within 0.5 s: no line end; try --framing chunk\n",
        )

    def test_a_framing_to_try(self) -> None:
        """What arrived suggests a framing, unless a script has it or the bytes are of that one."""
        script = self.script('framing = "netstring"')
        for size, sent, arguments, hint in (
            (12, b"+OK\r\n", ("--framing=netstring",), "; try --framing line"),
            (9, b"5:hello,", ("--framing=fixed:9",), "; try --framing netstring"),
            (12, b"5:hel", ("--framing=netstring",), ""),
            (11, b"", ("--framing=line",), ""),
            (9, b"", (), "; if the server waits for the end of a line, try --framing line"),
            (12, b"OK", ("--script", script), ""),
        ):
            peer = Peer(self, size, sent)
            ended = self.ask(peer, *arguments, "9 letters")
            self.assertEqual((ended.status, ended.output), (1, ""))
            self.assertTrue(ended.errors.startswith(f"reqresp: {peer.address}: no reply"))
            found = ended.errors.rstrip()
            self.assertEqual(found[found.rfind("; ") :] if "; " in found else "", hint, msg=found)

    def test_no_server(self) -> None:
        """The error has the address."""
        path = str(temporary(self) / "it.sock")
        self.assertEqual(
            self.run_command("ask", path, "a"),
            Ended(1, "", f"reqresp: {path}: no connection: No such file or directory\n"),
        )

    def test_framings_of_a_script(self) -> None:
        """With ``--script``, requests and replies have the framings of the script."""
        peer = Peer(self, len(b"*1\r\n$4\r\nPING\r\n"), b"PONG\n")
        ended = self.ask(peer, "--script", self.script(SCRIPT), "PING")
        self.assertEqual(ended, Ended(0, "PONG\n", ""))
        self.assertEqual(peer.received, [b"*1\r\n$4\r\nPING\r\n"])

    def test_a_script_with_problems(self) -> None:
        """With a script that has problems, nothing is sent."""
        path = self.script('framing = "lines"')
        with mock.patch("reqresp.cli.main.ask") as ask:
            ended = self.run_command("ask", "a:1", "b", "--script", path)
        ask.assert_not_called()
        self.assertEqual((ended.status, ended.output), (1, ""))
        self.assertTrue(ended.errors.startswith(f"{path}:1: framing: "), ended.errors)


class CheckTests(CommandTestCase):
    """``reqresp check``."""

    def test_scripts_without_problems(self) -> None:
        """For each script without problems, one line summarizes it."""
        first = self.script(SCRIPT)
        second = self.script(
            """
            framing = "int16"
            start = "a"
            fault = [{ kind = "latency", delay = 1.0 }, { kind = "reset_peer", on = "connect" }]
            [[rule]]
            equals = "x"
            goto = "b"
            silent = true
            [[rule]]
            when = ["a", "b"]
            reply = "y"
            faults = [{ kind = "slicer", size = 1 }]
            """
        )
        third = self.script(
            """
            upstream = { address = "db.example:5432" }
            fault = [{ stream = "upstream", kind = "latency", delay = 1.0 }]
            """
        )
        self.assertEqual(
            self.good("check", first, second, third),
            [
                f"{first}: ok: 1 rule in 1 state, framing resp, replies line, 0 faults",
                f"{second}: ok: 2 rules in 2 states, framing int16, 3 faults",
                f"{third}: ok: relay to db.example:5432, 1 fault",
            ],
        )

    def test_warnings(self) -> None:
        """Warnings are printed on stderr; the status is 0, and the summary is printed."""
        path = self.script('rule = [{ reply = "a" }, { equals = "x", reply = "b" }]')
        ended = self.run_command("check", path)
        self.assertEqual(
            (ended.status, ended.output),
            (0, f"{path}: ok: 2 rules in 1 state, framing line, 0 faults\n"),
        )
        self.assertRegex(ended.errors, rf"\Awarning: {path}:1: rule\[1\].*: never answers.*\n\Z")

    def test_problems(self) -> None:
        """All problems are printed with their places; the other scripts are checked, too."""
        bad = self.script('framing = "lines"\nseed = "x"\n')
        good = self.script(SCRIPT)
        gone = f"{good}.gone"
        ended = self.run_command("check", bad, gone, good)
        self.assertEqual((ended.status, ended.output.count("\n")), (1, 1))
        self.assertIn(f"{good}: ok: ", ended.output)
        starts = [f"{bad}:1: framing: ", f"{bad}:2: seed: ", f"{gone}: cannot be read: No such"]
        for line, start in zip(ended.errors.splitlines(), starts, strict=True):
            self.assertTrue(line.startswith(start), line)


class ExplainTests(CommandTestCase):
    """``reqresp explain``: `tests.script.test_explain` has what it says."""

    def test_requests(self) -> None:
        """Requests are text with escapes, or hex digits, and both give the same output."""
        path = self.script('rule = [{ equals = "a\\t", reply = "it" }]\nunmatched = "what?"')
        lines = self.good("explain", path, "a\\t", "b")
        self.assertEqual(self.good("explain", path, "--hex", "61 09", "62"), lines)
        replies = [line for line in lines if "it" in line or "what?" in line]
        self.assertEqual(["it" in line for line in replies], [True, False])

    def test_a_script_with_problems(self) -> None:
        """The problems are printed, and nothing is explained."""
        path = self.script("seed = 1.5")
        ended = self.run_command("explain", path, "a")
        self.assertEqual((ended.status, ended.output), (1, ""))
        self.assertTrue(ended.errors.startswith(f"{path}:1: seed: "), ended.errors)


class ProcessTests(SynchronousTestCase):
    """The command in a process of its own."""

    def test_asking_a_real_server(self) -> None:
        """A server of this project is asked; replies are in the encoding of arguments."""
        directory = temporary(self)
        response = "*2\\r\\n:1\\r\\n+\\xc3\\xbc"
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "ascii"}
        with live.start(
            directory, "reqresp", "--port=0", "--framing=resp", f"--response={response}"
        ) as server:
            address = f"127.0.0.1:{server.port}"
            command = [*PROCESS, "ask", "--framing=resp", address, "GET x", "PING"]
            ended = live.run_all(directory, {"it": command}, env=environment)["it"]
        self.assertEqual(ended, Ended(0, "*2\\r\\n:1\\r\\n+ü\n" * 2, ""))

    def shell(self, command: str) -> "subprocess.CompletedProcess[bytes]":
        """Run the command in a shell, which can redirect and close its streams."""
        return subprocess.run(
            ["/bin/sh", "-c", f'"$0" -m reqresp {command}', sys.executable],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def test_output_that_cannot_be_written(self) -> None:
        """A full disk is one line and status 1; a closed stream is not an error."""
        path = temporary(self) / "it.toml"
        path.write_text('greeting = "a"')
        full = self.shell(f"check {path} >/dev/full")
        self.assertEqual((full.returncode, full.stdout), (1, b""))
        self.assertEqual(full.stderr, b"reqresp: cannot print: No space left on device\n")
        closed = self.shell(f"check {path} >&-")
        self.assertEqual((closed.returncode, closed.stderr), (0, b""))
        mute = self.shell(f"check {path}.not 2>&-")
        self.assertEqual((mute.returncode, mute.stdout), (1, b""))

    def test_a_closed_pipe_has_status_1(self) -> None:
        """A closed pipe for replies or help is status 1, without a traceback."""
        # Else Python buffers nothing, and argparse passes over what happens to its help.
        environment = {**os.environ, "PYTHONUNBUFFERED": ""}
        peer = Peer(self, 2, b"A\nB\n", stays=True)
        address = str(peer.address)
        asking = ["ask", "--framing=line:\\n", "--replies=2", address, "a"]
        for arguments in (asking, ["--help"]):
            reading, writing = os.pipe()
            os.close(reading)
            with subprocess.Popen(
                [*PROCESS, *arguments],
                stdout=writing,
                stderr=subprocess.PIPE,
                env=environment,
            ) as process:
                os.close(writing)
                errors = process.communicate(timeout=PATIENCE)[1]
            self.assertEqual((process.returncode, errors), (1, b""), msg=arguments)

    def test_ctrl_c_while_waiting(self) -> None:
        """Ctrl-C ends the command at once, without a traceback, after what was printed."""
        peer = Peer(self, 2, b"A\n", stays=True)
        with subprocess.Popen(
            [*PROCESS, "ask", "--framing=line:\\n", "--replies=2", str(peer.address), "a"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"A\n")
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, *rest), (130, b"", b""))


#: The modules of transports that have only values.
TRANSPORT_VALUES = {"reqresp.transport", "reqresp.transport.accept_modes"}


class ImportsTests(SynchronousTestCase):
    """A command imports what it needs, so it starts fast."""

    def imported_by(self, *arguments: str) -> set[str]:
        """Return the modules that the command imports; it must succeed."""
        directory = temporary(self)
        (directory / "it.toml").write_text(SCRIPT)
        return imported_by(directory, "-m", "reqresp", *arguments)

    def test_check(self) -> None:
        """``check`` imports what scripts consist of; no Twisted, no TLS and no connection."""
        found = self.imported_by("check", "it.toml")
        self.assertIn("reqresp.script.compiler", found)
        foreign = ("twisted", "zope", "OpenSSL", "cryptography", "asyncio", "prometheus_client")
        self.assertEqual(of_packages(found, *foreign), set())
        ours = ("reqresp.journal", "reqresp.control", "reqresp.daemon")
        self.assertEqual(of_packages(found, *ours), set())
        self.assertEqual(of_packages(found, "reqresp.transport"), TRANSPORT_VALUES)
        values = ("config", "limits", "state_properties", "triggers", "upstream_settings")
        parts = {f"reqresp.server.{it}" for it in (*values, "_fast_path", "responders")}
        self.assertEqual(of_packages(found, "reqresp.server"), {"reqresp.server", *parts})

    def test_explain(self) -> None:
        """``explain`` imports the address of a client besides; no reactor and no connection."""
        found = self.imported_by("explain", "it.toml", "PING")
        self.assertIn("reqresp.script.explain", found)
        self.assertEqual(of_packages(found, "twisted.internet.tcp", "OpenSSL"), set())
        self.assertEqual(of_packages(found, "reqresp.server.connection"), set())
        self.assertEqual(of_packages(found, "reqresp.transport"), TRANSPORT_VALUES)

    def test_help(self) -> None:
        """``--help``, of each command, imports framings, and nothing of scripts or servers."""
        for command in ((), *((it,) for it in COMMANDS)):
            found = self.imported_by(*command, "--help")
            self.assertIn("reqresp.cli.parser", found)
            self.assertEqual(of_packages(found, "twisted", "re2", "OpenSSL"), set(), command)
            self.assertEqual(
                {".".join(it.split(".")[:2]) for it in of_packages(found, "reqresp")},
                {
                    *("reqresp", "reqresp.cli", "reqresp.framing"),
                    *("reqresp._errors", "reqresp._text"),
                },
            )

    def test_ask_loads_no_server(self) -> None:
        """``reqresp ask`` loads no server, no Twisted and no RE2, so it starts fast."""
        program = (
            "import sys, reqresp.cli.main; print([name for name in sys.modules"
            " if name.startswith('twisted') or name in ('re2', 'reqresp.server.factory')])"
        )
        ended = live.run_all(temporary(self), {"it": [sys.executable, "-c", program]})["it"]
        self.assertEqual(ended, Ended(0, "[]\n", ""))
