"""OpenAPI: the document, whether it is complete, and whether responses fit it."""

import json
import re
from typing import Any

from prometheus_client import CollectorRegistry

from reqresp.control.control_site import make_control_site
from reqresp.control.page import page_resources
from reqresp.control.prometheus import Exposition
from reqresp.control.site import make_pages
from reqresp.faults import KINDS
from tests.support.asked import Asked, parse_answer
from tests.support.controlled import Controlled
from tests.support.json_schemas import validator
from tests.support.proxied_services import ProxiedCase
from tests.support.relayed import SERVICE_PORT


def references(value: Any) -> set[str]:
    """Return the names of all components that a part of a document refers to."""
    if isinstance(value, list):
        return {name for it in value for name in references(it)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].rpartition("/")[2]} if "$ref" in value else set()
    return own | {name for it in value.values() for name in references(it)}


def undescribed(value: Any, path: str) -> list[str]:
    """Return the paths of the fields of all tables in *value* that have no description."""
    if isinstance(value, list):
        return [it for at, inner in enumerate(value) for it in undescribed(inner, f"{path}/{at}")]
    if not isinstance(value, dict):
        return []
    fields = value.get("properties", {})
    is_schema = "type" in value and isinstance(fields, dict)
    found = [
        f"{path}.{name}"
        for name, field in (fields.items() if is_schema else ())
        # What tells kinds of tables apart.
        if not field.get("description") and "const" not in field
    ]
    return found + [
        it for key, inner in value.items() for it in undescribed(inner, f"{path}/{key}")
    ]


def routed(resource: Any) -> set[tuple[str, str]]:
    """Return the methods and the paths that the router of *resource* finds."""
    return {(it.method.lower(), it.path.replace(":int}", "}")) for it in resource.router.routes}


def served(site: Any) -> set[tuple[str, str]]:
    """Return the methods and the paths that *site* serves, but for the files of the page."""
    found = routed(site.resource)
    page = page_resources()
    for name, child in site.resource.others.children.items():
        if hasattr(child, "router"):
            found |= routed(child)
        elif name not in page:
            found.add(("get", f"/{name.decode()}"))
    return found


class DocumentTests(Controlled):
    """The document of the API."""

    def make_site(self) -> Any:
        super().make_site()  # its services
        pages = make_pages(Exposition(CollectorRegistry(), self.reactor), lambda: True)
        return make_control_site(self.services, clock=self.reactor, pages=pages)

    def setUp(self) -> None:
        super().setUp()
        self.document = self.get("/api/openapi.json")

    def test_it_is_complete(self) -> None:
        """The document has every method of every path that the site serves, and no other."""
        documented = {
            (method, path) for path, it in self.document["paths"].items() for method in it
        }
        self.assertEqual(documented, served(self.site))

    def test_the_methods(self) -> None:
        """Each path has the methods of the document alone, besides HEAD."""
        for path, operations in self.document["paths"].items():
            found = self.ask("PROPFIND", re.sub(r"\{\w+\}", "1", path))
            self.assertEqual(found.status, 405, path)
            allowed = {*found.headers["Allow"].lower().split(", ")}
            self.assertEqual(allowed - {"head"}, {*operations}, path)

    def test_every_operation_is_described(self) -> None:
        """Each has a sentence, a name of its own, its parameters, and its responses."""
        names: list[str] = []
        for path, operations in self.document["paths"].items():
            for operation in operations.values():
                self.assertRegex(operation["summary"], r"^[A-Z].*\.$")
                names.append(operation["operationId"])
                in_path = {
                    it["name"] for it in operation.get("parameters", ()) if it["in"] == "path"
                }
                self.assertEqual(in_path, {*re.findall(r"\{(\w+)\}", path)})
                self.assertTrue(any(it.startswith("2") for it in operation["responses"]))
        self.assertEqual(len(names), len({*names}))

    def test_the_statuses(self) -> None:
        """A stream can be of an unknown service, and any path has other methods."""
        responses = self.document["paths"]["/api/stream"]["get"]["responses"]
        self.assertLessEqual({"200", "401", "403", "404", "405", "422", "429"}, {*responses})
        self.assertIn("Allow", responses["405"]["headers"])
        self.assertIn("WWW-Authenticate", responses["401"]["headers"])
        responses = self.document["paths"]["/api/services/{service}"]["put"]["responses"]
        self.assertEqual(responses["200"]["content"], responses["201"]["content"])

    def test_streams_resume(self) -> None:
        """The header with which a stream resumes is a parameter, of streams alone."""
        resuming = {
            path
            for path, operations in self.document["paths"].items()
            for operation in operations.values()
            if "Last-Event-ID" in [it["name"] for it in operation.get("parameters", ())]
        }
        self.assertEqual(resuming, {"/api/stream", "/api/services/{service}/stream"})

    def test_the_pages(self) -> None:
        """The pages for programs that watch the process say whether they need a token."""
        metrics, health = (self.document["paths"][it]["get"] for it in ("/metrics", "/healthz"))
        self.assertIn("401", metrics["responses"])
        self.assertNotIn("security", metrics)
        self.assertNotIn("401", health["responses"])
        self.assertEqual(health["security"], [])

    def test_every_key_is_described(self) -> None:
        """All fields of requests and replies, and all parameters, say what they mean."""
        self.assertEqual(undescribed(self.document, ""), [])
        for operations in self.document["paths"].values():
            for operation in operations.values():
                for it in operation.get("parameters", ()):
                    self.assertTrue(it["in"] == "path" or it["description"], it)

    def test_faults_have_the_keys_of_their_kinds(self) -> None:
        """As in the schema of scripts."""
        faults = self.document["components"]["schemas"]["Definition"]["properties"]["fault"]
        kinds = {it["properties"]["kind"]["const"] for it in faults["items"]["anyOf"]}
        self.assertLessEqual({*KINDS}, kinds)

    def test_every_component_exists(self) -> None:
        """Schemas refer to components that the document has."""
        self.assertLessEqual(references(self.document), {*self.document["components"]["schemas"]})


