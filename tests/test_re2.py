"""Patterns of RE2 over bytes, alone and many at once."""

import re
import subprocess
import sys
from typing import Any
from unittest import mock

import re2  # type: ignore[import-untyped]  # google-re2 has no annotations
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp._re2 import PatternSet, compile_pattern, match_range

PROPERTY = settings(derandomize=True, max_examples=300)

MIB = 1024 * 1024

BYTES = [bytes([byte]) for byte in range(256)]

#: Parts of patterns that mean the same in RE2 and in Python's `re`, in any order.
PIECES = st.sampled_from(
    [b"a", b"B", b"b", b".", b"(?:a|bb)", b"a*", b"[ab]+?", b"[^A]", b"\xe0", b"\n", b"(?s:.)"]
)
PATTERNS = st.lists(PIECES, max_size=4).map(b"".join) | st.builds(
    lambda one, other: one + b"|" + other, PIECES, PIECES
)
REQUESTS = st.lists(st.sampled_from(b"aAbB\xe0\xc0\n"), max_size=6).map(bytes)


def fits(pattern: bytes, data: bytes, *, ignore_case: bool = False) -> bool:
    """Return whether *pattern* alone matches the whole of *data*."""
    return compile_pattern(pattern, ignore_case=ignore_case).fullmatch(data) is not None


def pattern_set(
    patterns: list[bytes], budget: int = MIB, *, ignore_case: bool = False
) -> PatternSet:
    """Return a set of patterns that are compiled with the same options."""
    return PatternSet([compile_pattern(each, ignore_case=ignore_case) for each in patterns], budget)


class CompileTests(SynchronousTestCase):
    """`compile_pattern`."""

    def test_a_byte_is_a_character(self) -> None:
        """A byte is a character, also if it is not UTF-8; `.` matches any byte but LF."""
        self.assertEqual([each for each in BYTES if not fits(b".", each)], [b"\n"])
        self.assertTrue(all(fits(b"(?s).", each) for each in BYTES))
        self.assertTrue(fits(b"\xc3\x80", b"\xc3\x80"))
        self.assertFalse(fits(b".", b"\xc3\x80"))
        self.assertTrue(fits(b"a\0b", b"a\0b"))

    def test_case_is_that_of_ascii(self) -> None:
        """Only ASCII letters have a case, alone, in a class and in a negated class."""
        for byte in range(256):
            same = {each for each in BYTES if each.lower() == bytes([byte]).lower()}
            for form in (b"\\x%02x", b"[\\x%02x]", b"(?:\\x%02x|\\x%02x)"):
                self.assertEqual(self.folded(form.replace(b"%02x", b"%02x" % byte)), same)
            self.assertEqual(self.folded(b"[^\\x%02x]" % byte), self.folded(b"(?s).") - same)

    def folded(self, pattern: bytes) -> set[bytes]:
        """Return the bytes that match *pattern* if case is ignored."""
        compiled = compile_pattern(pattern, ignore_case=True)
        return {each for each in BYTES if compiled.fullmatch(each)}

    def test_a_refusal_says_why_in_one_line(self) -> None:
        """The error is one line with the reason, for any bytes in the pattern."""
        for pattern, error in (
            (b"(", "invalid RE2 pattern '(': missing ): ("),
            (rb"(a)\1", r"invalid RE2 pattern '(a)\\1': invalid escape sequence: \1"),
            (b"(\n\xff", r"invalid RE2 pattern '(\n\\xff': missing ): (\n"),
            (b"(\0\x1b", r"invalid RE2 pattern '(\x00\x1b': missing ): (\x00\x1b"),
        ):
            with self.assertRaises(ValueError) as caught:
                compile_pattern(pattern)
            self.assertTrue(str(caught.exception).startswith(error), str(caught.exception))
            self.assertTrue(str(caught.exception).isprintable())

    def test_a_bad_pattern_is_not_written_about(self) -> None:
        """RE2 does not write to standard error, neither for a pattern nor for a set."""
        program = """
from reqresp._re2 import PatternSet, compile_pattern
for attempt in (
    lambda: compile_pattern(b"("), lambda: PatternSet([compile_pattern(b"a")] * 999, 999)
):
    try:
        attempt()
    except ValueError:
        print("refused")
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=False, text=True
        )
        self.assertEqual((done.stdout, done.stderr), ("refused\nrefused\n", ""))

    @PROPERTY
    @given(PATTERNS, REQUESTS, st.booleans())
    def test_it_means_what_it_means_to_python(
        self, pattern: bytes, data: bytes, ignore_case: bool
    ) -> None:
        """A pattern matches as in Python's `re`, for the syntax that both have."""
        flags = re.IGNORECASE if ignore_case else 0
        expected = re.fullmatch(pattern, data, flags) is not None
        self.assertEqual(fits(pattern, data, ignore_case=ignore_case), expected)


