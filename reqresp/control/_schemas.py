"""
Schemas: JSON Schema of what attrs classes and routes describe, as components of a document.

Knows types.  Must not know routes.  A class is described once: `_bodies` converts JSON to it, and
`SCHEMAS` makes its schema.
"""

from typing import Annotated, Any

import attrs

from reqresp._errors import FieldError
from reqresp.script.json_schema import Schema, Schemas, parameter_texts


class Time(float):
    """A time in seconds since the epoch, which is larger than other seconds may be."""


#: A time in a query.
QueryTime = Annotated[Time, "seconds since the epoch, a number >= 0"]

#: The largest number of an entry or of a connection.
MAX_NUMBER = 10**18 - 1

_COMPONENTS = "#/components/schemas/"

#: Makes the schemas of attrs classes; those that others refer to are components of the document.
SCHEMAS = Schemas(_COMPONENTS, {Time: {"type": "number", "minimum": 0, "maximum": 10**11}})


def ref(name: str) -> Schema:
    """Return a schema that refers to the component *name* of the document."""
    return {"$ref": f"{_COMPONENTS}{name}"}


def array(items: Schema) -> Schema:
    """Return the schema of an array of *items*."""
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """Return *schema*, which also fits null."""
    return {"anyOf": [schema, {"type": "null"}]}


def described(description: str, schema: Schema) -> Schema:
    """Return *schema* with what the value means."""
    return {**schema, "description": description}


def described_by(kind: type, **schemas: Schema) -> dict[str, Schema]:
    """Return *schemas*, each with what the docstring of *kind* says of the attribute."""
    texts = parameter_texts(kind, none="null")
    return {name: described(texts[name], it) for name, it in schemas.items()}


def table(*optional: str, **properties: Schema) -> Schema:
    """Return the schema of an object with these *properties* alone, all but *optional* required."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


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
