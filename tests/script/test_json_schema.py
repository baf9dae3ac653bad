"""JSON Schema: it accepts and refuses what the reader does, by type."""

import tomllib
from collections.abc import Iterator
from typing import Any, get_args

import attrs
from attrs import field, frozen
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import MAX_FLOAT, Seconds
from reqresp.faults import KINDS
from reqresp.script.compiler import compile_script
from reqresp.script.files import ScriptFiles
from reqresp.script.json_schema import Schemas, make_schema, script_schema
from reqresp.script.reader import MAX_INTEGER, Reader, describe
from reqresp.script.schema import Document
from reqresp.services.json_schema import services_schema
from reqresp.services.schema import ServicesDocument, ServiceTable
from tests.support.documents import ROOT, blocks
from tests.support.json_schemas import validator

#: A value of each type that TOML has, and of each limit of a number.
SAMPLES: list[Any] = [
    *("a", "", 0, 1, -1, 2.5, True, False, MAX_INTEGER, MAX_INTEGER + 1),
    *(float(MAX_FLOAT), MAX_FLOAT + 0.5, [], {}, ["a"], [1], [{}], [["a"]], [["a", {"text": 1}]]),
    *({"text": "a"}, {"text": 1}, {"unknown": 1}, {"text": "a", "raw": True}, {"min": 1}),
]


def table_types(kind: Any, outer: frozenset[Any] = frozenset()) -> Iterator[type]:
    """Yield the attrs classes that *kind*, which is within *outer*, is made of."""
    if attrs.has(kind) and kind not in outer:
        yield kind
        for field in attrs.fields(kind):
            yield from table_types(field.type, outer | {kind})
    for argument in get_args(kind):
        if argument is not kind:
            yield from table_types(argument, outer)


def problems(kind: type, table: dict[str, Any]) -> list[str]:
    """Return what the reader says of *table*."""
    reader = Reader("it.toml", lambda _: None)
    reader.read(kind, table, "")
    return [it.message for it in reader.problems]


def is_typed(message: str, kinds: set[type]) -> bool:
    """Return whether *message* says that a key is wrong, or the type of one of *kinds*."""
    types = (field.type for kind in kinds for field in attrs.fields(kind))
    expected = [f"expected {describe(it)}, found" for it in types]
    return message.startswith(("unknown key", "the key", *expected))