class SetTests(SynchronousTestCase):
    """`PatternSet`."""

    def test_a_pattern_is_the_whole_request(self) -> None:
        """A pattern has to match the whole request, with each of its branches."""
        patterns = pattern_set([b"a|bc", b"bc?", b"", b"ab"])
        for data, expected in (
            (b"a", [0]),
            (b"ab", [3]),
            (b"bc", [0, 1]),
            (b"b", [1]),
            (b"", [2]),
            (b"abc", []),
            (b"a\n", []),
            (b"\na", []),
        ):
            self.assertEqual(patterns.matching(data), expected, data)

    def test_all_that_fit_are_found_in_order(self) -> None:
        """All matching patterns are found in ascending order, equal ones too."""
        patterns = pattern_set([b"z?a+", b"[^z]", b".", b"a", b"b", b".", b"(?i)A"])
        self.assertEqual(patterns.matching(b"a"), [0, 1, 2, 3, 5, 6])

    def test_no_patterns(self) -> None:
        """A set without patterns finds nothing."""
        self.assertEqual(PatternSet([], 0).matching(b"a"), [])

    def test_each_has_its_own_case(self) -> None:
        """Patterns that ignore case and patterns that do not can be in one set."""
        patterns = PatternSet(
            [compile_pattern(b"a", ignore_case=number % 3 == 0) for number in range(7)], MIB
        )
        self.assertEqual(patterns.matching(b"A"), [0, 3, 6])
        self.assertEqual(patterns.matching(b"a"), [*range(7)])

    def test_case_does_not_change_what_a_pattern_means(self) -> None:
        r"""A \Q without its \E quotes all that follows; flags and branches go as far as before."""
        for pattern, data in ((rb"\Qa)", b"A)"), (b"(?-i)a|b", b"b"), (b"a|b", b"B")):
            self.assertEqual(pattern_set([pattern], ignore_case=True).matching(data), [0])
        for pattern, data in ((b"(?-i)a|b", b"B"), (b"a|b", b"ab"), (rb"\Qa", b"a)")):
            self.assertEqual(pattern_set([pattern], ignore_case=True).matching(data), [])

    @PROPERTY
    @given(st.lists(st.tuples(PATTERNS, st.booleans()), max_size=8), st.lists(REQUESTS, max_size=5))
    def test_it_finds_what_each_would_alone(
        self, patterns: list[tuple[bytes, bool]], requests: list[bytes]
    ) -> None:
        """A set finds the patterns that match alone."""
        compiled = [compile_pattern(each, ignore_case=folds) for each, folds in patterns]
        found = PatternSet(compiled, MIB)
        for data in requests:
            expected = [index for index, each in enumerate(compiled) if each.fullmatch(data)]
            self.assertEqual(found.matching(data), expected)


class BudgetTests(SynchronousTestCase):
    """Too little memory is an error when a set is made, and changes no result later."""

    def test_too_little_is_refused(self) -> None:
        """The error has the number of patterns and the budget."""
        with self.assertRaises(ValueError) as caught:
            pattern_set([b"k%d .*" % number for number in range(1000)], 4096)
        self.assertEqual(
            str(caught.exception), "1000 patterns need more than the 4096 bytes of RE2's memory"
        )

    def test_nothing_is_missed_where_memory_is_short(self) -> None:
        """With the smallest budget, requests that need far more states are matched."""
        patterns = [b".*k%dy.*" % number for number in range(40)]
        patterns += [b"(?s).*a.{%d}b.*" % number for number in range(1, 9)]
        alone = [compile_pattern(each) for each in patterns]
        budget = 4096
        while True:
            try:
                found = PatternSet(alone, budget)
                break
            except ValueError:
                budget += 4096
        for number in range(400):
            data = b"".join(
                b"k%dy" % (number * place % 57) + b"ab\nx"[: number % 5] for place in range(12)
            )
            expected = [index for index, each in enumerate(alone) if each.fullmatch(data)]
            self.assertEqual(found.matching(data), expected, data)

    def test_a_set_that_fails_is_noticed(self) -> None:
        """RE2 finds nothing when it runs out of memory; then each pattern is tried alone."""

        class FailingSet:
            """A set that finds nothing, as RE2 does after a failure."""

            @classmethod
            def FullMatchSet(cls, options: Any) -> "FailingSet":  # noqa: N802 (RE2's name)
                return cls()

            def Add(self, pattern: bytes) -> None:  # noqa: N802 (RE2's name)
                """Accept any pattern."""

            def Compile(self) -> None:  # noqa: N802 (RE2's name)
                """Do nothing."""

            def Match(self, data: bytes) -> None:  # noqa: N802 (RE2's name)
                """Find nothing."""

        with mock.patch.object(re2, "Set", FailingSet):
            patterns = PatternSet(
                [compile_pattern(each, ignore_case=each == b"A") for each in (b"a", b"A", b"b")],
                MIB,
            )
        self.assertEqual(patterns.matching(b"a"), [0, 1])
        self.assertEqual(patterns.matching(b"A"), [1])
        self.assertEqual(patterns.matching(b"ab"), [])


class RangeTests(SynchronousTestCase):
    """The texts between which all that a pattern matches is."""

    def test_a_range(self) -> None:
        """It is as narrow as RE2 says."""
        self.assertEqual(match_range(compile_pattern(b"(?m)^PASS .*"), 10), (b"PASS ", b"PASS!"))

    def test_any_beginning(self) -> None:
        """There is no range."""
        self.assertIsNone(match_range(compile_pattern(b".*x"), 10))
