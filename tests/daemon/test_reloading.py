"""The services of a file, read again on SIGHUP; `test_build` has the script of options."""

from pathlib import Path

from twisted.internet.defer import maybeDeferred
from twisted.logger import LogLevel, eventAsText

from reqresp.daemon import build
from reqresp.daemon.reloading import SourceReloader
from reqresp.daemon.watching import INTERVAL
from tests.support import live
from tests.support.daemon import Made, Making, parsed

A = '[[service]]\nname = "a"\nlisten = 1\nresponse = "A"\nframing = "line"\n'
B = '[[service]]\nname = "b"\nlisten = 2\nresponse = "B"\nframing = "line"\n'


class ReloadTests(Making):
    """All or nothing."""

    def setUp(self) -> None:
        self.path = live.temporary(self) / "services.toml"

    def reload(self, made: Made, text: str) -> list[str]:
        """Reload *text*; return what is logged about it."""
        self.path.write_text(text)
        events = self.logged()
        options = parsed(f"--services={self.path}")
        SourceReloader(made.services, options, maybeDeferred).reload()
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

    def test_relative_paths(self) -> None:
        """They are relative to the file."""
        self.path.with_name("it.toml").write_text('rule = [{ reply = "s" }]')
        made = self.started('[[service]]\nname = "a"\nlisten = 1\nscript = "it.toml"')
        self.assertEqual(self.replies(made, b"x\n"), b"s\r\n")
        self.assertFalse(Path("it.toml").exists())


class FilesTests(Making):
    """Which files say what the services answer."""

    def test_files(self) -> None:
        """The services file, the scripts and the recordings, and what scripts name."""
        directory = live.temporary(self).resolve()
        (directory / "body").write_text("B")
        (directory / "a.toml").write_text('[[rule]]\nreply.file = "body"\n')
        (directory / "it.rec").write_text("# reqresp recording 1\n-- 1\n> a\n")
        file = directory / "services.toml"
        scripted = '[[service]]\nname = "a"\nlisten = 1\nscript = "a.toml"\n'
        replayed = '[[service]]\nname = "b"\nlisten = 2\nreplay = "it.rec"\n'
        fixed = A.replace('"a"', '"c"').replace("1", "3")
        file.write_text(scripted + replayed + fixed)
        made = self.make(f"--services={file}", "--quiet")
        options = parsed(f"--services={file}")
        found = [*SourceReloader(made.services, options, maybeDeferred).files()]
        names = ("services.toml", "a.toml", "body", "it.rec")
        self.assertEqual(found, [directory / name for name in names])


class WatchTests(Making):
    """``--watch``."""

    def test_a_changed_script(self) -> None:
        """It is used once it has settled; after the end, nothing is watched."""
        path = live.temporary(self) / "it.toml"
        path.write_text('rule = [{ reply = "old" }]')
        self.patch(build, "defer_to_daemon_thread", lambda _, *call: maybeDeferred(*call))
        made = self.make(f"--script={path}", "--watch", "--quiet")
        made.service.startService()
        path.write_text('rule = [{ reply = "newer" }]')
        made.reactor.pump([INTERVAL] * 2)
        self.assertEqual(self.replies(made, b"a\n"), b"newer\r\n")
        stopped = made.service.stopService()
        made.reactor.advance(INTERVAL)
        self.successResultOf(stopped)
        self.assertEqual(made.reactor.getDelayedCalls(), [])

    def test_what_a_script_with_problems_names(self) -> None:
        """A reload that has failed is tried again once a file that the script names is changed."""
        directory = live.temporary(self)
        (directory / "it.toml").write_text('rule = [{ reply = "old" }]')
        self.patch(build, "defer_to_daemon_thread", lambda _, *call: maybeDeferred(*call))
        services = '[[service]]\nname = "default"\nlisten = 1\nscript = "it.toml"'
        (directory / "services.toml").write_text(services)
        for option in ("--script=it.toml", "--services=services.toml"):
            name, _, file = option.partition("=")
            made = self.make(f"{name}={directory / file}", "--watch", "--quiet")
            made.service.startService()
            (directory / "it.toml").write_text("rule = [{ call = 'answers:hello' }]")
            events = self.logged()
            made.reactor.pump([INTERVAL] * 3)
            (directory / "answers.py").write_text("def hello(")
            made.reactor.pump([INTERVAL] * 3)
            (directory / "answers.py").write_text("def hello(call): return b'hello'")
            made.reactor.pump([INTERVAL] * 3)
            self.assertEqual(self.replies(made, b"a\n"), b"hello\r\n", option)
            failed = [text for text in map(eventAsText, events) if "reload failed" in text]
            for text, problem in zip(failed, ("cannot be read", "was never closed"), strict=True):
                self.assertIn(problem, text)
            stopped = made.service.stopService()
            made.reactor.advance(INTERVAL)
            self.successResultOf(stopped)
            (directory / "answers.py").unlink()
            (directory / "it.toml").write_text('rule = [{ reply = "old" }]')

    def test_a_script_that_was_sent(self) -> None:
        """The file is used again once it changes, and the log says what that undoes."""
        path = live.temporary(self) / "it.toml"
        path.write_text('rule = [{ reply = "old" }]')
        self.patch(build, "defer_to_daemon_thread", lambda _, *call: maybeDeferred(*call))
        made = self.make(f"--script={path}", "--watch", "--control=8", "--quiet")
        made.service.startService()
        sent = made.services.use_script("default", 'rule = [{ reply = "sent" }]')
        self.successResultOf(sent)
        made.reactor.pump([INTERVAL] * 3)
        self.assertEqual(self.replies(made, b"a\n"), b"sent\r\n")
        events = self.logged()
        path.write_text('rule = [{ reply = "newer" }]')
        made.reactor.pump([INTERVAL] * 2)
        self.assertEqual(self.replies(made, b"a\n"), b"newer\r\n")
        [line] = [text for text in map(eventAsText, events) if "reload" in text]
        expected = f"reloaded {path} for new connections; undid what had changed at run time"
        self.assertIn(expected, line)

    def test_a_reset_after_the_file_has_changed(self) -> None:
        """It is as the file said when it was read last."""
        path = live.temporary(self) / "it.toml"
        path.write_text('rule = [{ reply = "old" }]')
        self.patch(build, "defer_to_daemon_thread", lambda _, *call: maybeDeferred(*call))
        made = self.make(f"--script={path}", "--watch", "--control=8", "--quiet")
        made.service.startService()
        for text, expected in (("newer", b"newer\r\n"), ("newest", b"newest\r\n")):
            path.write_text(f'rule = [{{ reply = "{text}" }}]')
            made.reactor.pump([INTERVAL] * 2)
            self.successResultOf(made.services.use_script("default", 'greeting = "sent"'))
            path.write_text("not yet")
            reset = made.services.reset()
            made.reactor.advance(0)
            self.successResultOf(reset)
            self.assertEqual(self.replies(made, b"a\n"), expected)

    def test_requires_a_file(self) -> None:
        """Without a file there is nothing to watch."""
        with self.assertRaises(SystemExit):
            parsed("--watch")
