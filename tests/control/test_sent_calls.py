"""What is sent over HTTP calls only the functions that the service's file calls."""

from typing import Any

from reqresp.control.control_site import make_control_site
from reqresp.services.answers import load
from reqresp.services.environment import Environment
from reqresp.services.reading import parse_services
from reqresp.services.registry import Services
from tests.support.controlled import Controlled
from tests.support.live import temporary

SERVICES = """\
[[service]]
name = "it"
listen = 2525
script = "it.toml"

[[service]]
name = "rules"
listen = 2526
framing = "line"
rule = [{ equals = "a", call = "answers:hello" }]
"""
SCRIPT = "framing = 'line'\n[[rule]]\nequals = 'a'\ncall = 'answers:hello'\n"
OTHER = SCRIPT.replace("hello", "other")
#: Leaves a file each time that it is run.
MODULE = """\
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()
def hello(call): return b"hello"
def other(call): return b"other"
"""
REFUSED = (
    "line 4: rule[0].call: expected a function that the service's file calls, found"
    " 'answers:other'; nothing that is sent runs other code: write it in the file"
)


class SentCallTests(Controlled):
    """Services whose files call functions."""

    def make_site(self) -> Any:
        self.base = temporary(self)
        (self.base / "it.toml").write_text(SCRIPT)
        (self.base / "answers.py").write_text(MODULE)
        environment = Environment(reactor=self.reactor, keeps_journal=True, base=self.base)
        self.services = Services(environment)
        definitions = parse_services(SERVICES, "services.toml", self.base)
        self.services.start([(it, load(it)) for it in definitions])
        for service in self.services:
            self.successResultOf(service.enable())
        (self.base / "answers.ran").unlink()
        return make_control_site(self.services, clock=self.reactor, pages={})

    def tearDown(self) -> None:
        self.assertFalse((self.base / "answers.ran").exists())
        super().tearDown()

    def test_a_script_that_goes_back(self) -> None:
        """The text of the file can be sent again, with its calls, and its module is not run."""
        text = self.get("/api/services/it/script")["script"] + "[[rule]]\nreply = 'more'\n"
        found = self.ask("POST", "/api/services/it/script/check", {"script": text})
        self.assertEqual(found.status, 200, found.data)
        found = self.ask("PUT", "/api/services/it/script", {"script": text})
        self.assertEqual(found.status, 200, found.data)
        wire = self.converse(b"a\n", b"b\n", name="it")
        self.assertEqual(wire.received(), b"hello\r\nmore\r\n")

    def test_a_call_after_another_script(self) -> None:
        """A call of the file can return after a script without it, and after a relay."""
        for text in ("rule = [{ reply = 'x' }]", "upstream = { address = '127.0.0.1:1' }", SCRIPT):
            found = self.ask("PUT", "/api/services/it/script", {"script": text})
            self.assertEqual(found.status, 200, found.data)
        self.assertEqual(self.converse(b"a\n", name="it").received(), b"hello\r\n")

    def test_a_renamed_service(self) -> None:
        """A service can still call what its file calls after it was renamed, twice."""
        for name, new in (("it", "other"), ("other", "third")):
            definition = self.get(f"/api/services/{name}")["definition"]
            found = self.ask("PUT", f"/api/services/{name}", {**definition, "name": new})
            self.assertEqual(found.status, 200, found.data)
            path = f"/api/services/{new}"
            found = self.ask("POST", f"{path}/script/check", {"script": SCRIPT})
            self.assertEqual(found.status, 200, found.data)
            found = self.ask("PUT", f"{path}/script", {"script": f"{SCRIPT}# {new}\n"})
            self.assertEqual(found.status, 200, found.data)
            self.assertEqual(self.converse(b"a\n", name=new).received(), b"hello\r\n")
        found = self.ask("PUT", "/api/services/third/script", {"script": OTHER})
        self.assert_refused(found, 422, REFUSED)

    def test_a_name_that_is_used_again(self) -> None:
        """A service that no file has can call nothing under a name that another one had."""
        self.ask("DELETE", "/api/services/rules")
        definition = {"name": "new", "listen": 2527, "response": "x"}
        self.assertEqual(self.ask("POST", "/api/services", definition).status, 201)
        found = self.ask("PUT", "/api/services/new", {**definition, "name": "rules"})
        self.assertEqual(found.status, 200, found.data)
        found = self.ask("PUT", "/api/services/rules/script", {"script": SCRIPT})
        self.assertEqual(found.status, 422)

    def test_another_call(self) -> None:
        """A function that the file does not call is refused where it stands."""
        for method, path in (("PUT", "script"), ("POST", "script/check")):
            found = self.ask(method, f"/api/services/it/{path}", {"script": OTHER})
            self.assert_refused(found, 422, REFUSED)
            self.assertEqual(found.json["problems"][0]["path"], "rule[0].call")

    def test_a_framing(self) -> None:
        """A framing runs no other code either; that of the file can be sent again."""
        sent = {"script": f"framing.call = 'answers:other'\n{SCRIPT.partition(chr(10))[2]}"}
        found = self.ask("PUT", "/api/services/it/script", sent)
        self.assert_refused(found, 422, REFUSED.replace("4: rule[0]", "1: framing"))
        (self.base / "frames.py").write_text("from reqresp import Line\n")
        text = SCRIPT.replace("'line'", "{ call = 'frames:Line' }")
        (self.base / "it.toml").write_text(text)
        definitions = parse_services(SERVICES, "services.toml", self.base)
        self.successResultOf(self.services.reload([(it, load(it)) for it in definitions]))
        (self.base / "answers.ran").unlink()
        (self.base / "frames.py").unlink()
        sent = {"script": text.replace("'a'", "'b'")}
        self.assertEqual(self.ask("PUT", "/api/services/it/script", sent).status, 200)
        self.assertEqual(self.converse(b"b\n", name="it").received(), b"hello\r\n")

    def test_a_definition_that_goes_back(self) -> None:
        """The definition of a service can be sent again, as a text or as keys."""
        for name in ("it", "rules"):
            definition = self.get(f"/api/services/{name}")["definition"]
            found = self.ask("PUT", f"/api/services/{name}", definition)
            self.assertEqual(found.status, 200, found.data)
            self.assertEqual(self.converse(b"a\n", name=name).received(), b"hello\r\n")

    def test_a_script_in_another_directory(self) -> None:
        """A definition that goes back finds the files that its script names."""
        (self.base / "sub").mkdir()
        (self.base / "sub" / "x.txt").write_text("found")
        (self.base / "sub" / "it.toml").write_text("[[rule]]\nreply = { file = 'x.txt' }\n")
        text = SERVICES.replace('script = "it.toml"', 'script = "sub/it.toml"')
        definitions = parse_services(text, "services.toml", self.base)
        self.successResultOf(self.services.reload([(it, load(it)) for it in definitions]))
        (self.base / "answers.ran").unlink()
        definition = self.get("/api/services/it")["definition"]
        found = self.ask("PUT", "/api/services/it", definition)
        self.assertEqual(found.status, 200, found.data)
        self.assertEqual(self.converse(b"a\n", name="it").received(), b"found\r\n")

    def test_a_script_where_there_was_none(self) -> None:
        """Its files are beside the services file, as are those that an expectation names."""
        (self.base / "x.txt").write_text("found")
        service = {"name": "fixed", "listen": 2527, "response": "x"}
        self.assertEqual(self.ask("POST", "/api/services", service).status, 201)
        path, reply = "/api/services/fixed", {"file": "x.txt"}
        expectation = {"kind": "on", "equals": "b", "reply": reply}
        found = self.ask("POST", f"{path}/expectations", expectation)
        self.assertEqual(found.status, 201, found.data)
        script = "[[rule]]\nreply = { file = 'x.txt' }\n"
        found = self.ask("PUT", f"{path}/script", {"script": script})
        self.assertEqual(found.status, 200, found.data)
        replies = self.converse(b"a\n", b"b\n", name="fixed").received()
        self.assertEqual(replies, b"found\r\nfound\r\n")

    def test_a_reload(self) -> None:
        """After a reload, what is sent can call what the file calls then."""
        (self.base / "it.toml").write_text(OTHER)
        definitions = parse_services(SERVICES, "services.toml", self.base)
        self.successResultOf(self.services.reload([(it, load(it)) for it in definitions]))
        (self.base / "answers.ran").unlink()
        path = "/api/services/it/script"
        self.assertEqual(self.ask("PUT", path, {"script": OTHER + "# \n"}).status, 200)
        self.assertEqual(self.converse(b"a\n", name="it").received(), b"other\r\n")
        self.assertEqual(self.ask("PUT", path, {"script": SCRIPT}).status, 422)

    def test_another_call_in_a_definition(self) -> None:
        """A definition cannot add a call; nor can a service that no file has."""
        rules = [{"equals": "a", "call": "answers:other"}]
        for method, path, more in (
            ("PUT", "/api/services/rules", {"rule": rules}),
            ("PUT", "/api/services/new", {"rule": rules}),
            ("POST", "/api/services", {"name": "new", "rule": rules}),
            ("POST", "/api/services", {"name": "new", "script": SCRIPT}),
        ):
            found = self.ask(method, path, {"listen": 2526, "framing": "line", **more})
            self.assertEqual(found.status, 422)
            paths = [it["path"] for it in found.json["problems"]]
            self.assertIn("rule[0].call", paths)
