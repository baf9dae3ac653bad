"""JSON Schemas: what validates against one."""

from typing import Any

from jsonschema import Draft202012Validator


def validator(schema: Any) -> Draft202012Validator:
    """Return what validates against *schema*, which is valid itself."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
