"""Report: the figures as reStructuredText, which is also readable on a terminal."""

from collections.abc import Mapping, Sequence

from bench.machine import basics, section
from bench.report import simple_table
from tests.reliability.values import Figure, Scenario

_PACKAGES = ("reqresp", "Twisted", "google-re2")


def table(found: Mapping[str, Sequence[Figure]]) -> str:
    """Return one table of the figures *found* in all scenarios."""
    rows = [
        (name if number == 0 else "\\", one.what, one.measured, one.bound, _verdict(one))
        for name, figures in found.items()
        for number, one in enumerate(figures)
    ]
    return simple_table(("scenario", "what", "measured", "bound", "verdict"), rows)


def notes(scenarios: Sequence[Scenario], seconds: float) -> str:
    """Return the list of scenarios, and how long they took."""
    lines = [f"- ``{one.name}``: {one.title}." for one in scenarios]
    return "\n".join([f"It took {seconds:,.0f} s.  The scenarios:", "", *lines, ""])


def machine(command: str, busy: float) -> str:
    """Return a section about the machine; *busy* is the load average before the start."""
    return section(basics(command, busy, _PACKAGES))


def made(command: str, seconds: float) -> str:
    """Return a sentence that says with what, when, where and how fast a table was made."""
    facts = basics(command, 0, _PACKAGES)
    versions = ", ".join(f"{name} {facts[name]}" for name in ("Python", *_PACKAGES))
    return (
        f"{facts['command']} took {seconds:,.0f} s on {facts['date']}: {facts['processor']}; "
        f"{versions}.\n"
    )


def _verdict(figure: Figure) -> str:
    if figure.bound == "-":
        return "-"
    return "met" if figure.met else "missed"
