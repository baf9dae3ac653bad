"""
States: which replies a request has, and what they depend on.

If the same request had several answers, it looks for a request before them that explains them.
Knows requests and answers as values only, and no notation.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

from attrs import field, frozen

#: Requests that lead to a state, at most.
MAX_STATES = 20
#: Requests that are tried for one request with several answers: the nearest before.
MAX_CANDIDATES = 10
#: Attempts in all: each looks at every request of the recording.
MAX_ATTEMPTS = 300

R = TypeVar("R", bound=Hashable)
A = TypeVar("A", bound=Hashable)

#: The requests of one conversation with their answers.
Talk = Sequence[tuple[R, A]]


@frozen
class Answers(Generic[A]):
    """
    The answers of one request in one state.

    :param cycle: those in turn; if it always had the same, only that.
    :param is_exact: whether each conversation had them in this order, from the first.
    """

    cycle: tuple[A, ...]
    is_exact: bool = True
    #: How often an answer was another one than that before.
    changes: int = field(default=0, eq=False)

    @property
    def is_constant(self) -> bool:
        """Whether the answer is always the same."""
        return len(self.cycle) == 1


#: The answers of each request, in the order of the requests, by the request that has led to the
#: state; None: the first state.
Table = Mapping[R, Mapping[R | None, Answers[A]]]


def find_states(talks: Sequence[Talk[R, A]]) -> tuple[list[R], Table[R, A]]:
    """Return the requests that lead to a state of their own, and the answers of each request."""
    states: list[R] = []
    table = _table(talks, states)
    attempts = 0
    for request in [*table]:
        for candidate in _candidates(talks, request):
            varying = _varying(table)
            is_varying = any(not it.is_constant for it in table[request].values())
            if not is_varying or len(states) == MAX_STATES or attempts == MAX_ATTEMPTS:
                break
            if candidate in states:
                continue
            attempts += 1
            tried = _table(talks, [*states, candidate])
            if _varying(tried) < varying:
                states.append(candidate)
                table = tried
    return states, table


def _varying(table: Table[R, A]) -> int:
    """Return how much the answers vary within states."""
    return sum(it.changes for by_state in table.values() for it in by_state.values())


def _table(talks: Sequence[Talk[R, A]], states: Sequence[R]) -> Table[R, A]:
    leading = {*states}
    found: dict[R, dict[R | None, list[list[A]]]] = {}
    for talk in talks:
        state: R | None = None
        here: dict[tuple[R, R | None], list[A]] = defaultdict(list)
        for request, answer in talk:
            here[request, state].append(answer)
            if request in leading:
                state = request
        for (request, state), answers in here.items():
            found.setdefault(request, {}).setdefault(state, []).append(answers)
    return {
        request: {state: _answers(sequences) for state, sequences in by_state.items()}
        for request, by_state in found.items()
    }


def _answers(sequences: Sequence[Sequence[A]]) -> Answers[A]:
    """Return the answers of a request that had these *sequences* of them."""
    longest = max(sequences, key=len)
    every = [it for sequence in sequences for it in sequence]
    changes = sum(one != other for one, other in pairwise(every))
    if not changes:
        return Answers((every[0],))
    is_exact = all([*longest[: len(it)]] == [*it] for it in sequences)
    return Answers(tuple(longest if is_exact else every), is_exact, changes)


def _candidates(talks: Sequence[Talk[R, A]], wanted: R) -> Iterator[R]:
    """Yield the requests between two different answers of *wanted*, the nearest ones first."""
    seen: dict[R, None] = {}
    for talk in talks:
        before: list[R] = []
        last: A | None = None
        for request, answer in talk:
            if request != wanted:
                before.append(request)
                continue
            if last is None or answer != last:
                seen.update(dict.fromkeys(before[: -MAX_CANDIDATES - 1 : -1]))
                before = []
            last = answer
        if len(seen) > MAX_CANDIDATES:
            break
    yield from [*seen][:MAX_CANDIDATES]