class Fitting(Asked):
    """A site whose requests and responses fit its document."""

    def setUp(self) -> None:
        super().setUp()
        self.document = self.ask("GET", "/api/openapi.json").json
        #: The operations that have succeeded.
        self.seen: set[str] = set()

    def fits(self, method: str, path: str, value: Any = None, status: int = 200) -> Any:
        """
        Send a request; return the JSON of the response, which fits the document.

        :param status: what is expected; below 400, the request has to fit the document, too.
        """
        template, operation = self.operation(method, path)
        body = None
        if value is not None:
            body = json.dumps(value).encode()
        if value is not None and status < 400:
            self.assert_fits(value, operation["requestBody"]["content"]["application/json"])
        wire = self.begin(method, path, body, {"Content-Type": "application/json"})
        for _ in range(100):
            if wire.got_eof:
                break
            self.reactor.advance(0.01)
        answer = parse_answer(wire.received())
        self.assertEqual(answer.status, status, answer.data)
        if status < 300:
            self.seen.add(f"{method} {template}")
        content = operation["responses"][str(status)].get("content")
        if content is None:
            self.assertEqual(answer.data, b"")
            return None
        self.assert_fits(answer.json, content[answer.headers["Content-Type"].partition(";")[0]])
        return answer.json

    def operation(self, method: str, path: str) -> tuple[str, Any]:
        """Return the path in the document that *path* is, and what the document says of it."""
        found = [
            it
            for it in self.document["paths"]
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", it), path.partition("?")[0])
        ]
        template = min(found, key=lambda it: it.count("{"))
        return template, self.document["paths"][template][method.lower()]

    def assert_fits(self, value: Any, content: Any) -> None:
        """Assert that *value* fits the schema of *content*."""
        schema = {**content["schema"], "components": self.document["components"]}
        errors = [f"{it.json_path}: {it.message}" for it in validator(schema).iter_errors(value)]
        self.assertEqual(errors, [])

    def assert_known(self, keys: Any, *components: str, more: Any = ()) -> None:
        """Assert that *components*, or *more*, have all of the *keys*."""
        schemas = self.document["components"]["schemas"]
        known = {key for name in components for key in schemas[name]["properties"]}
        self.assertEqual({*keys} - known - {*more}, set())

    def assert_seen(self, *unseen: str, is_api: bool) -> None:
        """Assert that each operation has succeeded, but for *unseen*."""
        operations = {
            f"{method.upper()} {path}"
            for path, it in self.document["paths"].items()
            for method in it
            if path.startswith("/api") == is_api
        }
        self.assertEqual(operations - self.seen, {*unseen})


SMTP = "/api/services/smtp"


