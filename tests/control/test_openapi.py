"""OpenAPI: the document, and whether it is complete."""

import re
from typing import Any

from prometheus_client import CollectorRegistry

from reqresp.control.control_site import make_control_site
from reqresp.control.page import page_resources
from reqresp.control.prometheus import Exposition
from reqresp.control.site import make_pages
from reqresp.faults import KINDS
from tests.support.controlled import Controlled


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
