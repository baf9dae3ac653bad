"""OpenAPI: the document, and whether it is complete."""

import re
from typing import Any

from attrs import field, frozen
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import Seconds
from reqresp.control._schemas import schema_of
from reqresp.control.control_site import api_routes
from tests.support.controlled import Controlled


def references(value: Any) -> set[str]:
    """Return the names of all components that a part of a document refers to."""
    if isinstance(value, list):
        return {name for it in value for name in references(it)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].rpartition("/")[2]} if "$ref" in value else set()
    return own | {name for it in value.values() for name in references(it)}


class DocumentTests(Controlled):
    """The document of the API."""

    def setUp(self) -> None:
        super().setUp()
        self.document = self.get("/api/openapi.json")

    def test_it_is_complete(self) -> None:
        """The document has every route of the API, and no other."""
        routes = {(it.method.lower(), re.sub(":int}", "}", it.path)) for it in api_routes_of(self)}
        documented = {
            (method, path) for path, it in self.document["paths"].items() for method in it
        }
        self.assertEqual(documented, routes)

    def test_every_operation_is_described(self) -> None:
        """Each has a sentence, a name of its own, its parameters, and its responses."""
        names = set()
        for path, operations in self.document["paths"].items():
            for operation in operations.values():
                self.assertRegex(operation["summary"], r"^[A-Z].*\.$")
                names.add(operation["operationId"])
                in_path = {
                    it["name"] for it in operation.get("parameters", ()) if it["in"] == "path"
                }
                self.assertEqual(in_path, {*re.findall(r"\{(\w+)\}", path)})
                self.assertTrue(any(it.startswith("2") for it in operation["responses"]))
        self.assertEqual(len(names), len(api_routes_of(self)))

    def test_every_component_exists(self) -> None:
        """Schemas refer to components that the document has."""
        self.assertLessEqual(references(self.document), {*self.document["components"]["schemas"]})


def api_routes_of(test: Controlled) -> list[Any]:
    """Return the routes of the API."""
    from pathlib import Path

    from reqresp.control.events import EventStreams

    return api_routes(test.services, EventStreams(test.reactor), Path(), 0)


class SchemaTests(SynchronousTestCase):
    """The schema of a class."""

    def test_a_class(self) -> None:
        """Each field has its type; those without a default are required."""

        @frozen(kw_only=True)
        class Inner:
            seconds: Seconds
            names: list[str] = field(factory=list)

        @frozen(kw_only=True)
        class Outer:
            inner: Inner | None = None
            for_: str | int | None = None
            others: dict[str, Any] = field(factory=dict)

        schema = schema_of(Outer)
        self.assertEqual((schema["type"], schema["additionalProperties"]), ("object", False))
        self.assertNotIn("required", schema)
        inner = schema["properties"]["inner"]
        self.assertEqual(inner["required"], ["seconds"])
        self.assertEqual(inner["properties"]["seconds"]["type"], "number")
        self.assertEqual(
            inner["properties"]["names"], {"type": "array", "items": {"type": "string"}}
        )
        self.assertEqual(
            [it["type"] for it in schema["properties"]["for"]["anyOf"]], ["string", "integer"]
        )
        self.assertEqual(
            schema["properties"]["others"], {"type": "object", "additionalProperties": {}}
        )
