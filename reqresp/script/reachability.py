"""
States: whether a script's conversation can come to all of its rules.

Knows rules and the states that they name; finds what is wrong, and what is hardly meant.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from reqresp.script.predicates import Predicates
from reqresp.script.reader import unknown
from reqresp.script.rules import Rule

#: Is told a key path, and what is wrong there.
Blame = Callable[[str, str], None]


def check_states(start: str, rules: Sequence[Rule], others: Sequence[Rule], blame: Blame) -> None:
    """
    Blame a `goto` to no state, and a state that nothing goes to.

    :param others: what answers in every state: the greeting, and the answer to what fits no rule.
    """
    named: dict[str, str] = {start: "start"}
    for rule in rules:
        for state in sorted(rule.when or ()):
            named.setdefault(state, f"{rule.name}.when")
    for rule in (*rules, *others):
        if rule.goto is not None and rule.goto not in named:
            blame(f"{rule.name}.goto", unknown("state", rule.goto, named))
    reached = _reached(start, (*rules, *others))
    for state, path in named.items():
        if state not in reached:
            blame(path, f"nothing goes to the state {state!r}")


def _reached(start: str, rules: Sequence[Rule]) -> set[str]:
    anywhere = {rule.goto for rule in rules if rule.when is None and rule.goto is not None}
    onwards: dict[str, set[str]] = {}
    for rule in rules:
        if rule.goto is not None:
            for state in rule.when or ():
                onwards.setdefault(state, set()).add(rule.goto)
    reached: set[str] = set()
    waiting = {start, *anywhere}
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting |= onwards.get(state, set()) - reached
    return reached


def never_answering(start: str, rules: Sequence[Rule]) -> Iterator[tuple[Rule, Sequence[Rule]]]:
    """Give each rule that others before it, one in each of its states, leave nothing to."""
    places = {rule.name: place for place, rule in enumerate(rules)}
    states = {start}.union(*(rule.when or () for rule in rules))
    hidden: dict[str, list[int]] = {}  # by a rule's name, the place of the one before it by state
    for state in states:
        for rule, before in _hidden([it for it in rules if it.when is None or state in it.when]):
            hidden.setdefault(rule.name, []).append(places[before.name])
    for rule in rules:
        found = hidden.get(rule.name, [])
        if found and len(found) == len(states if rule.when is None else rule.when):
            yield rule, [rules[place] for place in sorted({*found})]


def _is_anything(predicates: Predicates) -> bool:
    """Tell whether any request fits, as far as can be seen."""
    kinds = predicates.starts_with, predicates.ends_with, predicates.contains
    return (
        not predicates.equals
        and predicates.unless is None
        and all(not kind or b"" in kind for kind in kinds)
        and (not predicates.matches or b"(?s).*" in predicates.matches)
        and predicates.size in (None, (0, None))
    )


def _hidden(rules: Iterable[Rule]) -> Iterator[tuple[Rule, Rule]]:
    same: dict[Predicates, Rule] = {}
    exact: dict[tuple[bool, object], Rule] = {}
    anything: Rule | None = None
    for rule in rules:
        before = same.get(rule.predicates) or anything or _equal(rule, exact)
        if before is not None:
            yield rule, before
        if rule.times is None:
            if anything is None and _is_anything(rule.predicates):
                anything = rule
            same.setdefault(rule.predicates, rule)
            if rule.predicates.is_single:
                for key in _keys(rule.predicates, fold=rule.predicates.ignore_case):
                    exact.setdefault(key, rule)


def _equal(rule: Rule, exact: Mapping[tuple[bool, object], Rule]) -> Rule | None:
    """Give a rule that answers all that *rule* could: what equals one of a few things."""
    folded = [exact.get(key) for key in _keys(rule.predicates, fold=True)]
    plain = folded
    if not rule.predicates.ignore_case:
        plain = [exact.get(key) for key in _keys(rule.predicates, fold=False)]
    found = [it or that for it, that in zip(plain, folded, strict=True)]
    return found[0] if found and all(found) else None


def _keys(predicates: Predicates, *, fold: bool) -> list[tuple[bool, object]]:
    return [
        (fold, needle.lower() if fold and isinstance(needle, bytes) else needle)
        for needle in predicates.equals
    ]
