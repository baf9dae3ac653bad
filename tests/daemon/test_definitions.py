"""The services that options define; a services file has tests of its own."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Chunk, Line
from reqresp._errors import ProblemsError
from reqresp.daemon.build import read_listeners
from reqresp.daemon.definitions import load_definitions, option_definition, read_definitions
from reqresp.services.definition import FixedReply, Forwarded, ReplayFile, ScriptFile
from reqresp.services.reading import read_definition
from tests.support import live
from tests.support.daemon import parsed


class OptionTests(SynchronousTestCase):
    """The one service ``default``."""

    def written(self, *arguments: str) -> dict[str, Any]:
        return option_definition(parsed(*arguments)).as_json()

    def test_without_options(self) -> None:
        """It answers ``response`` on port 9999."""
        definition = option_definition(parsed())
        self.assertEqual((definition.name, definition.is_enabled), ("default", True))
        self.assertEqual([it.name for it in definition.listen], ["127.0.0.1:9999"])
        self.assertEqual((definition.answering, definition.framing), (FixedReply(), Chunk()))

    def test_what_answers(self) -> None:
        """A script, a recording or a real service."""
        for arguments, answering in (
            (("--script=/it.toml",), ScriptFile(Path("/it.toml"))),
            (("--replay=/it.rec", "--pace=2"), ReplayFile(Path("/it.rec"), 2)),
            (("--forward=a:1",), Forwarded()),
            (("--response=a", "--close-on="), FixedReply(b"a", None)),
        ):
            self.assertEqual(option_definition(parsed(*arguments)).answering, answering)

    def test_over_http(self) -> None:
        """What is shown of it defines the same service over HTTP."""
        for arguments in (
            (),
            ("--response=a\\xff", "--close-on=", "--framing=line", "--max-request=9"),
            ("--forward=a:1", "--forward-tls", "--forward-name=b", "--unreachable=close"),
            ("--allow=10.0.0.0/8", "--deny=10.0.0.1", "--proxy-protocol", "--trust=::1"),
            ("--replay=/it.rec", "--pace=2", "--ignore=a"),
            ("--tls-cert=/a.pem", "--tls-key=/b.pem", "--handshake-timeout=3"),
            ("--forward=a:1", "--record=/it.rec", "--redact=a", "--journal=/it.jsonl"),
        ):
            options = option_definition(parsed(*arguments))
            shown = read_definition(options.as_json(), Path("/"))
            for key in ("name", "listen", "files", "tls", "access", "has_proxy_header"):
                self.assertEqual(getattr(shown, key), getattr(options, key), (arguments, key))
            if not isinstance(options.answering, Forwarded):
                self.assertEqual(shown.answering, options.answering)
                self.assertEqual(shown.limits, options.limits)

    def test_names(self) -> None:
        """Messages have the names of options."""
        definition = option_definition(parsed("--framing=line"))
        self.assertEqual(definition.framing, Line())
        self.assertEqual(definition.name_of("framing"), "--framing")
        self.assertEqual(definition.name_of("upstream.tls.ca"), "--forward-ca")


class FileTests(SynchronousTestCase):
    """Services of a file."""

    def test_all_problems(self) -> None:
        """Those of the file come first, then those of the files that it names, at once."""
        directory = live.temporary(self)
        path = directory / "services.toml"
        path.write_text(
            '[[service]]\nname = "a"\nlisten = 1\nscript = "it.toml"\n[[service]]\nname = "b"\n'
        )
        (directory / "it.toml").write_text("a = 1\nb = 2")
        for find in (
            lambda: load_definitions(parsed(f"--services={path}")),
            lambda: read_listeners(parsed(f"--services={path}"), lambda _: None),
        ):
            with self.assertRaises((ProblemsError, SystemExit)) as caught:
                find()
            text = str(caught.exception).replace(f"{directory}/", "")
            self.assertRegex(
                text,
                r"services.toml:5: service\[1\].listen: .*\n.*it.toml:1: a: .*\n.*it.toml:2: b",
            )

    def test_read_and_load(self) -> None:
        """All of them, with the files that they name, or the problems of all."""
        directory = live.temporary(self)
        path = directory / "services.toml"
        path.write_text('[[service]]\nname = "a"\nlisten = 1\nscript = "it.toml"')
        (directory / "it.toml").write_text('rule = [{ reply = "a" }]')
        options = parsed(f"--services={path}")
        self.assertEqual([it.name for it in read_definitions(options)], ["a"])
        [(definition, loaded)] = load_definitions(options)
        self.assertEqual((definition.name, loaded.text), ("a", 'rule = [{ reply = "a" }]'))
        (directory / "it.toml").write_text("a = 1")
        with self.assertRaises(ProblemsError):
            load_definitions(options)
