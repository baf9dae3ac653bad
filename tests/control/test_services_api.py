"""The routes of services: what they show and change."""

from errno import EADDRINUSE
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs, eventAsText

from reqresp.services.answers import load
from tests.support.controlled import Controlled

#: Where the network in memory says that servers listen.
HOST = "0.0.0.0"  # noqa: S104 (there is no network)

NEW: dict[str, Any] = {
    "name": "new",
    "listen": "tcp:2600:interface=127.0.0.1",
    "framing": "line",
    "rule": [{"equals": "a", "reply": "A"}],
}
SCRIPT = "[[rule]]\nequals = 'a'\nreply = 'B'\n"


class ShownTests(Controlled):
    """What is shown of services."""

    def test_the_list(self) -> None:
        """Each service shows what it is, where it listens, and its counts."""
        self.converse(b"EHLO x\n", b"nonsense\n")
        smtp, fixed = self.get("/api/services")["services"]
        counts = smtp.pop("counts")
        self.assertEqual(
            smtp,
            {
                "name": "smtp",
                "enabled": True,
                "listen": [f"{HOST}:2525"],
                "kind": "rules",
                "summary": "3 rules in 2 states",
                "framing": "line",
                "accept": "now",
                "upstream": None,
                "position": self.services["smtp"].journal.position,
            },
        )
        self.assertEqual((counts["open"], counts["accepted"]), (1, 1))
        self.assertEqual((counts["requests"], counts["replies"], counts["misses"]), (2, 2, 1))
        self.assertEqual((counts["received"], counts["sent"]), (16, 33))
        self.assertEqual(counts["entries"], smtp["position"] - 1)
        self.assertEqual((fixed["enabled"], fixed["listen"]), (False, []))
        self.assertEqual((fixed["kind"], fixed["framing"]), ("response", "chunk"))

    def test_one(self) -> None:
        """A service shows its definition, with which it can be made again."""
        shown = self.get("/api/services/smtp")
        self.assertEqual(shown["definition"]["rule"][1]["goto"], "data")
        self.assertEqual(shown["definition"]["listen"], ["tcp:2525:interface=127.0.0.1"])
        answer = self.ask("PUT", "/api/services/smtp", shown["definition"])
        self.assertEqual((answer.status, answer.json["summary"]), (200, "3 rules in 2 states"))

    def test_an_unknown_one(self) -> None:
        """An unknown service is 404, and a similar name is shown."""
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/enable"),
            ("POST", "/disable"),
            ("POST", "/reset"),
            ("GET", "/script"),
            ("GET", "/entries"),
            ("GET", "/entries/1"),
            ("GET", "/stream"),
        ):
            found = self.ask(method, f"/api/services/smpt{path}")
            text = "unknown service 'smpt'; did you mean smtp?"
            self.assert_refused(found, 404, text)
            problem = {"line": None, "path": "service", "problem": text}
            self.assertEqual(found.json["problems"], [problem])

    def test_the_process(self) -> None:
        """The index shows the version, when the process started, and how many services it has."""
        index = self.get("/api")
        self.assertEqual((index["started"], index["services"]), (1000.0, 2))
        self.assertEqual(index["address"], "127.0.0.1:8474")