class ResponseTests(Fitting, Controlled):
    """What the API says of services that are in use."""

    def test_every_response(self) -> None:
        """Each operation accepts what the document says, and answers so."""
        self.use_connections()
        self.use_faults()
        self.show_entries()
        self.use_expectations()
        self.use_services()
        for path in ("/api", "/api/services", "/api/openapi.json"):
            self.fits("GET", path)
        self.fits("POST", "/api/reset", status=204)
        self.assert_seen("GET /api/stream", "GET /api/services/{service}/stream", is_api=True)

    def use_connections(self) -> None:
        """Have clients converse, and send to them."""
        self.converse(b"EHLO x\n", b"EHL x\n", b"VRFY \xff\n", b"DATA\n", b".\n")
        ended = self.converse(b"EHLO y\nhal")
        shown = self.fits("GET", f"{SMTP}/connections")["connections"]
        self.assertEqual([it["requests"] for it in shown], [5, 1])
        path = f"{SMTP}/connections/{shown[0]['number']}"
        self.fits("POST", f"{path}/push", {"data": {"hex": "ff"}, "framed": True}, 204)
        sent = self.fits("POST", f"{SMTP}/connections/push", {"data": "x", "to": "state:start"})
        self.assertEqual(sent, {"sent": 2})
        self.fits("POST", f"{path}/push", {"data": {"hex": "x"}}, 422)
        self.fits("POST", f"{path}/close", status=204)
        self.fits("POST", f"{SMTP}/connections/99/close", status=404)
        self.fits("POST", f"{SMTP}/connections/{shown[1]['number']}/reset", status=204)
        self.assertTrue(ended.got_reset)

    def use_faults(self) -> None:
        """Have faults apply to a reply, and change them."""
        for fault in (
            {"kind": "latency", "stream": "downstream", "delay": 1},
            {"kind": "corrupt", "stream": "downstream"},
            {"kind": "slicer", "stream": "downstream", "size": 4},
            {"kind": "bandwidth", "stream": "upstream", "rate": 1000, "after": 0.5},
        ):
            added = self.fits("POST", f"{SMTP}/faults", fault, 201)
            self.assert_known(added, "Fault")
        self.fits("PATCH", f"{SMTP}/faults/latency", {"delay": 2, "probability": 1})
        self.fits("PATCH", f"{SMTP}/faults/latency", {"delay": -1}, 422)
        wire = self.connect()
        wire.wait(9)
        wire.send(b"EHLO z\n")
        wire.wait(9)
        self.assertEqual(len(self.fits("GET", f"{SMTP}/faults")["faults"]), 4)
        for name in ("latency", "corrupt", "slicer", "bandwidth"):
            self.fits("DELETE", f"{SMTP}/faults/{name}", status=204)

    def show_entries(self) -> None:
        """Show what has happened so far, in a list and each whole."""
        found = self.fits("GET", f"{SMTP}/entries?limit=1000&regex=EHLO")["entries"]
        self.assertTrue(found[0]["matches"])
        entries = self.fits("GET", f"{SMTP}/entries?limit=1000")["entries"]
        events = {it["event"] for it in entries}
        expected = {"connected", "sent", "answered", "incomplete", "changed", "disconnected"}
        self.assertLessEqual(expected, events)
        shown = [self.fits("GET", f"{SMTP}/entries/{it['id']}") for it in entries]
        details = ("rule", "state", "near", "why", "explain", "wire")
        for entry in shown:
            self.assert_known(entry, "Entry", more=details)
        has = {key for it in shown for key, value in it.items() if value}
        self.assertLessEqual({*details, "miss", "faults", "delayed", "slices", "altered"}, has)
        self.assertTrue(any(it["wire"]["reply"] for it in shown))
        self.fits("GET", f"{SMTP}/entries?event=answerd", status=422)
        self.fits("GET", f"{SMTP}/entries/9999", status=404)
        self.fits("DELETE", f"{SMTP}/entries", status=204)

    def use_expectations(self) -> None:
        """Expect requests, of which one waits for its reply and another does not come."""
        expectations = f"{SMTP}/expectations"
        expected = {"kind": "expect", "starts_with": "EHLO", "reply": "250 hi", "times": 2}
        held = {"kind": "on", "equals": "STAT", "hold": True}
        first, second = (self.fits("POST", expectations, it, 201)["id"] for it in (expected, held))
        wire = self.converse(b"EHLO x\n", b"STAT\n")
        listed = self.fits("GET", expectations)["expectations"]
        self.assertEqual((listed[0]["received"], listed[0]["met"]), (1, False))
        for it in listed:
            self.assert_known(it, "ListedExpectation", "Expectation")
        [waiting] = self.fits("POST", f"{SMTP}/requests", {"held": True})["requests"]
        self.assertEqual(waiting["data"], "STAT")
        reply = {"number": waiting["number"], "reply": "now"}
        path = f"{SMTP}/connections/{waiting['connection']}/reply"
        self.fits("POST", path, reply, 204)
        self.fits("POST", path, reply, 409)
        self.assertEqual(wire.received(), b"220 ready\r\n250 hi\r\nnow\r\n")
        verdict = self.fits("POST", f"{SMTP}/verify", {"timeout": 0})
        self.assertIn("received 1 of 2", verdict["report"])
        self.fits("PUT", f"{expectations}/{first}", expected, 409)
        self.fits("DELETE", f"{expectations}/{second}", status=204)
        third = self.fits("POST", expectations, held, 201)["id"]
        self.fits("PUT", f"{expectations}/{third}", {**held, "equals": "NOOP"}, 204)
        self.fits("POST", expectations, {"kind": "on", "every": 0, "reply": "x"}, 422)
        self.fits("DELETE", expectations, status=204)

    def use_services(self) -> None:
        """Create a service, change it in each way, and delete it."""
        new = {
            "name": "new",
            "listen": "tcp:2600:interface=127.0.0.1",
            "framing": "line",
            "rule": [{"equals": "a", "reply": "A"}],
        }
        path = "/api/services/new"
        self.fits("POST", "/api/services", new, 201)
        self.fits("POST", "/api/services", new, 409)
        definition = self.fits("GET", path)["definition"]
        fault = {"kind": "latency", "delay": 1}
        self.fits("PUT", path, {**definition, "fault": [fault]})
        self.fits("PUT", path, {**definition, "seed": -1, "framing": "lines"}, 422)
        self.assertTrue(self.fits("GET", f"{path}/script")["rules"])
        script = {"script": "[[rule]]\nequals = 'b'\nreply = 'B'\n"}
        self.fits("POST", f"{path}/script/check", script)
        self.fits("PUT", f"{path}/script", script)
        self.fits("PUT", f"{path}/script", {"script": "[[rule]]\nrepply = 'B'\n"}, 422)
        self.fits("PATCH", "/api/services/fixed", {"accept": {"after": 1}})
        for change in ("disable", "enable"):
            self.fits("POST", f"{path}/{change}")
        self.fits("POST", f"{path}/reset", status=204)
        self.fits("DELETE", path, status=204)
        self.fits("DELETE", path, status=404)


