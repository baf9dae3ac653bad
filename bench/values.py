"""
Values: what was measured, and the arithmetic of runs.

Knows numbers and names; nothing of processes, tables or files.
"""

from collections.abc import Iterable, Mapping
from statistics import median

from attrs import Factory, define, frozen


class UnavailableError(Exception):
    """Something cannot be measured here; the text says why, for the report."""


@frozen
class Sample:
    """One run of one peer in one part: figures by name (``total``, ``rate``, ``resident``...)."""

    part: str
    peer: str
    run: int
    figures: Mapping[str, float]


@define
class Results:
    """All runs so far, and what could not be run, by part and peer, with the reason."""

    samples: list[Sample] = Factory(list)
    missing: dict[tuple[str, str], str] = Factory(dict)

    def median(self, part: str, peer: str, figure: str) -> float | None:
        """Take the median over the runs; None where there is none."""
        return _median(self._runs(part, peer, figure).values())

    def ratio(self, part: str, peer: str, other: str, figure: str) -> float | None:
        """
        Compare two peers of one part.

        Run by run, then the median: the first runs of all peers follow each other, and so share
        what else the machine was doing.
        """
        return self.ratio_of_parts((part, peer), (part, other), figure)

    def ratio_of_parts(
        self, one: tuple[str, str], other: tuple[str, str], figure: str
    ) -> float | None:
        """Compare, run by run, peers of two parts."""
        above, below = self._runs(*one, figure), self._runs(*other, figure)
        return _median(above[run] / below[run] for run in above if below.get(run))

    def peers(self, part: str) -> list[str]:
        """Tell who was measured in a part, cheapest first."""
        names = {sample.peer for sample in self.samples if sample.part == part}
        return sorted(names, key=lambda peer: (self.median(part, peer, "total") or 0.0, peer))

    def runs(self, part: str, peer: str) -> int:
        """Count the runs of one peer in one part."""
        return sum(sample.part == part and sample.peer == peer for sample in self.samples)

    def _runs(self, part: str, peer: str, figure: str) -> dict[int, float]:
        return {
            sample.run: sample.figures[figure]
            for sample in self.samples
            if (sample.part, sample.peer) == (part, peer) and figure in sample.figures
        }


def _median(values: Iterable[float]) -> float | None:
    present = list(values)
    return median(present) if present else None