class ChangedTests(Controlled):
    """How services change."""

    def test_create(self) -> None:
        """A service that is created listens, and answers."""
        found = self.ask("POST", "/api/services", NEW)
        self.assertEqual((found.status, found.json["listen"]), (201, [f"{HOST}:2600"]))
        wire = self.converse(b"a\n", name="new")
        self.assertEqual(wire.received(), b"A\r\n")

    def test_create_from_a_script(self) -> None:
        """The key ``script`` is the TOML text of a script."""
        definition = {"name": "new", "listen": 2600, "script": SCRIPT}
        self.assertEqual(self.ask("POST", "/api/services", definition).status, 201)
        self.assertEqual(self.get("/api/services/new/script")["script"], SCRIPT)
        self.assertEqual(self.get("/api/services/new")["definition"]["script"], SCRIPT)

    def test_faults_beside_a_script(self) -> None:
        """They stay when the script is replaced, and are refused if they do not fit to it."""
        faults = [{"kind": "latency", "delay": 1}]
        definition = {"name": "new", "listen": 2600, "script": SCRIPT, "fault": faults}
        self.assertEqual(self.ask("POST", "/api/services", definition).status, 201)
        path = "/api/services/new"
        shown = self.get(path)["definition"]
        self.assertEqual((shown["script"], shown["fault"]), (SCRIPT, faults))
        self.assertEqual(self.ask("PUT", path, shown).status, 200)
        changed = {"script": SCRIPT.replace("B", "C")}
        self.assertEqual(self.ask("PUT", f"{path}/script", changed).status, 200)
        wire = self.converse(b"a\n", name="new")
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"C\r\n")
        relay = {"script": "[upstream]\naddress = 'a:1'\n"}
        found = self.ask("PUT", f"{path}/script", relay)
        self.assertEqual(found.status, 422)
        self.assertEqual([it["path"] for it in found.json["problems"]], ["fault[0].stream"])

    def test_a_definition_with_problems(self) -> None:
        """All problems are reported, and nothing is created."""
        found = self.ask(
            "POST",
            "/api/services",
            {"name": "new", "listen": 2600, "rule": [{"equals": 3, "replay": "x"}], "seed": "x"},
        )
        self.assertEqual(found.status, 422)
        paths = {it["path"] for it in found.json["problems"]}
        self.assertEqual(paths, {"rule[0].equals", "rule[0].replay", "seed"})
        self.assertEqual(len(self.services), 2)

    def test_where_a_problem_is(self) -> None:
        """A key that is missing, or names a file that cannot be used, is the path of a problem."""
        for more, path in (
            ({"listen": None}, "listen"),
            ({"listen": "bogus:1"}, "listen"),
            ({"journal": "/no/such"}, "journal"),
            ({"record": "/no/such", "upstream": "127.0.0.1:1"}, "record"),
            ({"tls": {}}, "tls.cert"),
            ({"tls": {"cert": "/no/such"}}, "tls.cert"),
        ):
            made = {"name": "new", "listen": 2600, **more}
            found = self.ask(
                "POST", "/api/services", {key: it for key, it in made.items() if it is not None}
            )
            self.assertEqual(found.status, 422, found.data)
            self.assertEqual([it["path"] for it in found.json["problems"]], [path])
        self.assertEqual(len(self.services), 2)

    def test_replies_that_overtake_each_other(self) -> None:
        """It is a key of a service, and is refused where requests are forwarded."""
        rules = [{"equals": "slow", "delay": 1, "reply": "slow"}, {"reply": "fast"}]
        made = NEW | {"ordered": False, "rule": rules}
        found = self.ask("POST", "/api/services", made)
        self.assertEqual(found.status, 201, found.data)
        wire = self.converse(b"slow\nnow\n", name="new")
        wire.wait(1)
        self.assertEqual(wire.received(), b"fast\r\nslow\r\n")
        shown = self.get("/api/services/new")
        self.assertEqual(
            (shown["definition"]["ordered"], shown["effective"]["ordered"]), (False, False)
        )
        found = self.ask("PUT", "/api/services/new", made | {"ordered": True})
        self.assertEqual(found.status, 200, found.data)
        wire = self.converse(b"slow\nnow\n", name="new")
        wire.wait(1)
        self.assertEqual(wire.received(), b"slow\r\nfast\r\n")
        forwarding = {"upstream": "127.0.0.1:1", "rule": [{"forward": True}]}
        found = self.ask("PUT", "/api/services/new", made | forwarding)
        self.assertEqual(found.status, 422, found.data)
        self.assertEqual(
            [(it["path"], it["problem"]) for it in found.json["problems"]],
            [("ordered", "expected true where requests are forwarded, found false")],
        )

    def test_how_clients_are_accepted(self) -> None:
        """It is changed by a name or by seconds, and a reset changes it back."""
        path = "/api/services/fixed"
        for accept in ("late", {"after": 1.5}, "refuse", "hold"):
            found = self.ask("PATCH", path, {"accept": accept})
            self.assertEqual((found.status, found.json["name"]), (200, "fixed"), found.data)
            self.assertEqual(self.get(path)["effective"]["accept"], accept)
        [*_, seconds, _, hold] = self.get(f"{path}/entries?event=changed")["entries"]
        self.assertEqual(seconds["what"], "clients are accepted: after 1.5 s")
        self.assertEqual(hold["what"], "clients are accepted: hold")
        self.assertEqual(self.ask("POST", f"{path}/reset").status, 204)
        self.assertEqual(self.get(path)["effective"]["accept"], "now")
        for body in ({}, {"accept": "soon"}, {"accept": {"after": -1}}, {"accept": "now", "x": 1}):
            self.assertEqual(self.ask("PATCH", path, body).status, 422, body)
        found = self.ask("PATCH", "/api/services/smtp", {"accept": "late"})
        self.assert_refused(
            found, 422, "accept: expected a port with a socket, to accept otherwise than now"
        )

    def test_wrong_types_everywhere(self) -> None:
        """A value of a wrong type is a problem wherever it is, and nothing worse."""
        for key in ("allow", "deny", "trust", "ignore", "redact", "listen", "tls", "response"):
            values: list[Any] = [[None], [[]], None, {"a": None}, [{}], -1, True, 1.5]
            for value in values:
                found = self.ask("POST", "/api/services", NEW | {key: value})
                self.assertIn(found.status, (409, 422), (key, value))
        self.assertEqual(len(self.services), 2)

    def test_a_definition_that_cannot_be_used(self) -> None:
        """Files that do not exist, and names and addresses that are taken, have one line each."""
        for definition, status in (
            (NEW | {"name": "smtp"}, 409),
            ({"name": "new", "listen": 2600, "replay": "no such file"}, 422),
            ({"name": "new", "listen": 2600, "tls": {"cert": "no such file"}}, 422),
            ({"name": "", "listen": 2600}, 422),
            ({"name": "new", "listen": "nonsense:1"}, 422),
            ({"listen": 2600}, 422),
            ({}, 422),
        ):
            found = self.ask("POST", "/api/services", definition)
            self.assertEqual(found.status, status, (definition, found.data))
            self.assertEqual(found.error.count("\n"), 0)
        self.assertEqual(len(self.services), 2)

    def test_a_file_that_is_missing(self) -> None:
        """The key and the file are named."""
        found = self.ask("POST", "/api/services", {"name": "n", "listen": 2600, "replay": "no.rec"})
        problem = "no.rec: cannot be read: No such file or directory"
        self.assertEqual(
            found.json["problems"], [{"line": None, "path": "replay", "problem": problem}]
        )

    def test_hints_for_json(self) -> None:
        """They are not in the words of TOML."""
        found = self.ask("POST", "/api/services", NEW | {"rule": {"reply": "x"}})
        error = "rule: expected an array of objects, found an object; put it in brackets: [{ ... }]"
        self.assert_refused(found, 422, error)
        found = self.ask("POST", "/api/services", NEW | {"frame": "line"})
        self.assert_refused(found, 422, "frame: unknown key 'frame'; did you mean framing?")

    def test_replace(self) -> None:
        """PUT replaces a service or creates one; the name may be left out."""
        del (definition := dict(NEW))["name"]
        found = self.ask("PUT", "/api/services/smtp", definition)
        self.assertEqual((found.status, found.json["listen"]), (200, [f"{HOST}:2600"]))
        definition["listen"] = 2601
        self.assertEqual(self.ask("PUT", "/api/services/other", definition).status, 201)
        self.assertIn("other", self.services)

    def test_replace_with_another_name(self) -> None:
        """PUT renames a service; one that it creates has the name in the path."""
        found = self.ask("PUT", "/api/services/other", NEW)
        self.assertEqual(found.status, 422)
        problem = "expected 'other', as in the path, found 'new'"
        self.assertEqual(
            found.json["problems"], [{"line": None, "path": "name", "problem": problem}]
        )
        self.assertEqual([it.name for it in self.services], ["smtp", "fixed"])
        self.assertEqual(self.ask("PUT", "/api/services/smtp", NEW).status, 200)
        self.assertEqual([it.name for it in self.services], ["new", "fixed"])

    def test_delete(self) -> None:
        """A service that is deleted is gone, and its connections are reset."""
        wire = self.connect()
        self.assertEqual(self.ask("DELETE", "/api/services/smtp").status, 204)
        self.assertTrue(wire.got_reset)
        self.assertNotIn("smtp", self.services)

    def test_enable_and_disable(self) -> None:
        """A service listens or not, at once; a second time changes nothing."""
        wire = self.connect()
        for _ in range(2):
            found = self.ask("POST", "/api/services/smtp/disable")
            self.assertEqual((found.status, found.json["enabled"]), (200, False))
            self.assertEqual(found.json["listen"], [])
        self.assertTrue(wire.got_reset)
        for _ in range(2):
            found = self.ask("POST", "/api/services/smtp/enable", {})
            self.assertEqual(found.json["listen"], [f"{HOST}:2525"])

    def test_reset(self) -> None:
        """A reset of all makes the services of the start, as they were."""
        self.services.start([])
        self.assertEqual(self.ask("POST", "/api/reset").status, 204)
        self.assertEqual(len(self.services), 0)
        self.assertEqual(self.ask("PUT", "/api/reset").headers["Allow"], "POST")

    def test_reset_one(self) -> None:
        """A reset of one service restores its script and its state, and forgets its entries."""
        self.ask("PUT", "/api/services/smtp/script", {"script": SCRIPT})
        self.ask("POST", "/api/services/smtp/disable")
        self.assertEqual(self.ask("POST", "/api/services/smtp/reset").status, 204)
        self.assertEqual(self.get("/api/services/smtp")["summary"], "3 rules in 2 states")
        self.assertEqual(self.get("/api/services/smtp")["listen"], [f"{HOST}:2525"])


