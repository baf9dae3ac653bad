"""Templates: names and filters in text, and values that a template makes for itself."""

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script, ScriptError
from reqresp.script.schema import PayloadTable
from reqresp.script.templates import Template
from tests.support.calls import CallCase
from tests.support.templates import fill, read
from tests.support.templates import request_context as context


class ExpressionTests(SynchronousTestCase):
    """Names with arguments and filters."""

    def test_filters_are_applied_in_their_order(self) -> None:
        """A value goes through each filter, from left to right."""
        self.assertEqual(fill("<{0|upper|slice:1:3}>", b"hello"), b"<EL>")
        self.assertEqual(fill("{0|slice:1:3|hex|upper}", b"ajk"), b"6A6B")
        self.assertEqual(fill("{connection|dec:3}{request|be:2}", b""), b"007\0\x03")

    def test_filters_between_hex(self) -> None:
        """In template_hex, the bytes that filters give are inserted as they are."""
        found = read(template_hex="{0|len|be:2} ff {0}")
        assert isinstance(found, Template)
        self.assertEqual(found.fill_from(context(b"abc")), b"\0\x03\xffabc")

    def test_what_is_wrong(self) -> None:
        """The message names what is wrong within the braces."""
        for text, problem in (
            ("{0|}", "unknown filter ''; expected one of: len, upper, lower"),
            ("{0|lenn}", "unknown filter 'lenn'; did you mean len?"),
            ("{0:1}", "expected 0 without arguments, found '1'"),
            ("{count|upper}", "upper: expected bytes, found a number; write it by be, le or dec"),
            ("{random}", "expected random:FROM:TO with whole numbers, found ''"),
            ("{random:1}", "expected random:FROM:TO with whole numbers, found '1'"),
            ("{random:6:1}", "expected FROM <= TO of at most 63 bits, found '6:1'"),
            ("{random_bytes}", "expected random_bytes:COUNT, from 1 to 65536, found ''"),
            ("{random_bytes:65537}", "expected random_bytes:COUNT, from 1 to 65536, found"),
            ("{random_bytes:" + "9" * 5000 + "}", "expected random_bytes:COUNT, from 1 to 65536"),
            ("{now:\udcff}", "expected a format of strftime, found"),
        ):
            with self.assertRaises(ValueError) as caught:
                fill(text)
            self.assertIn(problem, str(caught.exception))

    def test_a_value_that_cannot_be_changed(self) -> None:
        """The error says which rule it is."""
        script = Script.parse('[[rule]]\nreply = { template = "{0|unhex}" }')
        client: Any = SimpleNamespace(number=1, taken=1, peer=None, notes=None, config=None)
        with self.assertRaises(ValueError) as caught:
            script.rules.respond(b"x", client)
        self.assertEqual(
            str(caught.exception),
            "rule[0], line 1: unhex: expected pairs of hex digits, found b'x'",
        )

    def test_equal_templates(self) -> None:
        """Templates are equal if they are written alike, whatever they are compiled to."""
        self.assertEqual(read(template="{0|len}"), read(template="{0|len}"))
        self.assertNotEqual(read(template="{0|len}"), read(template="{0|hex}"))
        self.assertNotEqual(
            read(template="{a}", let={"a": "{0}"}), read(template="{a}", let={"a": "{peer}"})
        )
        text = '[[rule]]\nreply = { template = "{0|len}", let = { a = "{0|hex}" } }'
        self.assertTrue(Script.parse(text).is_same(Script.parse(text)))


class LetTests(SynchronousTestCase):
    """Values that a template makes for itself."""

    def test_lengths_and_checksums(self) -> None:
        """A value can be inserted, measured and summed, and named by later ones."""
        let = {"body": "hello {0}", "all": PayloadTable(template="{body|len}:{body}")}
        self.assertEqual(fill("{all} {all|len}", b"you", let=let), b"9:hello you 11")

    def test_bytes(self) -> None:
        """A table is a payload of any encoding."""
        let = {"start": PayloadTable(hex="02"), "end": PayloadTable(text="{x}")}
        self.assertEqual(fill("{start}{0}{end}", b"a", let=let), b"\x02a{x}")

    def test_each_reply_makes_them_once(self) -> None:
        """A random value is the same wherever the template names it."""
        first, second = fill("{id} {id}", let={"id": "{uuid}"}).split()
        self.assertEqual(first, second)

    def test_values_stay_within_their_template(self) -> None:
        """The values of a template in another one do not replace those outside."""
        inner = PayloadTable(template="<{b}>", let={"b": "in {a}"})
        self.assertEqual(fill("{b} {c}", let={"a": "A", "c": inner, "b": "out"}), b"out <in A>")

    def test_they_come_from_scripts_and_say_what_is_wrong(self) -> None:
        """Each problem has the key of the template, and the name of the value."""
        for payload, problem in (
            ('{ text = "a", let = { b = "" } }', "expected no let: it is for a template"),
            ('{ template = "a", let = { 0 = "" } }', "let: expected another name than '0'"),
            ('{ template = "a", let = { "a b" = "" } }', "let: expected another name than 'a b'"),
            ('{ template = "{x}", let = { x = "{y}", y = "" } }', "let.x: unknown name 'y'"),
            ('{ template = "{x}", let = { x = { hex = "4" } } }', "let.x: expected pairs of hex"),
            (
                '{ template = "{x}", let = { x = { text = "", raw = true } } }',
                "let.x: expected no raw",
            ),
            ('{ template = "{x}", let = { x = 1 } }', "let.x: expected a string or a table"),
        ):
            with self.assertRaises(ScriptError) as caught:
                Script.parse(f"[[rule]]\nreply = {payload}")
            self.assertIn(problem, str(caught.exception))
            self.assertIn("rule[0].reply", str(caught.exception))

    def test_the_count_is_used(self) -> None:
        """A rule whose count is named in a value counts something."""
        Script.parse(
            "[[rule]]\nscope = 'connection'\nreply = { template = '{n}', let = { n = '{count}' } }"
        )


class CostTests(CallCase):
    """What answering with a template costs."""

    def cost(self, template: str) -> int:
        """Return the calls for a request that a rule answers with *template*."""
        script = Script.parse(f'[[rule]]\nreply = {{ template = "{template}" }}')
        return len(self.calls(self.factory(script, observers=[]), b"x\n"))

    def test_filters_at_most_double_the_cost(self) -> None:
        """Nothing is parsed again: a filter takes one call more, or two if it is not of C."""
        plain = self.cost("a {0} b {0}")
        self.assertEqual(self.cost("a {0|upper} b {0|hex}"), plain + 2)
        self.assertLessEqual(
            self.cost("{0|upper|slice:0:2|hex} {0|crc16:modbus|le:2|hex}"), 2 * plain
        )
