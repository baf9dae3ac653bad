"""
Public names: what autodoc is asked to show of a package.

Knows modules and names.  Must not know Sphinx.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from inspect import isclass, isfunction
from pkgutil import resolve_name
from types import ModuleType

from docs._site.pages import ROOT

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

#: What guides import from other modules, by its path there.
OTHERS: Sequence[str] = (
    "reqresp.recording.recorder.Recorder",
    "reqresp.relay.Forwarding",
    "reqresp.relay.upstream_tls.ClientTLS",
    "reqresp.server.upstream_settings.UpstreamSettings",
    "reqresp.services.environment.Environment",
    "reqresp.services.reading.read_definition",
    "reqresp.services.registry.Services",
    "reqresp.tap.Options",
    "reqresp.tap.makeService",
    "reqresp.transport.eager.EagerWrites",
    "reqresp.transport.lean_reactor.install",
)


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
        yield from directive(path, value)


def directive(path: str, value: object) -> Iterator[str]:
    """Yield the lines that show the *value* at *path*."""
    kind = "class" if isclass(value) else "function" if isfunction(value) else "data"
    yield f".. auto{kind}:: {path}"
    if kind == "class":
        yield "   :members:"
    yield ""


def find(path: str) -> object:
    """Return what is at *path*, an attribute of a module."""
    module, _, name = path.rpartition(".")
    found: object = getattr(import_module(module), name)
    return found


def exists(name: str, module: str = "", owner: str = "") -> bool:
    """
    Return whether *name* is that of something: of Python, of a package, or in a module of reqresp.

    Without its module, it is looked up in each module and class of reqresp that defines or imports
    its first part.  Of one part, only the name of a class is; another has to be one that *module*
    or *owner* sees, since many classes have a method of the same name.  What is not a name is part
    of a signature, and counts as one that exists.

    :param module: the path of the module whose text has the name.
    :param owner: the class there, if its text has it.
    """
    if not re.fullmatch(r"[\w.]+", name):
        return True
    name = name.lstrip(".")
    is_class = name[:1].isupper() and not name.isupper()
    if module and "." not in name and not is_class:
        return name in _seen(module, owner) or _resolves(name)
    homes = _homes().get(name.partition(".")[0], set())
    return hasattr(builtins, name) or any(map(_resolves, (name, *(f"{it}.{name}" for it in homes))))


@cache
def _seen(module: str, owner: str) -> set[str]:
    """Return the names that a text in *module*, of the class *owner*, can have alone."""
    seen = {*dir(builtins)}
    kinds = resolve_name(f"{module}:{owner}").__mro__ if owner else ()
    for path in {module, *(kind.__module__ for kind in kinds)}:
        seen |= {name for name, homes in _homes().items() if path in homes}
        seen |= {*vars(import_module(path))}
    for kind in kinds:
        seen |= {*dir(kind), *getattr(kind, "__annotations__", ())}
    return seen


def _resolves(path: str) -> bool:
    """Return whether there is something at *path*."""
    try:
        resolve_name(path)
    except (AttributeError, ImportError, ValueError):
        return False
    return True


@cache
def _homes() -> Mapping[str, set[str]]:
    """Return the paths of the modules and classes that have a name, by the name."""
    homes: dict[str, set[str]] = {}
    for path in (ROOT / "reqresp").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for home, name in (*_defined(module, tree), *_imported(module, tree)):
            homes.setdefault(name, set()).add(home)
    return homes


def _defined(path: str, node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield *path* with each name that the module or class there defines, and so on within it."""
    for it in node.body:
        match it:
            case ast.ClassDef(name=name):
                yield path, name
                yield from _defined(f"{path}.{name}", it)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield path, name
            case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
                yield path, name


def _imported(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the module of each import from one, and *path*, with the name, for types as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield str(node.module), alias.name
                yield path, alias.asname or alias.name