class LogTests(Controlled):
    """What the log says of changes: a line each, with the name of the service."""

    def logged(self, method: str, path: str, body: Any = None) -> list[str]:
        """Return what is logged when a request is answered."""
        with capturedLogs() as events:
            self.assertLess(self.ask(method, path, body).status, 300)
        texts = [eventAsText(it, includeTimestamp=False, includeSystem=False) for it in events]
        return [it for it in texts if not it.lower().startswith("listening on ")]

    def test_services_come_change_and_go(self) -> None:
        """Creations, replacements, deletions and resets."""
        renamed = NEW | {"name": "other"}
        for method, path, body, lines in (
            ("POST", "/api/services", NEW, ["new: service created"]),
            ("PUT", "/api/services/new", NEW, ["new: service replaced"]),
            (
                *("PUT", "/api/services/new", renamed),
                ["other: service replaced; it was named new"],
            ),
            ("POST", "/api/services/other/reset", None, ["other: service reset"]),
            ("DELETE", "/api/services/other", None, ["other: service deleted"]),
            ("POST", "/api/reset", None, ["all services reset"]),
        ):
            self.assertEqual(self.logged(method, path, body), lines, path)


class ResetTests(Controlled):
    """A service as it was at the start, between two tests."""

    services_text = """
[[service]]
name = "smtp"
listen = "tcp:2525:interface=127.0.0.1"
framing = "line"
unmatched = "none"

[[service.rule]]
equals = "once"
times = 1
reply = "first"
"""

    def test_what_was_used_up(self) -> None:
        """Rules count anew, connections are reset, and nothing is left in the journal."""
        for _ in range(2):
            wire = self.converse(b"once\n", b"once\n")
            self.assertEqual(wire.received(), b"first\r\nnone\r\n")
            self.assertEqual(self.ask("POST", "/api/services/smtp/reset").status, 204)
            self.assertTrue(wire.got_reset)
            self.assertEqual(self.get("/api/services/smtp/entries")["entries"], [])
            self.assertEqual(self.get("/api/services/smtp/connections"), {"connections": []})


