r"""
Reference: pages that are made of what the programs declare.

``python -m docs._site.reference`` writes them, for a forge to show.  A test checks that they are
as the programs are.
"""

import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from docs._site.pages import DOCS
from docs._site.public_names import OTHERS, SECTIONS, directive, find, public_names
from reqresp.cli.parser import make_parser
from reqresp.control.control_site import api_routes, document_of
from reqresp.control.events import EventStreams
from reqresp.control.toxiproxy import toxiproxy_routes
from reqresp.daemon.option_table import GROUPS
from reqresp.daemon.option_types import Option
from reqresp.daemon.options import NOTES
from reqresp.script.json_schema import Schema, script_schema
from reqresp.services.environment import Environment
from reqresp.services.json_schema import services_schema
from reqresp.services.registry import Services

_MADE = ".. Made by python -m docs._site.reference: change what it reads, not this page.\n"
_SPECIAL = re.compile(r"[\\`*|]|_(?!\w)")
_TYPES = {"object": "table", "boolean": "true or false", "null": "nothing", "array": "list"}


def write() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        path(name).write_text(make(), encoding="utf-8")


def path(name: str) -> Path:
    """Return the path of the page *name*."""
    return DOCS / "reference" / f"{name}.rst"


def command_lines() -> str:
    """Return the page of all command lines."""
    lines = [
        *_title("Command lines", "="),
        "Options before ``reqresp`` belong to ``twistd``: ``-n`` keeps it in the foreground, and "
        "with ``--pidfile=`` it writes no pid file. ``reqresp serve`` takes the options of "
        "``twistd reqresp``, and does both. The other commands of ``reqresp`` start no server.",
        "",
        *_heading("``twistd reqresp``", "="),
    ]
    for title, options in GROUPS.items():
        lines += [*_heading(title, "-"), *_table(map(_option_row, options), _OPTION_HEAD)]
    lines += [*_heading("Words for values", "-")]
    lines += [f"- {_escape(note)}" for note in NOTES]
    parser = make_parser()
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name, command in action.choices.items():
                if name != "serve":  # its options are those of twistd reqresp
                    lines += ["", *_command(f"reqresp {name}", command)]
    return _page(lines)


_OPTION_HEAD = ("Option", "Default", "Meaning")


def _option_row(option: Option) -> Sequence[str]:
    value = f" {option.value}" if option.value else ""
    letter = f"``-{option.letter}``, " if option.letter else ""
    return f"{letter}``--{option.name}{value}``", _escape(option.default or ""), _text(option.help)


def _command(name: str, parser: ArgumentParser) -> Iterator[str]:
    yield from _heading(f"``{name}``", "=")
    actions = [it for group in parser._action_groups for it in group._group_actions]
    positional = [it for it in actions if not it.option_strings]
    shown = " ".join(f"{it.metavar}{' ...' * (it.nargs == '+')}" for it in positional)
    yield from ("::", "", f"    {name} [OPTIONS] {shown}".rstrip(), "")
    yield from _paragraphs(parser.description or "")
    rows = [
        (
            ", ".join(
                f"``{it}{f' {action.metavar}' * (action.metavar is not None)}``"
                for it in action.option_strings
            )
            or f"``{action.metavar}``",
            _text(action.help or ""),
        )
        for action in actions
    ]
    yield from _table(rows, ("Argument", "Meaning"))
    yield from _paragraphs(parser.epilog or "")


