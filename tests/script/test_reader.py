"""Reader: TOML values become attrs classes, and every problem is reported."""

from datetime import UTC, date, datetime, time
from math import inf, nan
from typing import Any, Literal

from attrs import Factory, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import MAX_PROBLEMS, Bytes, Problem, Seconds, expect
from reqresp.script.reader import (
    Reader,
    TooManyProblemsError,
    describe,
    show_value,
)

PROPERTY = settings(derandomize=True, max_examples=200)


@frozen(kw_only=True)
class Inner:
    """A table with one key."""

    flag: bool = False


@frozen(kw_only=True)
class Outer:
    """A table with a key of each type."""

    name: str
    count: int = field(default=1, validator=expect("an integer >= 1", lambda it: it >= 1))
    least: int = field(default=0, validator=expect("an integer >= 0", lambda it: it >= 0))
    share: float | None = None
    way: Literal["in", "out"] = "in"
    inner: Inner | None = None
    all: list[Inner] = Factory(list)
    either: str | Inner | list[str] | None = None
    tables: list[dict[str, Any]] = Factory(list)
    not_: bool = False
    hidden: int = field(init=False, default=5)


#: The keys that a message lists if no key is similar.
KEYS = "name, count, least, share, way, inner, all, either, tables, not"
#: TOML values of each type, and how messages show them.
SHOWN: list[tuple[Any, str]] = [
    ("a", "'a'"),
    ("", "''"),
    ("a\n\0", r"'a\n\x00'"),
    ("x" * 59, f"'{'x' * 59}..."),
    ("x" * 58, f"'{'x' * 58}'"),
    (1, "1"),
    (-(2**63), "a number of more than 64 bits"),
    (2**63 - 1, "9223372036854775807"),
    (10**5000, "a number of more than 64 bits"),
    (1.5, "1.5"),
    (inf, "inf"),
    (nan, "nan"),
    (True, "true"),
    (False, "false"),
    (date(1979, 5, 27), "1979-05-27"),
    (time(7, 32), "07:32:00"),
    (datetime(1979, 5, 27, 7, 32, tzinfo=UTC), "1979-05-27T07:32:00+00:00"),
    ([1, 2], "a list"),
    ({"a": 1}, "a table"),
]
VALUES = [value for value, _ in SHOWN]


class ReaderTestCase(SynchronousTestCase):
    """Has a reader that knows two lines."""

    def setUp(self) -> None:
        self.reader = Reader("it.toml", {"way": 7, "all[1].flag": 9}.get)

    def read(self, kind: Any, value: object, path: str = "it") -> Any:
        return self.reader.read(kind, value, path)

    def problems(self) -> list[str]:
        """Return the problems since the last call."""
        found = [str(problem) for problem in self.reader.problems]
        self.reader.problems.clear()
        return found

    def assert_refused(self, kind: Any, *values: object) -> None:
        """Assert that each value is refused as a *kind*, with what is expected and found."""
        for value in values:
            self.assertIsNone(self.read(kind, value))
            message = f"expected {describe(kind)}, found {show_value(value)}"
            self.assertEqual(self.problems(), [f"it.toml: it: {message}"])


