"""
Regular expressions of RE2 over bytes: one pattern, or many at once.

Knows bytes only.  RE2 takes linear time for any input.  Patterns are read in Latin-1, so a byte is
a character.  ``.`` matches any byte except LF, and any byte after ``(?s)``.
"""

from collections.abc import Sequence
from typing import Any

import re2  # type: ignore[import-untyped]  # google-re2 has no annotations

from reqresp._text import printable, quote

# Matches any input.  A set that does not find it has run out of memory, which RE2 does not report.
_WITNESS = b"(?s).*"


def compile_pattern(pattern: bytes, *, ignore_case: bool = False) -> Any:
    """
    Return the compiled *pattern*.  It has the methods of `re.Pattern`; group names are bytes.

    :param ignore_case: ignore the case of ASCII letters; any other byte matches only itself.
    :raises ValueError: RE2 refuses the pattern; the message is one line with the reason.
    """
    try:
        return re2.compile(pattern, options=_options(ignore_case=ignore_case))
    except re2.error as error:
        # The message can quote the pattern, with any bytes.
        shown = quote(pattern.decode("utf-8", "backslashreplace"))
        reason = printable(error.args[0].decode("utf-8", "replace"))
        raise ValueError(f"invalid RE2 pattern {shown}: {reason}") from None


def match_range(pattern: Any, size: int) -> tuple[bytes, bytes] | None:
    """
    Return two texts between which all that *pattern* matches is; None: it can begin with anything.

    :param size: bytes that each of them has at most.
    """
    try:
        first, last = pattern.possiblematchrange(size)
    except re2.error:
        return None
    return first, last


def _options(*, ignore_case: bool) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # else bytes that are not UTF-8 never match
    options.log_errors = False  # they are raised instead
    options.case_sensitive = not ignore_case
    return options


class PatternSet:
    """
    Finds which of many patterns match the whole of a request, at about the cost of one pattern.

    RE2 builds its states when requests need them, within a budget of bytes.  When the budget is
    used up, it builds them again: it gets slower, and finds the same.  Patterns with ``.*`` before
    equal parts need many states: with thousands of them, an unusual request takes milliseconds.
    RE2 looks at every byte of a request, also if no pattern can match any more: 2 ns a byte.
    """

    def __init__(self, patterns: Sequence[Any], budget: int) -> None:
        """
        :param patterns: from `compile_pattern`; some can ignore case.
        :param budget: bytes that RE2 can use for all of them.
        :raises ValueError: *budget* is too small.
        """
        self._patterns = patterns
        by_case: dict[bool, list[int]] = {}
        for index, pattern in enumerate(patterns):
            by_case.setdefault(pattern.options.case_sensitive, []).append(index)
        # All patterns of a set ignore case, or none.  (?i:...) around a pattern can change it: \Qa.
        self._sets = [
            (self._compile(indexes, not sensitive, budget // len(by_case)), indexes)
            for sensitive, indexes in by_case.items()
        ]

    def _compile(self, indexes: Sequence[int], ignore_case: bool, budget: int) -> Any:
        options = _options(ignore_case=ignore_case)
        options.max_mem = budget
        compiled = re2.Set.FullMatchSet(options)
        for index in indexes:
            compiled.Add(self._patterns[index].pattern)
        compiled.Add(_WITNESS)
        try:
            compiled.Compile()
        except re2.error:
            raise ValueError(
                f"{len(indexes)} patterns need more than the {budget} bytes of RE2's memory"
            ) from None
        return compiled

    def matching(self, data: bytes) -> list[int]:
        """Return the indexes of all patterns that match the whole of *data*, in ascending order."""
        found: list[int] = []
        for compiled, indexes in self._sets:
            hits = compiled.Match(data) or [-1]
            hits.sort()
            if hits.pop() == len(indexes):
                found += [indexes[hit] for hit in hits]
            else:
                found += [index for index in indexes if self._patterns[index].fullmatch(data)]
        if len(self._sets) > 1:
            found.sort()
        return found