class DetailsTests(Fitting, Controlled):
    """What the API says of entries that rules have answered, or nearly."""

    services_text = r"""
[[service]]
name = "it"
listen = "tcp:2525:interface=127.0.0.1"
framing = "line"
greeting = "hi"

[[service.rule]]
name = "steps"
when = "start"
equals = "GO"
do = [
    { send = "a" }, { send = { hex = "ff", raw = true } }, { send = "b", to = "all" },
    { wait = 0.5 }, { close = true },
]
goto = "start"

[[service.rule]]
when = "*"
json = { user = { name = "x" } }
reply = "json"

[[service.rule]]
starts_with = { hex = "66ff" }
reply = "bytes"
"""

    def details(self, request: bytes) -> Any:
        """Return what is shown of the entry of *request*, a line."""
        self.converse(request + b"\n", name="it").wait(1)
        entries = self.fits("GET", "/api/services/it/entries")["entries"]
        [found] = [it for it in entries if it["event"] == "answered"]
        shown = self.fits("GET", f"/api/services/it/entries/{found['id']}")
        self.fits("DELETE", "/api/services/it/entries", status=204)
        return shown

    def test_a_rule(self) -> None:
        """The rule that has answered has a line, its states, and the one that follows."""
        shown = self.details(b"GO")
        place = {"name": "steps", "path": "rule[0]", "line": 4, "kind": "equals"}
        self.assertEqual(shown["rule"], {**place, "when": ["start"], "goto": "start"})
        self.assertIn({"send": {"base64": "/w==", "raw": True}}, shown["steps"])
        self.assertIn({"send": "b", "to": "all"}, shown["steps"])
        always = self.details(b'{"user": {"name": "x"}}')["rule"]
        self.assertEqual((always["when"], always["goto"]), (None, None))

    def test_near_rules(self) -> None:
        """A near rule has the predicate that differs, with its bytes or its place in JSON."""
        [near] = self.details(b'{"user": {"name": "y"}}')["near"]
        self.assertEqual((near["kind"], near["wanted"], near["at"]), ("json", '"x"', 1))
        self.assertIn("/user/name", near["difference"])
        [near] = self.details(b"fe")["near"]
        self.assertEqual((near["rule"], near["kind"], near["at"]), ("rule[2]", "starts_with", 1))
        self.assertEqual((near["wanted"], near["difference"]), ({"base64": "Zv8="}, None))

    def test_other_keys_do_not_fit(self) -> None:
        """Rules, near rules, steps and entries have the keys of the document alone."""
        path = "/api/services/it/entries/1"
        content = self.operation("GET", path)[1]["responses"]["200"]["content"]
        for change in ("rule", "near", "steps", "more"):
            shown = self.details(b"fe")
            shown[change] = {"x": 1} if change in ("rule", "more") else [{"x": 1}]
            with self.subTest(change), self.assertRaises(AssertionError):
                self.assert_fits(shown, content["application/json"])