class ValuesTests(ReaderTestCase):
    """Values of each type; nothing is converted."""

    def assert_taken(self, kind: Any, *values: object) -> None:
        """Assert that these *values*, and no others of `VALUES`, are a *kind*."""
        for value in values:
            self.assertIs(self.read(kind, value), value)
        self.assertEqual(self.problems(), [])
        taken = [(type(value), repr(value)) for value in values]
        others = [it for it in VALUES if it != 10**5000 and (type(it), repr(it)) not in taken]
        self.assert_refused(kind, *others, 10**5000)

    def test_strings(self) -> None:
        self.assert_taken(str, *(value for value in VALUES if isinstance(value, str)))

    def test_integers(self) -> None:
        """An integer is neither true nor 1.0, and has at most 64 bits."""
        self.assert_taken(int, 1, 0, -7, 2**63 - 1, -(2**63) + 1)
        self.assert_refused(int, 1.0, 2**63, -(2**63))

    def test_numbers(self) -> None:
        """A number may be an integer, but not true, infinite, huge or NaN."""
        self.assert_taken(float, 1, 1.5, -0.0, 0, 10**9, -1e9)
        self.assert_refused(float, 10**9 + 1, -1e10, 1e308, -inf)

    def test_booleans(self) -> None:
        """0 and 1 are not booleans."""
        self.assert_taken(bool, True, False)
        self.assert_refused(bool, 0, 1, "true")

    def test_literals(self) -> None:
        """A literal is exactly one of its values."""
        self.assert_taken(Literal["a", "b"], "a", "b")

    def test_tables_of_anything(self) -> None:
        """A dictionary is taken without reading it."""
        self.assert_taken(dict[str, Any], {"a": 1}, {})

    def test_unions(self) -> None:
        """A union takes each of its kinds."""
        self.assert_taken(
            str | int | None, "", 1, *(it for it in VALUES if isinstance(it, str)), 2**63 - 1
        )
        self.assert_refused(str | None, None)

    def test_lists(self) -> None:
        """Each element has its own path and its own problem."""
        self.assertEqual(self.read(list[int], [1, "a", 2, True]), [1, None, 2, None])
        self.assertEqual(
            self.problems(),
            [
                "it.toml: it[1]: expected a 64-bit integer, found 'a'",
                "it.toml: it[3]: expected a 64-bit integer, found true",
            ],
        )
        self.assert_refused(list[int], "a", 1, {})

    def test_what_is_expected(self) -> None:
        """The message names the expected type in words."""
        for kind, words in (
            (str, "a string"),
            (int, "a 64-bit integer"),
            (float | None, "a number up to 1000000000"),
            (Seconds | None, "seconds, a number up to 1000000000"),
            (Bytes | Inner, "a number of bytes or a table"),
            (bool, "true or false"),
            (Literal["a", "b"], '"a" or "b"'),
            (list[str], "a list"),
            (list[Inner], "a list of tables"),
            (list[dict[str, Any]], "a list of tables"),
            (list[str | Inner], "a list"),
            (Inner, "a table"),
            (dict[str, Any], "a table"),
            (str | Inner | list[str] | None, "a string, a table or a list"),
        ):
            self.assertEqual(describe(kind), words)

    def test_a_unit_is_a_number(self) -> None:
        """A type with a unit has the values of its number, and a message names the unit."""
        self.assertEqual(self.reader.read(Seconds | None, 0.5, "it"), 0.5)
        self.assertEqual(self.reader.read(Bytes, 5, "it"), 5)
        self.reader.read(Seconds, "5s", "idle_timeout")
        self.assertEqual(
            self.problems(),
            ["it.toml: idle_timeout: expected seconds, a number up to 1000000000, found '5s'"],
        )

    def test_a_table_in_place_of_a_list_of_tables(self) -> None:
        """The message says how a list of tables is written."""
        expected = "expected a list of tables, found a table"
        self.reader.read(list[Inner], {}, "rule")
        self.reader.read(list[Inner], {}, "rule[1].do")
        self.reader.read(list[str] | None, {}, "names")
        self.assertEqual(
            self.problems(),
            [
                f"it.toml: rule: {expected}; write [[rule]]",
                f"it.toml: rule[1].do: {expected}; put it in brackets: [{{ ... }}]",
                "it.toml: names: expected a list, found a table",
            ],
        )

    def test_what_was_found(self) -> None:
        """The value found is shown as in TOML, and shortened."""
        for value, words in SHOWN:
            self.assertEqual(show_value(value), words)


