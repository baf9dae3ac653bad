"""
Starting: what the command writes for those who begin, starter scripts and schemas for editors.

Prints, and returns the exit status.  It must not know how arguments are parsed.
"""

import json
from argparse import Namespace
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from reqresp._text import printable

Print = Callable[[str], None]

#: The kinds of starter scripts.
KINDS = ("line", "binary", "http", "smtp", "relay")


def new(options: Namespace, say: Print, warn: Print) -> int:
    """
    Write a starter script into a new file.

    :param say: prints what to do next.
    :param warn: prints a problem.
    """
    path = Path(options.name if options.name.endswith(".toml") else f"{options.name}.toml")
    text = files("reqresp.cli").joinpath(f"starters/{options.kind}.toml").read_text("utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("NAME", str(path)))
    except OSError as error:
        warn(f"{printable(str(path))}: cannot be written: {error.strerror}")
        return 1
    say(f"{path}: written; its first lines say how to start it and how to try it")
    return 0


def schema(options: Namespace, say: Print, _warn: Print) -> int:
    """
    Print the JSON Schema of scripts, or of services files.

    :param say: prints it.
    """
    from reqresp.script.json_schema import script_schema
    from reqresp.services.json_schema import services_schema

    made = services_schema() if options.services else script_schema()
    say(json.dumps(made, indent=2))
    return 0
