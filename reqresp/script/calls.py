"""
Calls: Python functions that answer requests or make framings, from modules beside a script.

A module is a file of the script, with the same bounds: it is in the script's directory or below it.
It is run when the script is loaded.  Must not know rules.
"""

import sys
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from attrs import define, field, frozen

from reqresp._text import quote, unknown
from reqresp.framing import BaseFraming, complete_framing, is_framing
from reqresp.script.files import ScriptFiles
from reqresp.steps import Request


@frozen(eq=False)
class Call(Request):
    """
    The request for which the function of a rule is called, and what the rule knows of it.

    It equals its `request`.

    :param groups: those of the rule's pattern, by number and by name; without a pattern: none.
    :param variables: of the connection; what the function changes stays.
    :param server: likewise, of all connections.
    """

    groups: Mapping[str, bytes]
    variables: MutableMapping[str, bytes]
    server: MutableMapping[str, bytes]

    @property
    def request(self) -> Request:
        """The request without anything else."""
        return Request(self.data, self.peer, self.connection, self.number)

    def __eq__(self, other: object) -> bool:
        return self.request == (other.request if isinstance(other, Call) else other)

    def __hash__(self) -> int:
        return hash(self.request)


@frozen
class CalledFunction:
    """
    A function of a script.

    :param reference: how the script names it, such as ``answers:login``.
    :param source: of its module: a function of a changed module is another one.
    """

    reference: str
    source: bytes = field(repr=False)
    function: Callable[[Call], Any] = field(eq=False)


@lru_cache(maxsize=64)
def framing_of(called: CalledFunction) -> BaseFraming:
    """
    Return the framing that *called*, a class or a function without arguments, makes.

    The same function always has the same framing.  So an unchanged script that is read again is
    equal to the one before.

    :raises ValueError: it raises an exception, or makes no framing.
    """
    make = cast(Callable[[], Any], called.function)  # not for a request here
    try:
        made = make()
    except Exception as error:
        raise ValueError(f"{called.reference}: {type(error).__name__}: {error}") from None
    if not is_framing(made):
        raise ValueError(f"{called.reference}: expected a framing, found {made!r}")
    return complete_framing(made)


class Functions(Protocol):
    """The functions that a script can call."""

    def find(self, reference: str) -> CalledFunction:
        """
        Return the function that *reference* names: ``module:function``.

        :raises ValueError: there is none.
        """


@frozen
class KnownFunctions:
    """
    The functions that the file of a service calls, for what is sent: none of it runs other code.

    :param by_reference: they have been found before.
    """

    by_reference: Mapping[str, CalledFunction] = field(factory=dict)

    def find(self, reference: str) -> CalledFunction:
        """
        Return the function that *reference* names; nothing is run.

        :raises ValueError: the file does not call it.
        """
        if reference in self.by_reference:
            return self.by_reference[reference]
        raise ValueError(
            f"expected a function that the service's file calls, found {quote(reference)};"
            " nothing that is sent runs other code: write it in the file"
        )


@define
class Modules:
    """The modules that a script names in *files*; each is run once."""

    files: ScriptFiles
    _loaded: dict[str, tuple[bytes, ModuleType]] = field(factory=dict, init=False)

    def find(self, reference: str) -> CalledFunction:
        """
        Return the function that *reference* names: ``module:function``.

        :raises ValueError: there is none, or its module cannot be run.
        """
        module, colon, name = reference.partition(":")
        if not (colon and name and all(it.isidentifier() for it in module.split("."))):
            raise ValueError(f"expected MODULE:FUNCTION, found {quote(reference)}")
        if module not in self._loaded:
            self._loaded[module] = self._load(module)
        source, loaded = self._loaded[module]
        functions = {it: value for it, value in vars(loaded).items() if callable(value)}
        if name not in functions:
            raise ValueError(unknown("function", name, sorted(functions)))
        return CalledFunction(reference, source, functions[name])

    def _load(self, name: str) -> tuple[bytes, ModuleType]:
        """Return the source of the module *name*, and the module, which has been run."""
        file = "/".join(name.split(".")) + ".py"
        source = self.files.read(file)
        path = str((self.files.directory or Path()) / file)
        module = ModuleType(f"reqresp_script.{name}")
        module.__file__ = path
        sys.modules[module.__name__] = module  # dataclasses look it up
        try:
            exec(compile(source, path, "exec"), vars(module))  # noqa: S102 (a script names it)
        except SyntaxError as error:
            raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from None
        except (Exception, SystemExit) as error:
            line = _line(error, path)
            kind = type(error).__name__
            raise ValueError(f"{path}, line {line}: {kind}: {error}") from None
        finally:
            del sys.modules[module.__name__]
        return source, module


def _line(error: BaseException, path: str) -> int:
    """Return the line of the file *path* in which *error* was raised."""
    line, traceback = 1, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