def undescribed(schema: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of the properties in *schema* that have no description."""
    if isinstance(schema, list):
        for at, it in enumerate(schema):
            yield from undescribed(it, f"{path}/{at}")
    if isinstance(schema, dict):
        for name, it in schema.items():
            yield from undescribed(it, f"{path}/{name}")
            if path.endswith("/properties") and not it.keys() & {"description", "const"}:
                yield f"{path}/{name}"


def places_of_a_fault(fault: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield scripts with *fault*, each in another place."""
    yield {"fault": [fault]}
    yield {"fault": [{**fault, "stream": "upstream"}]}
    yield {"rule": [{"reply": "a", "faults": [fault]}]}
    yield {"rule": [{"cycle": [{"reply": "a", "faults": [fault]}]}]}


class TypeTests(SynchronousTestCase):
    """Each key of each table, with a value of each type."""

    def test_as_the_reader(self) -> None:
        """What the schema refuses the reader refuses; what the reader refuses by type, it does."""
        kinds = {*table_types(Document), *table_types(ServiceTable)}
        for kind in kinds:
            valid = validator(make_schema("a table", kind))
            required = {it.name: "a" for it in attrs.fields(kind) if it.default is attrs.NOTHING}
            for key in attrs.fields(kind):
                if not key.init or key.name in ("fault", "faults", "kind"):
                    continue
                for sample in SAMPLES:
                    table = {**required, key.name.removesuffix("_"): sample}
                    found = problems(kind, table)
                    shown = (kind.__name__, key.name, sample, found)
                    if not valid.is_valid(table):
                        self.assertNotEqual(found, [], shown)
                    elif sample != MAX_FLOAT:  # for JSON, this is an integer
                        self.assertFalse(any(is_typed(it, kinds) for it in found), shown)

    def test_keys_are_described(self) -> None:
        """Each key of each table says what it means."""
        for schema in (script_schema(), services_schema()):
            self.assertEqual([*undescribed(schema)], [])

    def test_keys(self) -> None:
        """A key that does not exist, and a required one that is missing, are refused."""
        valid = validator(script_schema())
        self.assertTrue(valid.is_valid({"upstream": {"address": "it:1"}}))
        self.assertFalse(valid.is_valid({"upstream": {}}))
        self.assertFalse(valid.is_valid({"upsteam": {"address": "it:1"}}))


class SchemasTests(SynchronousTestCase):
    """The maker of schemas, for documents of other kinds."""

    def test_a_class(self) -> None:
        """Each field has its type and its metadata; those without a default are required."""

        class Time(float):
            """A time."""

        @frozen(kw_only=True)
        class Inner:
            seconds: Seconds
            names: list[str] = field(factory=list)

        @frozen(kw_only=True)
        class Outer:
            """
            All of it.

            :param inner: what is within.
            """

            inner: Inner | None = None
            for_: str | int | None = None
            others: dict[str, Any] = field(factory=dict)
            fault: bool = False
            at: Time | None = field(default=None, metadata={"schema": {"maximum": 9}})

        schemas = Schemas("#/components/", {Time: {"type": "number", "minimum": 0}})
        self.assertEqual(schemas.of(Outer), {"$ref": "#/components/Outer"})
        self.assertEqual({*schemas.definitions}, {"Outer", "Inner"})
        outer, inner = (schemas.definitions[name] for name in ("Outer", "Inner"))
        self.assertEqual((outer["type"], outer["additionalProperties"]), ("object", False))
        self.assertEqual(outer["description"], "All of it.")
        self.assertNotIn("required", outer)
        properties = outer["properties"]
        within = {"$ref": "#/components/Inner", "description": "what is within."}
        self.assertEqual(properties["inner"], within)
        self.assertEqual([it["type"] for it in properties["for"]["anyOf"]], ["string", "integer"])
        others = {"type": "object", "additionalProperties": {}}
        self.assertEqual(properties["others"], others)
        self.assertEqual(properties["fault"], {"type": "boolean", "default": False})
        self.assertEqual(properties["at"], {"type": "number", "minimum": 0, "maximum": 9})
        self.assertEqual(inner["required"], ["seconds"])
        self.assertEqual(inner["properties"]["seconds"]["type"], "number")
        names = {"type": "array", "items": {"type": "string"}}
        self.assertEqual(inner["properties"]["names"], names)


class FaultTests(SynchronousTestCase):
    """The keys of a fault depend on its kind."""

    def test_kinds(self) -> None:
        """Each kind has its own keys, and those of where it goes wrong."""
        valid = validator(script_schema())
        needed: dict[str, dict[str, Any]] = {
            "latency": {"delay": 1},
            "bandwidth": {"rate": 1},
            "slicer": {"size": 1},
            "limit_data": {"bytes": 1},
            "timeout": {"seconds": 1},
            "slow_close": {"delay": 1},
        }
        for kind in KINDS:
            fault = {"kind": kind, **needed.get(kind, {})}
            stream = {**fault, "stream": "upstream", "after": 1, "for": 2}
            rule = [{"reply": "a", "faults": [fault]}]
            self.assertTrue(valid.is_valid({"fault": [fault, {**fault, "on": "connect"}]}))
            self.assertEqual(valid.is_valid({"fault": [stream]}), kind != "stop_reading")
            self.assertTrue(valid.is_valid({"rule": rule}))
            for wrong in ({**fault, "delai": 1}, {**fault, "kind": "latncy"}, {"delay": 1}):
                self.assertFalse(valid.is_valid({"fault": [wrong]}), wrong)

    def test_parameters_of_wrong_types(self) -> None:
        """Schema and reader refuse them wherever a fault stands, and the reader names the key."""
        valid = validator(script_schema())
        latency, limit = {"kind": "latency", "delay": 1}, {"kind": "limit_data", "bytes": 1}
        for right, key, value in (
            (latency, "kind", 3),
            (latency, "delay", "long"),
            (latency, "probability", "often"),
            (latency, "after", "x"),
            (limit, "bytes", 1.5),
            (limit, "after_bytes", True),
        ):
            for fault, expected in ((right, []), ({**right, key: value}, [key])):
                for tables in places_of_a_fault(fault):
                    reader = Reader("it.toml", lambda _: None)
                    compile_script(tables, reader, ScriptFiles(ROOT))
                    found = [it.path.rpartition(".")[2] for it in reader.problems]
                    self.assertEqual(found, expected, (tables, reader.problems))
                    self.assertEqual(valid.is_valid(tables), not expected, tables)


class ExampleTests(SynchronousTestCase):
    """All scripts of the project are accepted."""

    def test_examples(self) -> None:
        """Those in files, and those in the docs that have no problems."""
        valid, services = validator(script_schema()), validator(services_schema())
        texts = [path.read_text() for path in ROOT.glob("examples/**/*.toml")]
        self.assertGreater(len(texts), 5)
        for page in [*ROOT.glob("docs/**/*.rst"), ROOT / "README.rst"]:
            texts += [it.code for it in blocks(page.read_text()) if it.language == "toml"]
        checked = 0
        for text in texts:
            try:
                tables = tomllib.loads(text)
            except tomllib.TOMLDecodeError:
                continue  # a page shows what is wrong with it
            is_services = "service" in tables
            kind, schema = (ServicesDocument, services) if is_services else (Document, valid)
            if not problems(kind, tables):
                self.assertEqual([*map(str, schema.iter_errors(tables))], [], text)
                checked += 1
        self.assertGreater(checked, 40)
