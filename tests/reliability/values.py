"""
Values: what a scenario is, and what it found out.

Knows how a figure is judged and written; nothing of servers and clients.
"""

from collections.abc import Callable
from statistics import median
from types import ModuleType

from attrs import frozen

Say = Callable[[str], None]

#: From this scale on, times are worth a bound: below it too little was timed.
TELLING = 0.5


@frozen
class Figure:
    """What was *measured*, the *bound* that it is to keep, and whether that was *met*."""

    what: str
    measured: str
    bound: str
    met: bool


def at_most(what: str, measured: float, bound: float, unit: str = "") -> Figure:
    """Judge a figure that is good when it is small."""
    return Figure(what, _written(measured, unit), f"<= {_written(bound, unit)}", measured <= bound)


def exactly(what: str, measured: int, expected: int) -> Figure:
    """Judge a count."""
    return Figure(what, f"{measured:,}", f"{expected:,}", measured == expected)


def at_least(what: str, measured: int, bound: int) -> Figure:
    """Judge a count that is good when it is large."""
    return Figure(what, f"{measured:,}", f">= {bound:,}", measured >= bound)


def told(what: str, measured: float, unit: str = "") -> Figure:
    """Tell a figure that nothing is promised of."""
    return Figure(what, _written(measured, unit), "-", met=True)


def _written(number: float, unit: str) -> str:
    digits = 0 if isinstance(number, int) or number >= 100 else 2
    return f"{number:,.{digits}f} {unit}".rstrip()


def scaled(full: int, scale: float, least: int = 1) -> int:
    """Scale a number that is *full* at scale 1; it is *least* at least."""
    return max(least, round(full * scale))


def percentile(values: list[float], percent: float) -> float:
    """Give the value that *percent* of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def growth(samples: list[float], warm_up: float = 0.1) -> float:
    """
    Say by how much *samples* grew: the median of their last third, less that of their first.

    What comes within *warm_up*, a share of them, is left out.
    """
    warm = samples[int(len(samples) * warm_up) :]
    third = max(1, len(warm) // 3)
    return median(warm[-third:]) - median(warm[:third])


@frozen
class Scenario:
    """Something that is done to a server: *run* takes a scale, and tells its steps to a `Say`."""

    name: str
    title: str
    run: Callable[[float, Say], list[Figure]]


def scenario(module: ModuleType) -> Scenario:
    """Make the scenario of a *module*, whose name and docstring are its own."""
    title = (module.__doc__ or "").strip().partition("\n")[0]
    name, _, what = title.rstrip(".").partition(": ")
    return Scenario(name.lower().replace(" ", "-"), what, module.run)