class TablesTests(ReaderTestCase):
    """Classes declare the keys, their types, and which are required."""

    def test_a_table_becomes_its_class(self) -> None:
        """A missing key has its default; a trailing underscore is not part of the key."""
        self.assertEqual(self.read(Outer, {"name": "a"}), Outer(name="a"))
        table = {
            "name": "a",
            "count": 2,
            "share": 1,
            "way": "out",
            "inner": {"flag": True},
            "all": [{}, {"flag": True}],
            "either": ["b"],
            "tables": [{"x": 1}],
            "not": True,
        }
        expected = Outer(
            name="a",
            count=2,
            share=1,
            way="out",
            inner=Inner(flag=True),
            all=[Inner(), Inner(flag=True)],
            either=["b"],
            tables=[{"x": 1}],
            not_=True,
        )
        self.assertEqual(self.read(Outer, table), expected)
        self.assertEqual(self.read(Outer, {"name": "a", "either": {}}).either, Inner())
        self.assertEqual(self.problems(), [])

    def test_all_problems_at_once(self) -> None:
        """All problems are reported, and the rest of the table is converted."""
        table = {
            "name": "a",
            "count": "2",
            "sharee": 1,
            "way": "off",
            "inner": {"flog": 1},
            "all": [{"flag": 0}, {"flag": 1}],
            "either": 5,
            "tables": [1],
        }
        found = self.read(Outer, table, "")
        self.assertEqual(
            self.problems(),
            [
                "it.toml: count: expected a 64-bit integer, found '2'",
                "it.toml: sharee: unknown key 'sharee'; did you mean share?",
                'it.toml:7: way: expected "in" or "out", found \'off\'',
                "it.toml: inner.flog: unknown key 'flog'; did you mean flag?",
                "it.toml: all[0].flag: expected true or false, found 0",
                "it.toml:9: all[1].flag: expected true or false, found 1",
                "it.toml: either: expected a string, a table or a list, found 5",
                "it.toml: tables[0]: expected a table, found 1",
            ],
        )
        self.assertEqual(
            found,
            Outer(name="a", inner=Inner(), all=[Inner(), Inner()], tables=[None]),  # type: ignore[list-item]  # None stands for the element with a problem
        )

    def test_unknown_keys(self) -> None:
        """Names that only Python knows are unknown keys."""
        for key in ("not_", "hidden", "self", "_name", "", "NAME", "__init__", "x y"):
            self.assertIsNotNone(self.read(Outer, {"name": "a", key: 1}, ""))
            (problem,) = self.problems()
            self.assertIn(f"unknown key {key!r}; ", problem)

    def test_a_missing_key(self) -> None:
        """A missing key is reported at its table; a key with a wrong value is not missing."""
        self.assertIsNone(self.read(Outer, {}))
        self.assertEqual(self.problems(), ["it.toml: it.name: the key is missing"])
        self.assertIsNone(self.read(Outer, {"name": 1}))
        self.assertEqual(self.problems(), ["it.toml: it.name: expected a string, found 1"])

    def test_what_a_class_refuses(self) -> None:
        """A `FieldError` is reported at its key if the table has it, any other at the table."""
        table = {"name": "a", "count": 0, "least": -1, "share": 0.5}
        self.assertEqual(self.read(Outer, table), Outer(name="a", share=0.5))
        self.assertEqual(
            self.problems(),
            [
                "it.toml: it.count: expected an integer >= 1, found 0",
                "it.toml: it.least: expected an integer >= 0, found -1",
            ],
        )

        @frozen
        class Fussy:
            name: str = field(default="")

            def __attrs_post_init__(self) -> None:
                raise ValueError("nothing is right")

        self.assertIsNone(self.read(Fussy, {"name": "a"}))
        self.assertEqual(self.problems(), ["it.toml: it: nothing is right"])

        @frozen
        class Defaulted:
            size: int = field(default=0, validator=expect("an integer >= 1", lambda it: it >= 1))

        self.assertIsNone(self.read(Defaulted, {}))
        self.assertEqual(self.problems(), ["it.toml: it: size: expected an integer >= 1, found 0"])

    def test_a_key_that_begins_a_message_is_not_taken_for_its_place(self) -> None:
        """Only the field of an error says where it belongs, never its text."""

        @frozen
        class Fussy:
            name: str = field(default="")

            def __attrs_post_init__(self) -> None:
                raise ValueError("name is not what is wrong")

        self.assertIsNone(self.read(Fussy, {"name": "a"}))
        self.assertEqual(self.problems(), ["it.toml: it: name is not what is wrong"])

    def test_keys_that_have_to_be_quoted(self) -> None:
        """Keys are quoted, so that a path is one line and unambiguous."""
        self.read(Inner, {"a.b": 1, "c\nd": 2}, "it")
        self.assertEqual(
            self.problems(),
            [
                "it.toml: it.\"a.b\": unknown key 'a.b'; expected one of: flag",
                "it.toml: it.\"c\\nd\": unknown key 'c\\nd'; expected one of: flag",
            ],
        )

    @PROPERTY
    @given(st.dictionaries(st.sampled_from([*KEYS.split(", "), "x"]), st.sampled_from(VALUES)))
    def test_each_key_is_reported_or_read(self, table: dict[str, Any]) -> None:
        """Each key either has a problem or is in the result."""
        self.reader = Reader("it.toml", lambda _path: None)
        found = self.read(Outer, {"name": "a", **table}, "")
        self.assertEqual(found is None, not self.reader.is_clean("name"))
        for name, value in table.items():
            if found is not None and self.reader.is_clean(name):
                read = getattr(found, {"not": "not_"}.get(name, name))
                self.assertTrue(read == value or isinstance(read, Inner | list), name)


class PlacesTests(ReaderTestCase):
    """The places of problems."""

    def test_a_problem_is_one_line(self) -> None:
        """A problem is one line, without the parts that are not known."""
        for problem, text in (
            (
                Problem("a.toml", 3, "rule[0].reply", "is wrong"),
                "a.toml:3: rule[0].reply: is wrong",
            ),
            (Problem("a.toml", None, "rule", "is wrong"), "a.toml: rule: is wrong"),
            (Problem("a.toml", 3, "", "is wrong"), "a.toml:3: is wrong"),
            (Problem("a.toml", None, "", "is wrong"), "a.toml: is wrong"),
        ):
            self.assertEqual(str(problem), text)

    def test_a_problem_that_is_not_reported(self) -> None:
        """A problem that is made without `report` is not collected."""
        self.assertEqual(self.reader.problem("way", "odd"), Problem("it.toml", 7, "way", "odd"))
        self.assertEqual(self.problems(), [])

    def test_too_many_problems(self) -> None:
        """After so many problems the reader gives up."""
        for number in range(MAX_PROBLEMS):
            self.reader.report(f"rule[{number}]", "is wrong")
        with self.assertRaises(TooManyProblemsError):
            self.reader.report("rule[100]", "is wrong")
        self.assertEqual(len(self.reader.problems), MAX_PROBLEMS)

    def test_whether_a_path_is_clean(self) -> None:
        """A problem makes its path and all paths around it unclean, but not longer names."""
        self.reader.report("rule[1].do[0].send", "is wrong")
        for path in ("rule", "rule[1]", "rule[1].do", "rule[1].do[0]", "rule[1].do[0].send"):
            self.assertFalse(self.reader.is_clean(path), path)
        for path in ("rul", "rule[0]", "rule[1].d", "rule[1].do[0].sen", "rule[1].do[0].send.a"):
            self.assertTrue(self.reader.is_clean(path), path)
