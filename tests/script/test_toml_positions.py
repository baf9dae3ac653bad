"""TOML positions: an error has its line, whatever the layout of the TOML."""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date, datetime, time
from random import Random
from textwrap import dedent
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.script.toml_positions import join, line_of, locate

PROPERTY = settings(derandomize=True, max_examples=300)

#: Strings that mislead a reader that only looks at lines, or counts brackets or quotes.
TRAPS = [
    *("", "[rule]", "[[rule]]", "key = 1", "# no", "]", "}", "[{", "a.b", "a]b", "a=b", "it's"),
    *('"', '""', "\\", "\\\\", 'x"', "C:\\", "'", "''", "true", "1.5", "\u2028", "\x85", "\x7f"),
    *("\n[rule]\nkey = 1\n", "one\ntwo\n[[rule]]", "\n# no\n]\n", "{\n", '"\n"', "'\n'"),
]
KEYS = st.sampled_from(["a", "b", "rule", "-", "_", "1", "inf", "a b", "[0]", "ü", *TRAPS])
LEAVES = st.sampled_from(
    [
        *(*TRAPS, 0, -7, 1.5, -1e9, 6.26e-3, float("inf"), True, False, date(1979, 5, 27)),
        *(time(7, 32), datetime.fromisoformat("1979-05-27T07:32:00.000999+01:00")),
    ]
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tables = st.dictionaries(KEYS, inner, max_size=3)
    return st.lists(inner, max_size=3) | tables | st.lists(tables, min_size=1, max_size=3)


DOCUMENTS = st.dictionaries(KEYS, st.recursive(LEAVES, nested, max_leaves=12), max_size=4)
LAYOUTS = st.randoms(use_true_random=False)

#: The keys of a header, each with the path it leads to.
Steps = tuple[tuple[str, str], ...]


def basic(text: str) -> str:
    return json.dumps(text).replace("\x7f", r"\u007f")


def has_headers(value: object) -> bool:
    """Return whether *value* can be written as a table, or tables, under headers."""
    tables = value if isinstance(value, list) else [value]
    return bool(tables) and all(isinstance(table, dict) for table in tables)


class Writer:
    """Writes a document as TOML, laid out at *random*, and notes the line of each path."""

    def __init__(self, random: Random, document: dict[str, Any]) -> None:
        self.random = random
        self.text = ""
        self.lines: dict[str, int] = {}
        self.table(document, (), "")

    def write(self, *choices: str) -> None:
        self.text += self.random.choice(choices)

    def blank(self) -> None:
        self.write("", "", " ", "\t ")

    def between(self, sign: str) -> None:
        self.blank()
        self.write(sign)
        self.blank()

    def gap(self) -> None:
        """Write what may stand between the elements of an array."""
        self.write("", "", "", " ", "\n", "\r\n\t", "# ], [x]\n", ' # key = \'\r\n# """\n  ')

    def end(self) -> None:
        """End the line, and write some blank ones."""
        self.write("", " ", " # [x] 'no' \"", "#\"\"\" key = 1 '''")
        self.write("\n", "\r\n", "\n\n", "\r\n \t\r\n", '\n# [[x]] """\n', "\r\n  # key = {[\n")
        self.blank()

    def note(self, *paths: str) -> None:
        """Note the current line for these paths, unless they have one."""
        for path in paths:
            self.lines.setdefault(path, self.text.count("\n") + 1)

    def keys(self, *keys: str) -> None:
        for number, key in enumerate(keys):
            if number:
                self.between(".")
            forms = [basic(key)]
            if re.fullmatch("[A-Za-z0-9_-]+", key):
                forms += [key] * 3
            if not re.search("['\n\x7f]", key):
                forms.append(f"'{key}'")
            self.write(*forms)

    def value(self, value: Any, path: str) -> None:
        match value:
            case str():
                self.string(value)
            case list():
                self.write("[")
                for index, one in enumerate(value):
                    self.gap()
                    self.note(join(path, index))
                    self.value(one, join(path, index))
                    self.gap()
                    self.write(*[","] if index + 1 < len(value) else ["", ","])
                self.gap()
                self.write("]")
            case dict():
                self.write("{")
                for number, key in enumerate(value):
                    self.between("," if number else "")
                    self.pairs(key, value[key], path, ",")
                self.between("")
                self.write("}")
            case date() | time():
                self.write(value.isoformat(), value.isoformat().replace("T", " "))
            case _:
                self.write(json.dumps(value).replace("Infinity", "inf"))

    def string(self, value: str) -> None:
        inside = value.replace("\\", "\\\\").replace('""', '"\\"').replace("\x7f", r"\u007f")
        forms = [basic(value), f'"""\n{inside}"""', f'"""\\\r\n\n {basic(value)[1:]}""']
        if not re.search("['\n\x7f]", value):
            forms.append(f"'{value}'")
        if not re.search("'''|\x7f", value):
            forms.append(f"'''\r\n{value}'''")
        self.write(*forms)

    def pairs(self, key: str, value: Any, path: str, end: str = "") -> None:
        """Write a key and its value; a table sometimes as dotted keys."""
        path = join(path, key)
        if not (isinstance(value, dict) and value) or self.random.random() < 0.5:
            self.note(path)
            self.keys(key)
            self.between("=")
            self.value(value, path)
            return
        for number, (inner, one) in enumerate(value.items()):
            if number:
                self.between(end) if end else self.end()
            self.note(path, join(path, inner))
            self.keys(key, inner)
            self.between("=")
            self.value(one, join(path, inner))

    def table(self, table: dict[str, Any], steps: Steps, path: str) -> None:
        """Write the keys of *table*, then its tables that have headers."""
        under = {
            key: ((*steps, (key, join(path, key))), value)
            for key, value in table.items()
            if has_headers(value) and self.random.random() < 0.7
        }
        for key in [key for key in table if key not in under]:
            self.pairs(key, table[key], path)
            self.end()
        for inner, value in under.values():
            self.headed(inner, value)

    def headed(self, steps: Steps, value: Any) -> None:
        path = steps[-1][1]
        if isinstance(value, list):
            for index, one in enumerate(value):
                self.header("[[", steps, "]]", join(path, index))
                self.table(one, steps, join(path, index))
            return
        only_tables = value and all(map(has_headers, value.values()))
        if not only_tables or self.random.random() < 0.4:
            self.header("[", steps, "]", path)
            self.table(value, steps, path)
            return
        for key, one in value.items():
            self.headed((*steps, (key, join(path, key))), one)
        if self.random.random() < 0.5:  # a header may come after those of the tables in it
            self.header("[", steps, "]", path)

    def header(self, left: str, steps: Steps, right: str, path: str) -> None:
        self.note(*(path for _key, path in steps))
        self.lines.pop(path, None)
        self.note(path)
        self.write(left)
        self.blank()
        self.keys(*(key for key, _path in steps))
        self.blank()
        self.write(right)
        self.end()


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Return all paths of a document."""
    match value:
        case dict():
            inner = [(join(path, key), one) for key, one in value.items()]
        case list():
            inner = [(join(path, index), one) for index, one in enumerate(value)]
        case _:
            return
    for place, one in inner:
        yield place
        yield from paths(one, place)


class WrittenTests(SynchronousTestCase):
    """Every layout."""

    @PROPERTY
    @given(LAYOUTS, DOCUMENTS)
    def test_every_path_has_its_line(self, random: Random, document: dict[str, Any]) -> None:
        """Each path of the document has the line where it was written."""
        written = Writer(random, document)
        self.assertEqual(tomllib.loads(written.text), document)
        self.assertEqual(locate(written.text), written.lines)

    @PROPERTY
    @given(LAYOUTS, st.lists(DOCUMENTS, min_size=1, max_size=2))
    def test_what_tomllib_accepts_is_located(
        self, random: Random, documents: list[dict[str, Any]]
    ) -> None:
        """A text that was torn and put together raises no error; its paths are those of tomllib."""
        pieces = [
            piece
            for document in documents
            for piece in re.findall(r"\n|[^\n]{1,12}", Writer(random, document).text)
        ]
        extra = ["[[a]]\n", "[a.b]\n", "a.b = 1\n", "''", '"', ",", "[", "]", "{}", "=", "#", "\n"]
        for _ in range(20):
            torn = [*pieces]
            for _ in range(random.randrange(1, 4)):
                start = random.randrange(len(torn) + 1)
                torn[start : start + random.choice([0, 0, 1, 2])] = random.choices(
                    pieces + extra, k=random.choice([0, 1, 1, 2])
                )
            text = "".join(torn)
            try:
                document = tomllib.loads(text)
            except ValueError:
                continue
            lines = locate(text)
            self.assertEqual(set(lines), set(paths(document)))
            self.assertLessEqual({*lines.values()}, {*range(1, text.count("\n") + 2)})


class LocateTests(SynchronousTestCase):
    """The lines of particular texts."""

    def located(self, text: str) -> dict[str, int]:
        text = dedent(text)
        tomllib.loads(text)
        return dict(locate(text))

    def test_a_script(self) -> None:
        """A table after a rule belongs to the last rule; an element's line is that of its start."""
        lines = self.located(
            """\
            framing = "line"  # rule = 1

            limits.idle_timeout = 1
            [[rule]]
            matches = '''
            [[rule]]
            reply = 1'''
            do = [  # [rule]
              { send = "]" },

              { wait = 1.5 }, { close = true },
            ]
            [rule.not]
            [[rule.faults]]
            [[rule]]
            [[ rule . "faults" ]]
            """
        )
        self.assertEqual(
            lines,
            {
                "framing": 1,
                "limits": 3,
                "limits.idle_timeout": 3,
                "rule": 4,
                "rule[0]": 4,
                "rule[0].matches": 5,
                "rule[0].do": 8,
                "rule[0].do[0]": 9,
                "rule[0].do[0].send": 9,
                "rule[0].do[1]": 11,
                "rule[0].do[1].wait": 11,
                "rule[0].do[2]": 11,
                "rule[0].do[2].close": 11,
                "rule[0].not": 13,
                "rule[0].faults": 14,
                "rule[0].faults[0]": 14,
                "rule[1]": 15,
                "rule[1].faults": 16,
                "rule[1].faults[0]": 16,
            },
        )

    def test_a_table_has_the_line_of_its_header(self) -> None:
        """A table has the line of its header, even if a table in it came first."""
        self.assertEqual(self.located("[a.b]\n[a]\n"), {"a": 2, "a.b": 1})

    def test_an_array_that_looks_like_a_header(self) -> None:
        """After a key, and in an array, a bracket begins a value and not a header."""
        lines = self.located("a = [true]\nb = [[1.5]]\nc = [\n[1],\n]\n")
        self.assertEqual(
            lines,
            {"a": 1, "a[0]": 1, "b": 2, "b[0]": 2, "b[0][0]": 2, "c": 3, "c[0]": 4, "c[0][0]": 4},
        )

    def test_quotes_at_the_end_of_a_long_string(self) -> None:
        """Up to two quotes at the end of a long string belong to it."""
        for quote in "'\"":
            for more in range(3):
                text = f"a = {quote * 3}\nb = 1{quote * (3 + more)}\nc = 1"
                self.assertEqual(self.located(text), {"a": 1, "c": 3})

    def test_only_newlines_end_lines(self) -> None:
        """Only LF and CR LF end a line, as in editors."""
        text = "# \u2028 \x85\r\n\r\na = '\u2028'\r\nb = 1"
        self.assertEqual(self.located(text), {"a": 3, "b": 4})

    def test_one_key_has_one_path(self) -> None:
        """A key has one path, however it is quoted."""
        for key in ('"a b"', "'a b'", r'"a\u0020b"', r'"\u0061 b"'):
            self.assertEqual(self.located(f"{key} = 1"), {'"a b"': 1})
        self.assertEqual(self.located("'a' . \"b\".\t'' = 1"), {"a": 1, "a.b": 1, 'a.b.""': 1})

    def test_depth_is_no_error(self) -> None:
        """Deep nesting raises no error."""
        depth = 3000
        lines = locate("a = " + "[" * depth + "\n1" + "]" * depth + "\nb = 1")
        self.assertEqual(lines["a" + "[0]" * depth], 2)
        self.assertEqual((len(lines), lines["b"]), (depth + 2, 3))

    def test_long_values_are_read_once(self) -> None:
        """Long values take linear time."""
        many = 20_000
        for value in (
            '"' + r"a\"" * many + '"',
            '"""' + r'a""\"' * many + '"""',
            "'''" + "a''\n" * many + "'''",
            "0x" + "f" * many,
            "[" + "'a'," * many + "]",
            "[" + " " * many + "# [a]\n" * many + "]",
        ):
            self.assertEqual(locate(f"a = {value}\nb = 1")["b"], value.count("\n") + 2)


class PathTests(SynchronousTestCase):
    """Paths, and the line that a problem is reported at."""

    def test_paths_are_written_as_in_toml(self) -> None:
        """Keys are joined by dots, and quoted if necessary."""
        self.assertEqual(join(join(join("", "rule"), 0), "starts_with"), "rule[0].starts_with")
        for key in TRAPS:
            path = join("a", key)
            self.assertEqual(tomllib.loads(f"{path} = 1"), {"a": {key: 1}})
        self.assertEqual(join("", "größe"), '"größe"')

    def test_a_path_without_a_line(self) -> None:
        """A path without a line has that of the innermost path around it."""
        lines = {"rule": 1, "rule[0]": 2, "rule[0].do[2]": 7, 'rule[0]."a.b]"': 8, "limits": 9}
        for path, line in {
            "rule[0].do[2]": 7,
            "rule[0].do[2].send.hex": 7,
            "rule[0].do[20].send": 2,
            "rule[0].do": 2,
            "rule[01]": 1,
            "rules[0]": None,
            'rule[0]."a.b]".c': 8,
            'rule[0]."a': 2,
            "limits.idle": 9,
            "limit": None,
            "": None,
        }.items():
            self.assertEqual(line_of(lines, path), line, path)
