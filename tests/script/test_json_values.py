"""JSON values: compared in part, found by pointers, and named where they differ."""

import json
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp import ReqRespFactory, RequestLog
from reqresp._errors import FieldError
from reqresp.framing import Line
from reqresp.script import Script, ScriptError
from reqresp.script.explain import explain
from reqresp.script.json_values import (
    MAX_JSON_DEPTH,
    NOTHING,
    PartialJson,
    find,
    parse,
    read_pointer,
    write_pointer,
)
from reqresp.script.predicates import Predicates
from reqresp.script.rule_parts import RuleParts
from tests.support.templates import fill
from tests.support.wire import FakeReactor, Wire

PROPERTY = settings(derandomize=True, max_examples=150)
KEYS = st.sampled_from(["", "a", "b", "a/b", "~", "~1", "0", "é"])
PLAIN = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, "", "a", "1"])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def as_data(value: Any) -> bytes:
    """Return *value* as a request."""
    return json.dumps(value).encode()


def every_place(value: Any, at: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return all values in *value*, each with the keys that lead to it."""
    found = [(at, value)]
    places = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, it in places:
        found += every_place(it, (*at, str(key)))
    return found


def is_part(wanted: Any, got: Any) -> bool:
    """Return whether *got* has *wanted* in part: a second implementation."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return all(key in got and is_part(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(
            is_part(*pair) for pair in zip(wanted, got, strict=True)
        )
    return isinstance(wanted, bool) == isinstance(got, bool) and wanted == got


class PointerTests(SynchronousTestCase):
    """Pointers of RFC 6901."""

    @PROPERTY
    @given(VALUES)
    def test_every_value_is_found(self, value: Any) -> None:
        """Each value is found by its pointer, which is written and read again."""
        for pointer, expected in every_place(value):
            self.assertEqual(read_pointer(write_pointer(pointer)), pointer)
            found = find(value, pointer)
            self.assertIs(type(found), type(expected))
            self.assertEqual(found, expected)

    @PROPERTY
    @given(VALUES, st.lists(KEYS, max_size=3).map(tuple))
    def test_nothing_else_is_found(self, value: Any, pointer: tuple[str, ...]) -> None:
        """A pointer that leads to no value finds nothing."""
        known = dict(every_place(value))
        self.assertEqual(find(value, pointer) is NOTHING, pointer not in known)

    def test_the_examples_of_the_rfc(self) -> None:
        """The pointers of section 5, and of section 6 as fragments, find what they should."""
        value = {
            "foo": ["bar", "baz"],
            "": 0,
            "a/b": 1,
            "c%d": 2,
            "e^f": 3,
            "g|h": 4,
            " ": 7,
            "m~n": 8,
        }
        for written, expected in (
            ("", value),
            ("/foo", ["bar", "baz"]),
            ("/foo/0", "bar"),
            ("/", 0),
            ("/a~1b", 1),
            ("/c%d", 2),
            ("/g|h", 4),
            ("/ ", 7),
            ("/m~0n", 8),
            ("#/c%25d", 2),
            ("#/g%7Ch", 4),
            ("/foo/01", NOTHING),
            ("/foo/-", NOTHING),
            ("/foo/2", NOTHING),
            ("/foo/bar", NOTHING),
        ):
            self.assertEqual(find(value, read_pointer(written)), expected, written)

    def test_what_is_no_pointer(self) -> None:
        """The message shows what was written."""
        for written, problem in (
            ("user", "expected a JSON pointer such as /user/name, found 'user'"),
            ("/a~2", "expected ~0 or ~1 in a JSON pointer, found 'a~2'"),
        ):
            with self.assertRaises(ValueError) as caught:
                read_pointer(written)
            self.assertEqual(str(caught.exception), problem)
            with self.assertRaises(ScriptError) as refused:
                Script.parse(f'[[rule]]\nreply = {{ template = "{{json:{written}}}" }}')
            self.assertIn(problem, str(refused.exception))