class FailedResetTests(Controlled):
    """A reset while a port is taken by another process."""

    def test_a_port_that_was_taken(self) -> None:
        """It is refused whole, and the port is named."""
        definitions = [it.definition for it in self.services]
        self.successResultOf(self.services.reload([(it, load(it)) for it in definitions]))
        self.ask("POST", "/api/services", NEW)
        self.ask("POST", "/api/services/smtp/disable")
        listen = self.reactor.listenTCP

        def refuse(port: int, *args: Any, **how: Any) -> Any:
            if port != 2525:
                return listen(port, *args, **how)
            error = OSError(EADDRINUSE, "Address already in use")
            raise CannotListenError("127.0.0.1", port, error)

        self.patch(self.reactor, "listenTCP", refuse)
        self.assert_refused(
            self.ask("POST", "/api/reset"),
            409,
            f"cannot listen on {HOST}:2525: Address already in use; nothing was reset",
        )
        self.assertEqual([it.name for it in self.services], ["smtp", "fixed", "new"])


class ScriptTests(Controlled):
    """The script of a service."""

    def test_its_rules(self) -> None:
        """Each rule has its name, its path, its line and its first predicate."""
        shown = self.get("/api/services/smtp/script")
        rules = {it["path"]: (it["name"], it["kind"]) for it in shown["rules"]}
        self.assertEqual(rules["rule[0]"], ("hello", "starts_with"))
        self.assertEqual(rules["rule[1]"], ("rule[1]", "equals"))
        self.assertEqual(rules["unmatched"], ("unmatched", "any"))
        self.assertEqual(self.get("/api/services/fixed/script"), {"script": None, "rules": []})

    def test_the_text_of_keys(self) -> None:
        """Rules that stand among the keys of a service are TOML, with lines of that text."""
        self.ask("POST", "/api/services", NEW)
        shown = self.get("/api/services/new/script")
        text = 'framing = "line"\n\n[[rule]]\nequals = "a"\nreply = "A"\n'
        self.assertEqual(shown["script"], text)
        self.assertEqual((shown["rules"][0]["path"], shown["rules"][0]["line"]), ("rule[0]", 3))

    def test_the_text_goes_back(self) -> None:
        """A text that is used as it is shown changes nothing but what writes the script."""
        text = self.get("/api/services/smtp/script")["script"]
        found = self.ask("PUT", "/api/services/smtp/script", {"script": text})
        self.assertEqual((found.status, found.json["summary"]), (200, "3 rules in 2 states"))
        self.assertEqual(self.get("/api/services/smtp/script")["script"], text)
        wire = self.converse(b"EHLO x\n", b"DATA\n", b".\n")
        self.assertEqual(wire.received(), b"220 ready\r\n250 hello\r\n354 go\r\n250 queued\r\n")

    def test_the_definition_after_another_one(self) -> None:
        """The service can be defined again as it is shown: the keys of its old answer are gone."""
        definition = {"listen": 2600, "seed": 3, "limits": {"max_connections": 5}}
        for name, keys in (
            ("rules", {"rule": [{"reply": "x"}], "framing": "netstring"}),
            ("reply", {"response": "x", "close_on": "q", "framing": "line"}),
        ):
            path = f"/api/services/{name}"
            self.assertEqual(self.ask("PUT", path, definition | keys).status, 201)
            self.assertEqual(self.ask("PUT", f"{path}/script", {"script": SCRIPT}).status, 200)
            shown = self.get(path)["definition"]
            self.assertEqual(shown["script"], SCRIPT)
            self.assertFalse(shown.keys() & {"rule", "response", "close_on", "framing", "seed"})
            self.assertEqual("limits" in shown, name == "reply")
            self.assertEqual(self.ask("PUT", path, shown).status, 200)
            self.assertEqual(self.converse(b"a\n", name=name).received(), b"B\r\n")
            self.ask("DELETE", path)

    def test_another_one(self) -> None:
        """New clients are answered by the new script."""
        found = self.ask("PUT", "/api/services/smtp/script", {"script": SCRIPT})
        self.assertEqual((found.status, found.json["summary"]), (200, "1 rule in 1 state"))
        self.assertEqual(self.converse(b"a\n").received(), b"B\r\n")
        self.assertEqual(self.get("/api/services/smtp/script")["rules"][0]["line"], 1)

    def test_problems(self) -> None:
        """A script with problems is refused whole, and each has its line and its path."""
        text = "[[rule]]\nequals = 'a'\nrepply = 'B'\n[[rule]]\nmatches = '('\nreply = 'x'"
        for path, method in (("/script", "PUT"), ("/script/check", "POST")):
            found = self.ask(method, f"/api/services/smtp{path}", {"script": text})
            self.assertEqual(found.status, 422)
            places = [(it["line"], it["path"]) for it in found.json["problems"]]
            self.assertIn((3, "rule[0].repply"), places)
            self.assertIn((5, "rule[1].matches"), places)
        self.assertEqual(self.get("/api/services/smtp")["summary"], "3 rules in 2 states")
        found = self.ask("PUT", "/api/services/smtp/script", {"script": "= \x00"})
        self.assertEqual((found.status, found.json["problems"][0]["line"]), (422, 1))

    def test_a_check(self) -> None:
        """A check says what ``reqresp check`` says, and changes nothing."""
        found = self.ask("POST", "/api/services/smtp/script/check", {"script": SCRIPT})
        self.assertEqual(found.json, {"summary": "1 rule in 1 state, framing line, 0 faults"})
        self.assertEqual(self.get("/api/services/smtp")["summary"], "3 rules in 2 states")

    def test_a_relay_instead_of_rules(self) -> None:
        """The service is replaced: it listens on the same port, and its connections are reset."""
        wire = self.connect()
        position = self.get("/api/services/smtp")["position"]
        text = "[upstream]\naddress = '127.0.0.1:1'\n"
        found = self.ask("PUT", "/api/services/smtp/script", {"script": text})
        self.assertEqual((found.status, found.json["kind"]), (200, "relay"))
        self.assertEqual(found.json["listen"], [f"{HOST}:2525"])
        self.assertGreater(found.json["position"], position)
        self.assertTrue(wire.got_reset)
        self.assertEqual(self.get("/api/services/smtp/script")["script"], text)
        found = self.ask("PUT", "/api/services/smtp/script", {"script": SCRIPT})
        self.assertEqual((found.json["kind"], found.json["upstream"]), ("rules", None))
        self.assertEqual(self.converse(b"a\n").received(), b"B\r\n")

    def test_a_relay_that_does_not_listen(self) -> None:
        """A service that was disabled stays so when it is replaced."""
        self.ask("POST", "/api/services/smtp/disable")
        text = "[upstream]\naddress = '127.0.0.1:1'\n"
        found = self.ask("PUT", "/api/services/smtp/script", {"script": text})
        self.assertEqual((found.json["kind"], found.json["enabled"]), ("relay", False))
        self.assertEqual(found.json["listen"], [])


class TokenTests(Controlled):
    """A control server with a token."""

    token = "s3cret"  # noqa: S105 (not a real one)

    def test_what_needs_the_token(self) -> None:
        """The API needs the token; the page and the health of the process do not."""
        for path in ("/api", "/api/services", "/api/openapi.json", "/api/stream", "/no"):
            self.assertEqual(self.ask("GET", path).status, 401, path)
        for path in ("/", "/page/main.js", "/healthz"):
            self.assertEqual(self.ask("GET", path).status, 200, path)
        found = self.ask("GET", "/api", Authorization="Bearer s3cret")
        self.assertEqual(found.status, 200)

    def test_nothing_is_logged(self) -> None:
        """Neither a token nor what else a client sends is logged."""
        with capturedLogs() as logs:
            self.ask("GET", "/api/services/evil", Authorization="Bearer evil")
            self.ask("POST", "/api/services", {"evil": 1}, Authorization="Bearer s3cret")
        self.assertNotIn("evil", str([*logs]))
