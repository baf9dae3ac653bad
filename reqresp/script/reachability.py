"""
Reachability: states that no conversation can reach, and rules that never answer.

Knows rules, their states and their predicates.  Must not know tables or files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from reqresp._text import unknown
from reqresp.script.predicates import Predicates
from reqresp.script.rule import Rule
from reqresp.script.rules import rules_by_state
from reqresp.script.toml_positions import join
from reqresp.server.triggers import Trigger

#: Receives a key path and the problem there.
Report = Callable[[str, str], None]


def check_states(
    start: str,
    rules: Sequence[Rule],
    others: Sequence[Rule],
    report: Report,
    tables: Iterable[str] = (),
) -> None:
    """
    Report each `goto` to an unknown state, and each state that no rule goes to.

    :param others: the rules of the greeting and of unmatched requests, which have no state.
    :param tables: the states that have a table of their own.
    """
    named: dict[str, str] = {start: "start"}
    for rule in rules:
        for state in sorted(rule.when or ()):
            named.setdefault(state, f"{rule.path}.when")
    for state in tables:
        named.setdefault(state, join("state", state))
    for rule in (*rules, *others):
        for path, state in rule.states_after:
            if state not in named:
                report(path, unknown("state", state, named))
    reached = _reached(start, (*rules, *others))
    for state, path in named.items():
        if state not in reached:
            report(path, f"no rule goes to the state {state!r}")


def _reached(start: str, rules: Sequence[Rule]) -> set[str]:
    anywhere = {state for rule in rules if rule.when is None for _, state in rule.states_after}
    onwards: dict[str, set[str]] = {}
    for rule in rules:
        for _, after in rule.states_after:
            for state in rule.when or ():
                onwards.setdefault(state, set()).add(after)
    reached: set[str] = set()
    waiting = {start, *anywhere}
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting |= onwards.get(state, set()) - reached
    return reached


def never_answering(start: str, rules: Sequence[Rule]) -> Iterator[tuple[Rule, Sequence[Rule]]]:
    """Yield each rule that never answers, with the earlier rules that answer its requests."""
    places = {rule.path: place for place, rule in enumerate(rules)}
    states = rules_by_state(start, rules)
    shadowed: dict[str, list[int]] = {}  # by path, the position of the earlier rule in each state
    # Each timer runs on its own.
    for trigger in {rule.trigger for rule in rules} - {Trigger.TIMER}:
        for own in rules_by_state(start, rules, trigger).values():
            for rule, before in _shadowed([rules[place] for place in own]):
                shadowed.setdefault(rule.path, []).append(places[before.path])
    for rule in rules:
        found = shadowed.get(rule.path, [])
        if found and len(found) == len(states if rule.when is None else rule.when):
            yield rule, [rules[place] for place in sorted({*found})]


def _is_anything(predicates: Predicates) -> bool:
    """Return whether every request matches, as far as can be determined without trying."""
    kinds = predicates.starts_with, predicates.ends_with, predicates.contains
    return (
        not predicates.equals
        and predicates.unless is None
        and not (predicates.any_of or predicates.all_of)
        and all(not kind or b"" in kind for kind in kinds)
        and (not predicates.matches or b"(?s).*" in predicates.matches)
        and predicates.size in (None, (0, None))
        and not predicates.json
    )


def _shadowed(rules: Iterable[Rule]) -> Iterator[tuple[Rule, Rule]]:
    same: dict[Predicates, Rule] = {}
    exact: dict[tuple[bool, object], Rule] = {}
    anything: Rule | None = None
    for rule in rules:
        before = same.get(rule.predicates) or anything or _equal(rule, exact)
        if before is not None:
            yield rule, before
        if not rule.can_end:
            if anything is None and _is_anything(rule.predicates):
                anything = rule
            same.setdefault(rule.predicates, rule)
            if rule.predicates.is_single:
                for key in _keys(rule.predicates, fold=rule.predicates.ignore_case):
                    exact.setdefault(key, rule)


def _equal(rule: Rule, exact: Mapping[tuple[bool, object], Rule]) -> Rule | None:
    """Return an earlier rule that answers every request that *rule* names by ``equals``."""
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