class PartTests(SynchronousTestCase):
    """Which requests have a value in part."""

    @PROPERTY
    @given(VALUES, VALUES)
    def test_any_values(self, wanted: Any, got: Any) -> None:
        """The second implementation says the same; a difference is where there is none."""
        part = PartialJson(wanted)
        holds = part.holds(as_data(got))
        self.assertEqual(holds, is_part(wanted, got))
        difference = part.difference(as_data(got))
        self.assertEqual(difference is None, holds)
        if difference is not None:
            self.assertFalse(
                is_part(find(wanted, difference.pointer), find(got, difference.pointer))
            )

    @PROPERTY
    @given(VALUES, st.data())
    def test_one_value_that_differs(self, value: Any, data: st.DataObject) -> None:
        """A value has itself in part; if one leaf is another one, its pointer is named."""
        self.assertTrue(PartialJson(value).holds(as_data(value)))
        leaves = [it for it in every_place(value) if not isinstance(it[1], dict | list)]
        if not leaves:
            return
        pointer, _leaf = data.draw(st.sampled_from(leaves))
        changed: Any = {"whole": deepcopy(value)}
        place: Any = changed
        before, last = ("whole", *pointer)[:-1], ("whole", *pointer)[-1]
        for key in before:
            place = place[int(key)] if isinstance(place, list) else place[key]
        place[int(last) if isinstance(place, list) else last] = "other"
        difference = PartialJson(value).difference(as_data(changed["whole"]))
        assert difference is not None
        self.assertEqual(difference.pointer, pointer)
        self.assertEqual(difference.found, "other")

    def test_what_is_not_json(self) -> None:
        """No value is part of a request that is not JSON, or too deep."""
        for data in (
            b"",
            b"{",
            b"{}{}",
            b"\xff",
            b"NaN",
            b"-Infinity",
            b'{"a":1e999}',
            b"[" * 100_000,
            b'{"a":' * 201 + b"1" + b"}" * 201,
        ):
            self.assertFalse(PartialJson({}).holds(data), data[:9])
            self.assertIsNone(PartialJson({}).difference(data))

    def test_a_body_after_a_head(self) -> None:
        """What follows an empty line is compared if the whole request is not JSON."""
        data = b'POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"a": 12}'
        self.assertTrue(PartialJson({"a": 12}).holds(data))
        self.assertIs(parse(b"a\r\n\r\nb"), NOTHING)

    def test_values_that_json_does_not_have(self) -> None:
        """They are refused with their key."""
        for value, problem in (
            ("{ a = 1979-05-27 }", "expected a value of JSON, found 1979-05-27"),
            ("{ a = [inf] }", "expected a value of JSON, found inf"),
            ("[]", "expected at least one element, found an empty list"),
            ("1", "expected a table or a list, found 1"),
        ):
            with self.assertRaises(ScriptError) as caught:
                Script.parse(f'[[rule]]\njson = {value}\nreply = "a"')
            self.assertEqual(str(caught.exception), f"script:2: rule[0].json: {problem}")

    def test_from_python(self) -> None:
        """None is null; a value that is not JSON is refused."""
        parts = RuleParts(Line())
        rule = parts.predicates({"json": {"a": None, "b": (1, {"c": True})}})
        self.assertTrue(rule.hold(b'{"a": null, "b": [1, {"c": true}]}', None))  # type: ignore[arg-type]
        self.assertFalse(rule.hold(b'{"a": 0, "b": [1, {"c": true}]}', None))  # type: ignore[arg-type]
        for value in ({"a": b"x"}, {1: 2}):
            with self.assertRaises(FieldError) as caught:
                parts.predicates({"json": value})
            self.assertEqual(caught.exception.field, "json")

    def test_equal_predicates(self) -> None:
        """Values that say the same are equal, so that a rule that never answers is found."""
        one, two = PartialJson({"a": 1, "b": [2]}), PartialJson({"b": [2], "a": 1})
        self.assertEqual(one, two)
        self.assertEqual(hash(Predicates(json=(one,))), hash(Predicates(json=(two,))))
        self.assertNotEqual(one, PartialJson({"a": 1}))


class UseTests(SynchronousTestCase):
    """JSON in templates and in explanations."""

    def test_in_templates(self) -> None:
        """A string is its text, other values are JSON, and a missing one is empty."""
        data = b'{"id": "x\\"y", "n": 7, "list": [1, {"a": null}], "\\ud800": "\\ud800"}'
        for text, expected in (
            ("{json:/id}", b'x"y'),
            ("{json:/id|json}", b'"x\\"y"'),
            ("{json:/n|be:2}{json:/n}", b"\0\x077"),
            ("{json:/list}", b'[1,{"a":null}]'),
            ("<{json:/none}{json:/none|json}>", b"<null>"),
            ("{json:/list|len}", b"14"),
            ("{0|slice:0:2|json}{json:/list|len|json}", b'"{\\""14'),
        ):
            self.assertEqual(fill(text, data), expected, text)
        self.assertEqual(fill("{json:/id}{json:/id|json}", b"no"), b"null")
        self.assertEqual(fill("{json:/\ud800|hex}", data), b"eda080")

    def test_deep_values(self) -> None:
        """However deep the JSON of a request is, it is compared and inserted, or counts as none."""
        script = Script.parse(
            "[[rule]]\njson = { a = 1 }\nreply = 'one'\n"
            "[[rule]]\nstarts_with = '{'\nreply = { template = '{json}' }\n"
            "[unmatched]\nreply = 'no'"
        )
        clock = FakeReactor()
        wire = Wire(ReqRespFactory(script, clock=clock, observers=[RequestLog(clock)]), clock)
        for depth in (1, 2, 199, 200, 201, *range(850, 1010), 9_000):
            wire.send(b"[" * depth + b"]" * depth + b"\n")
            self.assertEqual(wire.received(), b"no\r\n", depth)
            request = b'{"a":' * depth + b"2" + b"}" * depth
            wire.send(request + b"\n")
            inserted = request if depth <= MAX_JSON_DEPTH else b""
            self.assertEqual(wire.received(), inserted + b"\r\n", depth)

    def test_the_first_place_that_differs(self) -> None:
        """Explain and the log name the pointer, and both values."""
        script = Script.parse('[[rule]]\njson = { user = { name = "ann", age = 7 } }\nreply = "a"')
        text = explain(script, [b'{"user": {"age": 7, "name": "bob"}}', b"x"])
        expected = '/user/name: expected "ann", found "bob"'
        self.assertIn(f"nearest: rule[0] (line 1) json, differs at {expected}", text)
        self.assertEqual(text.count("nearest"), 1)
        other = explain(script, [b'{"user": []}'])
        self.assertIn('/user: expected {"name":"ann","age":7}, found []', other)
        self.assertIn("the whole value: expected {", explain(script, [b"[1]"]))

    def test_after_a_length(self) -> None:
        """Predicates and templates have the request without its length; replies get theirs."""
        script = Script.parse(
            'framing = "int16"\n[[rule]]\njson = { method = "ping" }\n'
            "reply = { template = '{{\"id\":{json:/id|json}}}' }\n"
        )
        clock = FakeReactor()
        wire = Wire(ReqRespFactory(script, clock=clock), clock)
        for number in (7, 300):
            request = as_data({"method": "ping", "id": number})
            wire.send(len(request).to_bytes(2, "big") + request)
            expected = b'{"id":%d}' % number
            self.assertEqual(wire.received(), len(expected).to_bytes(2, "big") + expected)
