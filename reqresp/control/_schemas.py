"""
Schemas: JSON Schema of what attrs classes and routes describe.

Knows types.  Must not know routes.  A class is described once: `_bodies` converts JSON to it, and
this makes its schema.
"""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from reqresp._errors import MAX_FLOAT, FieldError
from reqresp.script.reader import MAX_INTEGER
from reqresp.script.schema import PayloadTable, PredicateTable

#: A JSON Schema.
Schema = dict[str, Any]


class Time(float):
    """A time in seconds since the epoch, which is larger than other seconds may be."""


#: A time in a query.
QueryTime = Annotated[Time, "seconds since the epoch, a number >= 0"]

#: The largest number of an entry or of a connection.
MAX_NUMBER = 10**18 - 1

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
    float: {"type": "number", "minimum": -MAX_FLOAT, "maximum": MAX_FLOAT},
    Time: {"type": "number", "minimum": 0, "maximum": 10**11},
    Any: {},
}


# Tables that can hold tables of their own kind.
_SHARED = (PayloadTable, PredicateTable)


def ref(name: str) -> Schema:
    """Return a schema that refers to the component *name* of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> Schema:
    """Return the schema of an array of *items*."""
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """Return *schema*, which also fits null."""
    return {"anyOf": [schema, {"type": "null"}]}


def table(*optional: str, **properties: Schema) -> Schema:
    """Return the schema of an object with these *properties* alone, all but *optional* required."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def schema_of(kind: Any) -> Schema:
    """Return the schema of the JSON that `_bodies.read_body` converts to *kind*."""
    origin = get_origin(kind)
    if origin is Annotated:
        text, *_ = kind.__metadata__
        return schema_of(kind.__origin__) | {"description": str(text)}
    if origin in (Union, UnionType):
        schemas = [schema_of(it) for it in get_args(kind) if it is not NoneType]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    if origin is Literal:
        return {"enum": [*get_args(kind)]}
    if origin is list:
        return array(schema_of(get_args(kind)[0]))
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(get_args(kind)[1])}
    if kind in _SHARED:
        return ref(kind.__name__)
    return _of_class(kind) if attrs.has(kind) else dict(_PLAIN[kind])


def number_field(
    least: float, most: float, *, default: Any = attrs.NOTHING, is_optional: bool = False
) -> Any:
    """
    Return a field of an attrs class that is a number from *least* to *most*, as its schema says.

    :param is_optional: whether it can be None.
    """

    def check(_instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not (value is None and is_optional) and not least <= value <= most:
            raise FieldError(attribute.name, f"expected {least} to {most}, found {value}")

    schema = {"minimum": least, "maximum": most}
    return attrs.field(default=default, validator=check, metadata={"schema": schema})


def number_or_none() -> Any:
    """Return a field of an attrs class that is the number of an entry or a connection, or None."""
    return number_field(0, MAX_NUMBER, default=None, is_optional=True)


def properties_of(kind: type[Any]) -> dict[str, tuple[Schema, bool]]:
    """Return, by its name, the schema of each field of *kind*, and whether it is required."""
    return {
        it.name.removesuffix("_"): (
            schema_of(it.type) | it.metadata.get("schema", {}),
            it.default is attrs.NOTHING,
        )
        for it in attrs.fields(kind)
        if it.init
    }


def _of_class(kind: type[Any]) -> Schema:
    properties = properties_of(kind)
    schema = {
        "type": "object",
        "properties": {name: found for name, (found, _required) in properties.items()},
        "additionalProperties": False,
    }
    required = [name for name, (_found, is_required) in properties.items() if is_required]
    return schema | ({"required": required} if required else {})


#: The components of a document to which schemas of `schema_of` refer, by name.
SHARED = {kind.__name__: _of_class(kind) for kind in _SHARED}
