"""The services of a file, read again on SIGHUP; `test_build` has the script of options."""

from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.logger import LogLevel, eventAsText

from reqresp.daemon.reloading import SourceReloader
from tests.support import live
from tests.support.daemon import Made, Making, parsed

A = '[[service]]\nname = "a"\nlisten = 1\nresponse = "A"\nframing = "line"\n'
B = '[[service]]\nname = "b"\nlisten = 2\nresponse = "B"\nframing = "line"\n'


class ReloadTests(Making):
    """All or nothing."""

    def setUp(self) -> None:
        self.path = live.temporary(self) / "services.toml"

    def reload(self, made: Made, text: str, **more: Any) -> list[str]:
        """Reload *text*; return what is logged about it."""
        self.path.write_text(text)
        events = self.logged()
        options = parsed(f"--services={self.path}")
        SourceReloader(made.services, options, maybeDeferred, **more).reload()
        texts = [eventAsText(it) for it in events if it["log_level"] >= LogLevel.info]
        return [it for it in texts if "reload" in it]

    def started(self, text: str) -> Made:
        self.path.write_text(text)
        made = self.make(f"--services={self.path}", "--quiet")
        made.service.startService()
        return made

    def test_changes(self) -> None:
        """One line says what has changed."""
        made = self.started(A)
        [line] = self.reload(made, A.replace('"A"', '"new"') + B)
        self.assertIn(f"reloaded {self.path}: added b; changed a", line)
        self.assertEqual([it.name for it in made.services], ["a", "b"])
        [line] = self.reload(made, B)
        self.assertIn("removed a", line)

    def test_problems(self) -> None:
        """A line for each; nothing has changed."""
        made = self.started(A)
        [line] = self.reload(made, B.replace("listen", "listn") + A.replace("response", "respons"))
        self.assertIn("reload failed; keeping the current services: ", line)
        for place in (":3: service[0].listn", ":9: service[1].respons"):
            self.assertIn(f"{self.path}{place}: unknown key", line)
        self.assertEqual([it.name for it in made.services], ["a"])

    def test_refused_by_the_process(self) -> None:
        """A process with workers cannot have all changes."""
        made = self.started(A)

        def refuse(_definitions: Any) -> None:
            raise ValueError("with --workers, this takes a restart")

        [line] = self.reload(made, A + B, check=refuse)
        self.assertIn("keeping the current services: with --workers, this takes", line)
        self.assertEqual(len(made.services), 1)

    def test_relative_paths(self) -> None:
        """They are relative to the file."""
        self.path.with_name("it.toml").write_text('rule = [{ reply = "s" }]')
        made = self.started('[[service]]\nname = "a"\nlisten = 1\nscript = "it.toml"')
        self.assertEqual(self.replies(made, b"x\n"), b"s\r\n")
        self.assertFalse(Path("it.toml").exists())
