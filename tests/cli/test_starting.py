"""``reqresp new`` and ``reqresp schema``."""

import json
import shlex

from reqresp.cli.starting import KINDS
from reqresp.script.json_schema import script_schema
from reqresp.services.json_schema import services_schema
from tests.support.command import CommandTestCase
from tests.support.live import temporary


class NewTests(CommandTestCase):
    """Starter scripts."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = temporary(self)

    def test_kinds(self) -> None:
        """Each is written under its name, and has neither problems nor warnings."""
        for kind in KINDS:
            path = self.directory / f"{kind}.toml"
            told = f"{path}: written; its first lines say how to start it and how to try it"
            self.assertEqual(self.good("new", str(path), f"--kind={kind}"), [told])
            [checked] = self.good("check", str(path))
            self.assertTrue(checked.startswith(f"{path}: ok: "))
            self.assertIn(f"--script {path}", path.read_text().splitlines()[2])

    def test_what_they_answer(self) -> None:
        """What their comments try is answered by a rule."""
        for kind in ("line", "binary"):
            path = self.directory / kind
            self.good("new", str(path), "--kind", kind)
            tried = path.with_suffix(".toml").read_text().splitlines()[3]
            _, address, framing, _, *asked = shlex.split(tried.lstrip("# "))[1:]
            self.assertEqual((address, framing), ("127.0.0.1:9999", "--framing"))
            asked = [it for it in asked if it != "--greeting"]
            output = "\n".join(self.good("explain", f"{path}.toml", *asked))
            self.assertIn("rule[", output)

    def test_default(self) -> None:
        """Without a kind, requests are lines; the suffix is added."""
        self.good("new", str(self.directory / "it"))
        self.good("new", str(self.directory / "other.toml"), "--kind=line")
        one, other = (self.directory / name for name in ("it.toml", "other.toml"))
        self.assertEqual(one.read_text().replace("it.toml", "other.toml"), other.read_text())

    def test_an_existing_file(self) -> None:
        """A file is never overwritten."""
        path = self.directory / "it.toml"
        path.write_text("mine")
        ended = self.run_command("new", str(path))
        told = f"{path}: cannot be written: File exists\n"
        self.assertEqual((ended.status, ended.output, ended.errors), (1, "", told))
        self.assertEqual(path.read_text(), "mine")

    def test_a_missing_directory(self) -> None:
        """The line says why."""
        ended = self.run_command("new", "/no/such/it")
        told = "/no/such/it.toml: cannot be written: No such file or directory\n"
        self.assertEqual((ended.status, ended.errors), (1, told))


class SchemaTests(CommandTestCase):
    """Schemas for editors."""

    def test_schemas(self) -> None:
        """That of scripts, and that of services files."""
        for arguments, schema in (((), script_schema()), (("--services",), services_schema())):
            self.assertEqual(json.loads("\n".join(self.good("schema", *arguments))), schema)
