"""Tables as TOML text."""

import tomllib
from typing import Any
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from reqresp.script.toml_positions import locate
from reqresp.script.toml_writing import write_toml

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_PLAIN = st.one_of(
    _TEXTS,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
_VALUES = st.recursive(
    _PLAIN,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(_TEXTS, values, max_size=3),
    max_leaves=10,
)


class WritingTests(TestCase):
    """What is written."""

    def test_a_script(self) -> None:
        """Plain keys come first, then tables and arrays of tables with headers of their own."""
        tables: dict[str, Any] = {
            "rule": [
                {"equals": "a", "reply": ["b", {"hex": "ff"}]},
                {"matches": r"\d+", "do": [{"send": "x\n"}, {"wait": 0.5}], "silent": False},
            ],
            "limits": {"max_request": 10},
            "framing": "line",
        }
        self.assertEqual(
            write_toml(tables),
            """framing = "line"

[[rule]]
equals = "a"
reply = ["b", { hex = "ff" }]

[[rule]]
matches = '\\d+'
do = [{ send = "x\\n" }, { wait = 0.5 }]
silent = false

[limits]
max_request = 10
""",
        )

    def test_special_characters(self) -> None:
        """Control characters, and those that change the direction of text, are escapes."""
        text = write_toml({"a\u202eb": "\x7f\x00\u202e\U000e0001"})
        self.assertEqual(text, '"a\\u202eb" = "\\u007f\\u0000\\u202e\\U000e0001"\n')

    @given(st.dictionaries(_TEXTS, _VALUES, max_size=5))
    def test_any_tables(self, tables: dict[str, Any]) -> None:
        """TOML's own reader reads the same tables, and each key is found on its line."""
        text = write_toml(tables)
        self.assertEqual(tomllib.loads(text), tables)
        locate(text)
