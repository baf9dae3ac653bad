"""Report: figures as reStructuredText that is as readable on a terminal."""

from collections.abc import Mapping, Sequence

from bench.machine import basics, section
from bench.report import simple_table
from tests.reliability.values import Figure, Scenario

_PACKAGES = ("reqresp", "Twisted", "google-re2")


def table(found: Mapping[str, Sequence[Figure]]) -> str:
    """Write what was *found* in each scenario as one table."""
    rows = [
        (name if number == 0 else "\\", one.what, one.measured, one.bound, _verdict(one))
        for name, figures in found.items()
        for number, one in enumerate(figures)
    ]
    return simple_table(("scenario", "what", "measured", "bound", "verdict"), rows)


def notes(scenarios: Sequence[Scenario], seconds: float) -> str:
    """Say what the scenarios are, and how long they took."""
    lines = [f"- ``{one.name}``: {one.title}." for one in scenarios]
    return "\n".join([f"It took {seconds:,.0f} s.  The scenarios:", "", *lines, ""])


def machine(command: str, busy: float) -> str:
    """Write a section on what they were run on; *busy* is the load average before."""
    return section(basics(command, busy, _PACKAGES))


def _verdict(figure: Figure) -> str:
    if figure.bound == "-":
        return "-"
    return "met" if figure.met else "missed"
