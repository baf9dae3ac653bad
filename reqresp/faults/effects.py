"""
Effects: what faults have made of a reply, as the journal shows it.

Works on steps whose every `Send` is raw, and knows no fault.
"""

from reqresp.faults._pieces import joined, performed
from reqresp.steps import MAX_SLICES, FaultEffect, Send, Steps, Wait


def effect_of(before: Steps, after: Steps) -> FaultEffect:
    """Return what faults have made of the steps *before*, which are now those *after*."""
    before, after = performed(before), performed(after)
    data = joined(after)
    sizes = _sizes(after)
    return FaultEffect(
        delay=max(0.0, _waits(after) - _waits(before)),
        slices=sizes[:MAX_SLICES] if len(sizes) > len(_sizes(before)) else (),
        data=None if data == joined(before) else data,
    )


def _waits(steps: Steps) -> float:
    return sum(step.seconds for step in steps if isinstance(step, Wait))


def _sizes(steps: Steps) -> tuple[int, ...]:
    return tuple(len(step.data) for step in steps if isinstance(step, Send) and step.data)
