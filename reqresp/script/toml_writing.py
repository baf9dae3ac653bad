"""
TOML writing: tables as TOML text, for people to read and to edit.

Must not know the keys of a script.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reqresp._text import basic_string, toml_string
from reqresp.script.toml_positions import is_bare


def write_toml(tables: Mapping[str, Any]) -> str:
    """
    Return *tables* as text that `parse_toml` reads.

    :param tables: a dict of strings, numbers, booleans, lists and dicts.
    """
    # A key after the header of a table would be a key of that table.
    plain = {key: it for key, it in tables.items() if not _is_tables(it)}
    blocks = ["\n".join(_pairs(plain))] if plain else []
    for key, value in tables.items():
        if key in plain:
            continue
        if isinstance(value, Mapping):
            blocks.append("\n".join([f"[{_key(key)}]", *_pairs(value)]))
            continue
        blocks += ["\n".join([f"[[{_key(key)}]]", *_pairs(it)]) for it in value]
    return "\n\n".join(blocks) + "\n"


def _is_tables(value: Any) -> bool:
    """Return whether *value* is a table or several, and nothing else."""
    if isinstance(value, Mapping):
        return True
    is_list = isinstance(value, Sequence) and not isinstance(value, str) and bool(value)
    return is_list and all(isinstance(it, Mapping) for it in value)


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(it)}" for key, it in table.items())


def _key(key: str) -> str:
    return key if is_bare(key) else basic_string(key)


def _value(value: Any) -> str:
    """Return *value* as TOML, on one line."""
    match value:
        case str():
            return toml_string(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Mapping():
            return f"{{ {', '.join(_pairs(value))} }}" if value else "{}"
    return f"[{', '.join(map(_value, value))}]"
