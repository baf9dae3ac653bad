"""
Public names: what autodoc is asked to show of a package.

Knows modules and names.  Must not know Sphinx.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import isclass, isfunction
from types import ModuleType

#: The sections of the API: the package that users import from, and the parts of it that a section
#: has; an empty part is all.
SECTIONS: Mapping[str, tuple[str, Sequence[str]]] = {
    "Servers": ("reqresp", ["reqresp.server."]),
    "Replies": ("reqresp", ["reqresp.steps."]),
    "Framings": ("reqresp", ["reqresp.framing."]),
    "Scripts": ("reqresp", ["reqresp.script.", "reqresp._errors."]),
    "Faults": ("reqresp", ["reqresp.faults."]),
    "Journal": ("reqresp", ["reqresp.journal."]),
    "Replay": ("reqresp", ["reqresp.recording."]),
    "Relay": ("reqresp", ["reqresp.relay."]),
    "Exchanges": ("reqresp", ["reqresp.exchanges."]),
    "Transport": ("reqresp", ["reqresp.transport."]),
    "``reqresp.testing``": ("reqresp.testing", ["reqresp.testing.", "reqresp.expectations."]),
    "``reqresp.control``": ("reqresp.control", [""]),
    "``reqresp.recording``": ("reqresp.recording", [""]),
    "``reqresp.transport.tls``": ("reqresp.transport.tls", [""]),
}


def public_names(package: str, part: str = "") -> dict[str, object]:
    """
    Return what users import from *package*, by the path at which it is defined.

    :param part: only what is defined in this module or package.
    """
    module = import_module(package)
    paths = {
        f"{home(module, name)}.{name}": getattr(module, name)
        for name in module.__all__
        if not name.startswith("__")
    }
    return {path: value for path, value in paths.items() if f"{path}.".startswith(part)}


def home(module: ModuleType, name: str) -> str:
    """Return the module that defines what *module* calls *name*."""
    if name in (modules := getattr(module, "_MODULES", {})):
        return f"{module.__name__}.{modules[name]}"
    modules = module._modules() if hasattr(module, "_modules") else {}
    found = str(modules.get(name) or getattr(getattr(module, name), "__module__", ""))
    return found if found.startswith("reqresp") else module.__name__


def directives(package: str, part: str = "") -> Iterator[str]:
    """Yield the lines that show the names of *package*, in the order of its parts."""
    for path, value in public_names(package, part).items():
        kind = "class" if isclass(value) else "function" if isfunction(value) else "data"
        yield f".. auto{kind}:: {path}"
        if kind == "class":
            yield "   :members:"
        yield ""
