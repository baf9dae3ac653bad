"""
JSON Schema: the keys of a script and the types of their values, for editors.

Made from the declarations that the reader uses, and from the kinds of faults.  It must not know
what a key means.
"""

import re
from collections.abc import Callable, Mapping
from inspect import cleandoc
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs
from attrs import define, field

from reqresp._errors import MAX_FLOAT
from reqresp.faults import KINDS, STREAM_KINDS, Fault
from reqresp.script.reader import MAX_INTEGER
from reqresp.script.schema import (
    Document,
    FaultWindowTable,
    ReplyFaultTable,
    StreamFaultTable,
)

#: A JSON Schema, or a part of one.
Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: Mapping[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
    float: {"type": "number", "minimum": -MAX_FLOAT, "maximum": MAX_FLOAT},
    Any: {},
}
_PARAMETER = re.compile(r"^:param (\w+): (.*?)(?=^:|\Z)", re.MULTILINE | re.DOTALL)


def make_schema(title: str, *tables: type) -> Schema:
    """
    Return the JSON Schema of a file that has the keys of all *tables*, attrs classes.

    A value that it accepts can still have problems that no type shows.

    :source: https://json-schema.org/draft/2020-12
    """
    schemas = Schemas()
    merged = schemas.merged(*tables)
    return {"$schema": _DIALECT, "title": title, **merged, "$defs": schemas.definitions}


def script_schema() -> Schema:
    """Return the JSON Schema of scripts."""
    return make_schema("a script of reqresp", Document)


@define
class Schemas:
    """
    Makes the schemas of types; those of tables are *definitions*, each made once.

    The metadata ``schema`` of a field of a table are further keys of its schema.

    :param prefix: where a document has its definitions.
    :param plain: the schemas of further types.
    """

    prefix: str = "#/$defs/"
    plain: Mapping[Any, Schema] = field(factory=dict)
    definitions: dict[str, Schema] = field(init=False, factory=dict)

    def of(self, kind: Any) -> Schema:
        """Return the schema of values of *kind*, as `Reader.read` accepts them."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return {**self.of(arguments[0]), "description": str(arguments[1])}
        if origin in (Union, UnionType):
            options = [self.of(it) for it in arguments if it is not type(None)]
            return options[0] if len(options) == 1 else {"anyOf": options}
        if origin is Literal:
            return {"enum": [*arguments]}
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if attrs.has(kind):
            return self._refer(kind)
        return _PLAIN[kind] if kind in _PLAIN else self.plain[kind]

    def merged(self, *kinds: type) -> Schema:
        """Return the schema of a table that has the keys of all *kinds*, attrs classes."""
        properties: Schema = {}
        required: list[str] = []
        for table in map(self.table, kinds):
            properties |= table["properties"]
            required += table.get("required", ())
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def table(self, kind: type) -> Schema:
        """Return the schema of the table that the attrs class *kind* declares."""
        texts = parameter_texts(kind)
        properties: Schema = {}
        required = []
        for it in attrs.fields(kind):
            if not it.init:
                continue
            name = it.name.removesuffix("_")
            make = _FAULTS.get(name) if get_origin(it.type) is list else None
            schema = self.of(it.type) if make is None else make(self)
            schema = {**schema, **it.metadata.get("schema", {})}
            if it.name in texts:
                schema = {**schema, "description": texts[it.name]}
            if isinstance(it.default, str | int | float):
                schema = {**schema, "default": it.default}
            properties[name] = schema
            if it.default is attrs.NOTHING:
                required.append(name)
        return _object(properties, required, _summary(kind))

    def _refer(self, kind: Any) -> Schema:
        if kind.__name__ not in self.definitions:
            self.definitions[kind.__name__] = {}  # a table can have tables of its own kind
            self.definitions[kind.__name__] = self.table(kind)
        return {"$ref": f"{self.prefix}{kind.__name__}"}

    def rule_faults(self) -> Schema:
        """Return the schema of the faults of one rule."""
        return self._faults(self._kinds(KINDS, self.table(FaultWindowTable)["properties"]))

    def script_faults(self) -> Schema:
        """Return the schema of the faults of a whole script."""
        streams = self.table(StreamFaultTable)
        return self._faults(
            self._kinds(KINDS, self.table(ReplyFaultTable)["properties"])
            + self._kinds(STREAM_KINDS, streams["properties"], *streams["required"])
        )

    def _kinds(
        self, kinds: Mapping[str, type[Fault]], more: Schema, *required: str
    ) -> list[Schema]:
        found = []
        for name, kind in kinds.items():
            schema = self.table(kind)
            properties = {"kind": {"const": name}, **schema["properties"], **more}
            needed = ["kind", *schema.get("required", ()), *required]
            found.append(_object(properties, needed, schema["description"]))
        return found

    def _faults(self, options: list[Schema]) -> Schema:
        return {"type": "array", "items": {"anyOf": options}}


#: Tables whose keys depend on their kind.
_FAULTS: Mapping[str, Callable[[Schemas], Schema]] = {
    "fault": Schemas.script_faults,
    "faults": Schemas.rule_faults,
}


def _object(properties: Schema, required: list[str], description: str) -> Schema:
    schema = {"type": "object", "description": description, "properties": properties}
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False}


def _summary(kind: type) -> str:
    """Return the first paragraph of the docstring of *kind*."""
    return _one_line(cleandoc(kind.__doc__ or "").partition("\n\n")[0])


def parameter_texts(kind: type, none: str = "without it") -> Mapping[str, str]:
    """
    Return what the docstrings of *kind* and its bases say of each parameter.

    :param none: what is written for None.
    """
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found = _PARAMETER.findall(cleandoc(base.__doc__ or "")) if attrs.has(base) else ()
        texts |= {name: _one_line(text).replace("; None: ", f"; {none}: ") for name, text in found}
    return texts


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
