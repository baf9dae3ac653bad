"""
Values: the results, and their medians and ratios.

Knows numbers and names.  It must not know processes, tables or files.
"""

from collections.abc import Iterable, Mapping
from statistics import median

from attrs import Factory, define, frozen


class UnavailableError(Exception):
    """Something cannot be measured here.  The message is the reason, for the report."""


@frozen
class Sample:
    """One measurement: figures by name (``total``, ``rate``, ``resident``...)."""

    part: str
    peer: str
    run: int
    figures: Mapping[str, float]


@define
class Results:
    """All measurements, and the reasons of those that failed, by part and server."""

    samples: list[Sample] = Factory(list)
    missing: dict[tuple[str, str], str] = Factory(dict)

    def median(self, part: str, peer: str, figure: str) -> float | None:
        """Return the median of all measurements; None if there is none."""
        return _median(self._runs(part, peer, figure).values())

    def ratio(self, part: str, peer: str, other: str, figure: str) -> float | None:
        """
        Return the ratio of two servers in one part: the median of the ratios of each turn.

        The first turns of all servers follow each other, and so have the same load from other
        processes.
        """
        return self.ratio_of_parts((part, peer), (part, other), figure)

    def ratio_of_parts(
        self, one: tuple[str, str], other: tuple[str, str], figure: str
    ) -> float | None:
        """Return the same ratio for servers of two parts."""
        above, below = self._runs(*one, figure), self._runs(*other, figure)
        return _median(above[run] / below[run] for run in above if below.get(run))

    def peers(self, part: str) -> list[str]:
        """Return the servers measured in a part, least CPU first."""
        names = {sample.peer for sample in self.samples if sample.part == part}
        return sorted(names, key=lambda peer: (self.median(part, peer, "total") or 0.0, peer))

    def runs(self, part: str, peer: str) -> int:
        """Return the number of measurements of a server in a part."""
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