def script_keys() -> str:
    """Return the page of the keys of scripts and services files."""
    script, services = script_schema(), services_schema()
    service = services["properties"]["service"]["items"]
    own = {
        name: schema
        for name, schema in service["properties"].items()
        if name not in script["properties"]
    }
    lines = [
        *_title("Script keys", "="),
        "`Scripts <../script.rst>`_ explains these keys by subject, with examples. A key can be "
        "left out, unless its default is given as *required*. ``reqresp schema`` prints the same "
        "as a JSON Schema.",
        "",
        *_heading("A script", "="),
        *_schema_table(script),
    ]
    for name, schema in sorted(script["$defs"].items()):
        lines += [*_heading(_table_name(name), "-"), *_described(schema)]
    faults = script["properties"]["fault"]["items"]["anyOf"]
    replies: list[Any] = []
    streams: list[Any] = []
    for fault in faults:
        (streams if "stream" in fault["properties"] else replies).append(fault)
    for title, kinds in (("Faults of replies", replies), ("Faults of a relay", streams)):
        lines += _heading(title, "=")
        for fault in kinds:
            kind = fault["properties"]["kind"]["const"]
            side = " of a relay" * ("stream" in fault["properties"])
            lines += [*_heading(f"``{kind}``{side}", "-"), *_described(fault)]
    lines += [
        *_heading("A services file", "="),
        "Each ``[[service]]`` has these keys and those of a script: `Several services "
        "<../services.rst>`_.",
        "",
        *_schema_table({"properties": own, "required": service["required"]}),
    ]
    for name, schema in services["$defs"].items():
        if name not in script["$defs"]:
            lines += [*_heading(_table_name(name), "-"), *_described(schema)]
    return _page(lines)


def control_api() -> str:
    """Return the page of the control API."""
    services = Services(Environment(reactor=Clock()))
    toxiproxy = toxiproxy_routes(services)
    routes = api_routes(services, EventStreams(Clock()), 0, toxiproxy)
    document = document_of(routes, toxiproxy)
    schemas = document["components"]["schemas"]
    lines = [
        *_title("Control API", "="),
        f"{_escape(document['info']['description'])} ``GET /api/openapi.json`` returns the "
        "document that this page is made of. `The control server <../control.rst>`_ explains it "
        "by subject.",
        "",
        *_heading("Requests", "="),
    ]
    for route, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += [*_heading(f"``{method.upper()} {route}``", "-"), *_operation(operation)]
    lines += _heading("Objects", "=")
    for name, schema in sorted(schemas.items()):
        if _table_name(name) not in _SCRIPT_TABLES:
            lines += [*_heading(_table_name(name), "-"), *_described(schema)]
    return _page(lines)


def python_api() -> str:
    """Return the page of the Python API; on the site, autodoc adds what each name is."""
    lines = [
        *_title("Python API", "="),
        "Import a name from ``reqresp``, unless the heading names another package, or the name "
        "has its module with it. Names that are not listed here can change at any time. The "
        "documentation site shows each name with its types. Without the site, use ``python -m "
        "pydoc``, as in ``python -m pydoc reqresp.Close``.",
    ]
    for title, (package, parts) in SECTIONS.items():
        paths = [path for part in parts for path in public_names(package, part)]
        names = ", ".join(f"``{it.rpartition('.')[2]}``" for it in paths)
        lines += [*_heading(title, "="), f"{names}.", ""]
        for part in parts:
            lines += [f".. site: public-names:: {package} {part}".rstrip(), ""]
    lines += [*_heading("Other modules", "="), f"{', '.join(f'``{it}``' for it in OTHERS)}.", ""]
    for path in OTHERS:
        lines += [it.replace(".. auto", ".. site: auto") for it in directive(path, find(path))]
    return _page(lines)


def _operation(operation: Mapping[str, Any]) -> Iterator[str]:
    yield from (_sentence(operation["summary"]), "")
    rows = [
        (f"``{it['name']}``", it["in"], _type(it["schema"]), _text(it.get("description", "")))
        for it in operation.get("parameters", ())
    ]
    if rows:
        yield from _table(rows, ("Parameter", "In", "Type", "Meaning"))
    if "requestBody" in operation:
        [content] = operation["requestBody"]["content"].values()
        yield from _body("Body", content["schema"])
    statuses = operation["responses"]
    for status, response in statuses.items():
        for kind, content in response.get("content", {}).items():
            if int(status) < 300:
                yield from _body(f"Status {status}, ``{kind}``", content["schema"])
        if int(status) < 300 and "content" not in response:
            yield from (f"Status {status}: no body.", "")
    errors = ", ".join(status for status in statuses if int(status) >= 400)
    yield from (f"Errors: {errors}.", "")


