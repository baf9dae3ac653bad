"""Cost: how the processor time of some work grows with its size."""

from collections.abc import Callable
from time import thread_time

#: How much larger the second of two sizes is.
FACTOR = 8
#: The most that linear work may cost for a size `FACTOR` times larger.  Quadratic work costs
#: `FACTOR` squared.
LINEAR = 3 * FACTOR
_TRIES = 3


def cost_growth(work: Callable[[int], object], size: int) -> float:
    """
    Return how many times more ``work(FACTOR * size)`` costs than ``work(size)``.

    Processor time of this thread is measured, and the least of a few tries counts: what else the
    machine does has little influence.  The smaller work should take a tenth of a millisecond.
    """
    return _least(work, FACTOR * size) / _least(work, size)


def _least(work: Callable[[int], object], size: int) -> float:
    return min(_cost(work, size) for _ in range(_TRIES))


def _cost(work: Callable[[int], object], size: int) -> float:
    began = thread_time()
    work(size)
    return max(thread_time() - began, 1e-6)
