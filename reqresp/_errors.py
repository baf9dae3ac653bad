"""
Errors that carry where they belong as a field, so that no message has to be parsed.

Also types of fields that say what a message expects.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from attrs import frozen

from reqresp._text import printable

if TYPE_CHECKING:
    from attrs import Attribute

#: Problems of a file that are reported: a wrong file costs a bounded time and a bounded text.
MAX_PROBLEMS = 100

#: The largest float that a person can write.  It is thirty years in seconds.
MAX_FLOAT = 10**9

Seconds = Annotated[float, f"seconds, a number up to {MAX_FLOAT}"]
Share = Annotated[float, "a number from 0 to 1"]
Bytes = Annotated[int, "a number of bytes"]

#: What an argument can be, in words, and whether a value is that.
Expected = tuple[str, Callable[[Any], bool]]


@frozen
class Problem:
    """
    What is wrong in a *file*, at a key *path* such as ``rule[3].reply``.

    *line* is None if it is not known.  *path* is empty if the problem is a whole line, or the whole
    file.
    """

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return printable(": ".join(filter(None, (place, self.path, self.message))))


class ProblemsError(ValueError):
    """
    A file has *problems*; the text has one line for each.

    :param files: others that it names, in which the cause can be.
    """

    def __init__(self, *problems: Problem, files: Iterable[Path] = ()) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
        self.files = frozenset(files)

    @property
    def causes(self) -> frozenset[Path]:
        """The files after whose change it may not be raised again."""
        return self.files.union(Path(it.file) for it in self.problems)


class TLSFileError(ValueError):
    """
    A file for TLS cannot be used.  The message is one line that names the file.

    :param path: of the file.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class FieldError(ValueError):
    """
    A value is not what a field expects.

    :param field: the field's name as its class spells it, such as ``max_request``; empty if the
        value as a whole is wrong.
    :param problem: what is wrong, without the name: ``expected seconds >= 0, found -1``.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem


def expect(
    expected: str, accepts: Callable[[Any], bool]
) -> Callable[[object, "Attribute[Any]", Any], None]:
    """
    Return a validator for an attrs field that raises `FieldError` for other values.

    :param expected: what a value has to be, such as ``an integer >= 0``.
    :param accepts: returns whether a value is.
    """

    def check(_instance: object, attribute: "Attribute[Any]", value: Any) -> None:
        try:
            is_accepted = accepts(value)
        except TypeError:  # it cannot be compared
            is_accepted = False
        if not is_accepted:
            raise FieldError(attribute.name, f"expected {expected}, found {value!r}")

    return check


def check_seconds(seconds: object, name: str) -> None:
    """:raises FieldError: *seconds*, the value of *name*, is no number, or is too large."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not cast(float, seconds) <= MAX_FLOAT:
        expected = f"seconds, a number up to {MAX_FLOAT}"
        raise FieldError(name, f"expected {expected}, found {seconds!r}")


def check_count(count: object, name: str, least: int) -> None:
    """:raises FieldError: *count*, the value of *name*, is no integer >= *least*."""
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise FieldError(name, f"expected an integer >= {least}, found {count!r}")


def check_types(types: Mapping[str, Expected], given: Mapping[str, object]) -> None:
    """
    Check the types of the arguments *given*, by their names.

    :param types: what each can be, besides None.
    :raises TypeError: one is something else; the message names it.
    """
    for name, value in given.items():
        expected, accepts = types[name]
        if value is not None and not accepts(value):
            raise TypeError(f"{name}: expected {expected}, found {value!r}")
