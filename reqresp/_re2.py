"""
Patterns: regular expressions of RE2 over bytes, alone and many at once.

Knows bytes and nothing of ours.  RE2 takes linear time, whatever a client sends.  Patterns are read
in Latin-1, so a byte is a character and ``.`` is any of them but LF, which it is after ``(?s)``.
"""

from collections.abc import Sequence
from typing import Any

import re2  # type: ignore[import-untyped]  # google-re2 has no annotations

# Fits whatever comes: a set that does not find it has failed, which it does not say.
_WITNESS = b"(?s).*"


def compile_pattern(pattern: bytes, *, ignore_case: bool = False) -> Any:
    """
    Compile *pattern*; what comes back has the methods of Python's own, and bytes for group names.

    :param ignore_case: of ASCII letters; any other byte is only itself.
    :raises ValueError: RE2 refuses it; the message, one line, says why.
    """
    try:
        return re2.compile(pattern, options=_options(ignore_case=ignore_case))
    except re2.error as error:
        # It may quote the pattern, whatever that holds.
        text = error.args[0].decode("utf-8", "replace")
        reason = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        raise ValueError(f"no pattern of RE2: {pattern!r}: {reason}") from None


def _options(*, ignore_case: bool) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # else what is no UTF-8 never matches
    options.log_errors = False  # they are raised
    options.case_sensitive = not ignore_case
    return options


class PatternSet:
    """
    Finds which of many patterns fit, each the whole of what is asked, at about the cost of one.

    RE2 builds its states as requests need them, within a budget of bytes, and builds them again
    where that runs out: it gets slower, and finds the same.  Patterns that are alike from ``.*`` on
    need many states: by the thousand they take milliseconds for a request that differs from others.
    All of a request is looked at, even if no pattern can fit any more: 2 ns for each byte.
    """

    def __init__(self, patterns: Sequence[Any], budget: int) -> None:
        """
        :param patterns: from `compile_pattern`, some of which may ignore case.
        :param budget: bytes that RE2 may use for them all.
        :raises ValueError: *budget* is too small.
        """
        self._patterns = patterns
        by_case: dict[bool, list[int]] = {}
        for index, pattern in enumerate(patterns):
            by_case.setdefault(pattern.options.case_sensitive, []).append(index)
        # A set has one case.  To write (?i:...) around a pattern instead changes some: \Qa.
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
                f"{len(indexes)} patterns are too much for {budget} bytes of RE2's memory"
            ) from None
        return compiled

    def matching(self, data: bytes) -> list[int]:
        """Give the indexes of all patterns that fit *data* from end to end, in ascending order."""
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