def _body(title: str, schema: Schema) -> Iterator[str]:
    if "properties" in schema:
        yield from (f"{title}: an object with these keys.", "", *_schema_table(schema))
    else:
        yield from (f"{title}: {_type(schema)}.", "")


def _described(schema: Schema) -> Iterator[str]:
    if "description" in schema:
        yield from (_sentence(schema["description"]), "")
    if "properties" in schema:
        yield from _schema_table(schema)
    else:
        yield from (f"It is {_type(schema)}.", "")


def _schema_table(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    rows = [
        (
            f"``{name}``",
            _type(it),
            "required" if name in required else _default(it),
            _text(it.get("description", "")),
        )
        for name, it in schema["properties"].items()
    ]
    yield from _table(rows, ("Key", "Type", "Default", "Meaning"))


def _default(schema: Schema) -> str:
    value = schema.get("default")
    if value is None:
        return ""
    return f"``{str(value).lower() if isinstance(value, bool) else value}``" if value != "" else ""


def _type(schema: Schema) -> str:
    """Return the type that *schema* describes, in words."""
    if "$ref" in schema:
        title = _table_name(schema["$ref"].rpartition("/")[2])
        if schema["$ref"].startswith("#/components/") and title in _SCRIPT_TABLES:
            return f"`{title} <script-keys.rst#{title.lower().replace(' ', '-')}>`__"
        return f"`{title}`_"
    if "const" in schema:
        return f"``{schema['const']}``"
    if "enum" in schema:
        return ", ".join(f"``{it}``" for it in schema["enum"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        if all("kind" in it.get("properties", {}) for it in options):
            return "table with a ``kind``"
        # Lists last: in "list of text or X", the list seems to end before the "or".
        parts = dict.fromkeys(map(_type, sorted(options, key=lambda it: "items" in it)))
        return " or ".join(parts)
    kind = schema.get("type", "any value")
    if kind == "array" and "items" in schema:
        items = _type(schema["items"])
        return f"list of ({items})" if " or " in items else f"list of {items}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"table of {_type(schema['additionalProperties'])}"
    kinds = [kind] if isinstance(kind, str) else kind
    return " or ".join(_TYPES.get(it, it) for it in kinds)


def _table_name(name: str) -> str:
    """Return what a page calls the table *name*, such as ``RuleTable``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Table"))
    shown = " ".join(it if it.isupper() else it.lower() for it in words.split())
    return shown[:1].upper() + shown[1:]


def _table(rows: Any, head: Sequence[str]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in (head, *rows):
        for at, cell in enumerate(row):
            yield f"   {' *'[at == 0]} - {cell}".rstrip()
    yield ""


def _title(text: str, mark: str) -> list[str]:
    return [mark * len(text), text, mark * len(text), "", _MADE]


def _heading(text: str, mark: str) -> list[str]:
    return ["", text, mark * len(text), ""]


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith(" "):
            yield from ("::", "", *(f"    {it.strip()}" for it in paragraph.splitlines()), "")
        elif paragraph:
            yield from (_escape(" ".join(paragraph.split())), "")


def _sentence(text: str) -> str:
    return _text(text[:1].upper() + text[1:].rstrip(".") + ".")


def _text(text: str) -> str:
    """Return *text* of a docstring: words between backquotes are code."""
    parts = re.split(r"`+([^`]+)`+", text)
    return "".join(
        f"``{part}``" if at % 2 else _escape(re.sub(r"(?<!\w)\*(\w+)\*", r"\1", part))
        for at, part in enumerate(parts)
    )


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _page(lines: Sequence[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


#: The tables that the page of scripts and services files has.
_SCRIPT_TABLES = {*map(_table_name, (*script_schema()["$defs"], *services_schema()["$defs"]))}
#: The pages, by their names.
PAGES: Mapping[str, Callable[[], str]] = {
    "command-lines": command_lines,
    "script-keys": script_keys,
    "control-api": control_api,
    "python-api": python_api,
}

if __name__ == "__main__":
    write()