class ToxiproxyResponseTests(Fitting, ProxiedCase):
    """What the paths of toxiproxy say."""

    def test_every_response(self) -> None:
        """Each operation accepts what the document says, and answers so."""
        new = {
            "name": "redis",
            "listen": "localhost:26379",
            "upstream": f"127.0.0.1:{SERVICE_PORT}",
        }
        self.fits("GET", "/version")
        self.fits("POST", "/proxies", new, 201)
        self.fits("POST", "/proxies", new, 409)
        self.fits("POST", "/proxies", {**new, "name": "no name"}, 400)
        self.fits("POST", "/populate", [{**new, "enabled": True}], 201)
        refused = self.fits("POST", "/populate", [new, {**new, "name": "x", "listen": "y"}], 500)
        self.assertEqual(len(refused["proxies"]), 1)
        self.use_toxics()
        self.relay()
        self.fits("GET", "/proxies/redis")
        self.assertEqual({*self.fits("GET", "/proxies")}, {"redis"})
        for method, is_enabled in (("POST", False), ("PATCH", True)):
            shown = self.fits(method, "/proxies/redis", {"enabled": is_enabled})
            self.assertEqual(shown["enabled"], is_enabled)
        self.fits("PATCH", "/proxies/redis", {"upstream": "x"}, 400)
        self.fits("POST", "/reset", status=204)
        self.fits("DELETE", "/proxies/redis", status=204)
        self.fits("DELETE", "/proxies/redis", status=404)
        self.assert_seen("GET /healthz", "GET /metrics", "GET /readyz", is_api=False)

    def use_toxics(self) -> None:
        """Add a toxic, change it in each way, and remove it."""
        toxics = "/proxies/redis/toxics"
        toxic = {"type": "latency", "attributes": {"latency": 1.5}, "toxicity": 0.5}
        self.fits("POST", toxics, toxic)
        self.fits("POST", toxics, toxic, 409)
        self.fits("POST", toxics, {"type": "slicer"}, 400)
        path = f"{toxics}/latency_downstream"
        for method in ("POST", "PATCH"):
            self.fits(method, path, {"attributes": {"jitter": 1}, "toxicity": None})
        self.fits("PATCH", path, {"attributes": {"latency": "x"}}, 400)
        self.fits("GET", path)
        self.assertEqual(len(self.fits("GET", toxics)), 1)
        self.fits("DELETE", path, status=204)
        self.fits("DELETE", path, status=404)

    def relay(self) -> None:
        """Pass bytes in both directions, and show the entries and the connection."""
        client, service = self.connect()
        client.send(b"PING")
        service.transport.write(b"\xff")
        self.reactor.advance(0)
        self.assertEqual(client.received(), b"\xff")
        path = "/api/services/redis"
        entries = self.fits("GET", f"{path}/entries")["entries"]
        self.assertIn("passed", {it["event"] for it in entries})
        for it in entries:
            shown = self.fits("GET", f"{path}/entries/{it['id']}")
            self.assertEqual((shown["rule"], shown["wire"]["reply"]), (None, None))
        [connection] = self.fits("GET", f"{path}/connections")["connections"]
        self.assertIsNone(connection["state"])
        self.fits("GET", path)
