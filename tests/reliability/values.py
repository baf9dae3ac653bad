"""
Values: scenarios, and their figures.

Knows how a figure is compared with its bound and written.  It must not know servers or clients.
"""

from collections.abc import Callable
from statistics import median
from types import ModuleType

from attrs import frozen

Say = Callable[[str], None]

#: The smallest scale at which times have a bound: below it too few are measured.
TELLING = 0.5


@frozen
class Figure:
    """A value *measured*, its *bound*, and whether the bound is *met*."""

    what: str
    measured: str
    bound: str
    met: bool


def at_most(what: str, measured: float, bound: float, unit: str = "") -> Figure:
    """Return a figure with an upper bound."""
    return Figure(what, _written(measured, unit), f"<= {_written(bound, unit)}", measured <= bound)


def exactly(what: str, measured: int, expected: int) -> Figure:
    """Return a count with an expected value."""
    return Figure(what, f"{measured:,}", f"{expected:,}", measured == expected)


def at_least(what: str, measured: int, bound: int) -> Figure:
    """Return a count with a lower bound."""
    return Figure(what, f"{measured:,}", f">= {bound:,}", measured >= bound)


def unbounded(what: str, measured: float, unit: str = "") -> Figure:
    """Return a figure without a bound."""
    return Figure(what, _written(measured, unit), "-", met=True)


def _written(number: float, unit: str) -> str:
    digits = 0 if isinstance(number, int) or number >= 100 else 2
    return f"{number:,.{digits}f} {unit}".rstrip()


def scaled(full: int, scale: float, least: int = 1) -> int:
    """Return *full* times *scale*, and at least *least*."""
    return max(least, round(full * scale))


def percentile(values: list[float], percent: float) -> float:
    """Return the value that *percent* of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def growth(samples: list[float], warm_up: float = 0.1) -> float:
    """
    Return the growth of *samples*: the median of their last third minus that of their first.

    :param warm_up: the share of samples to ignore at the start.
    """
    warm = samples[int(len(samples) * warm_up) :]
    third = max(1, len(warm) // 3)
    return median(warm[-third:]) - median(warm[:third])


@frozen
class Scenario:
    """A test of a server; *run* takes a scale and a `Say`, which receives its steps."""

    name: str
    title: str
    run: Callable[[float, Say], list[Figure]]


def scenario(module: ModuleType) -> Scenario:
    """Return the scenario of a *module*, with the name and title in its docstring."""
    title = (module.__doc__ or "").strip().partition("\n")[0]
    name, _, what = title.rstrip(".").partition(": ")
    return Scenario(name.lower().replace(" ", "-"), what, module.run)
