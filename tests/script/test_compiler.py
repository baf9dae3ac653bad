"""Errors of a script: all problems at once, each with its line, its key and what is expected."""

import os
import subprocess
import sys
from pathlib import Path

from reqresp._text import printable
from reqresp.script import Problem, Script, ScriptError
from tests.support.live import temporary
from tests.support.script_errors import ANSWERS, NO_PATTERN, STEPS, ErrorsTestCase, problems_of

ROOT = Path(__file__).parent.parent.parent
KINDS = (
    "latency, bandwidth, slicer, limit_data, reset_peer, timeout, blackhole, slow_close, corrupt,"
    " stop_reading"
)
NEWLINE = (
    "a line cannot contain a newline (the framing adds the line ending); for several lines use a"
    ' list, such as ["one", "two"]'
)


class ManyTests(ErrorsTestCase):
    """A script with many problems."""

    def test_twenty_mistakes_at_once(self) -> None:
        """All problems are reported at once, in the order of their lines."""
        self.assert_problem(
            r"""
            framing = "lines"
            ignore_case = "yes"
            sede = 42
            [limits]
            max_request = 0
            idle_timout = 60

            [greeting]
            reply = { hexx = "00" }

            [[rule]]
            matches = ["(", '\S+', ")"]
            replay = "a"
            [[rule]]
            equals = 5
            reply = "a"
            silent = true
            [[rule]]
            not = { sise = 1 }
            times = 0
            reply = [{ hex = "0" }, "b", { template = "{connectoin}" }]
            [[rule]]
            equals = "a"
            do = [{ send = "a", wait = 1 }, { wait = -1 }, { close = false }]
            goto = "nowhere"
            faults = [{ kind = "slicer", size = 0 }]

            [unmatched]
            delay = inf
            close = true

            [[fault]]
            kind = "latncy"
            [[fault]]
            delay = 1
            """,
            "2: framing: unknown framing 'lines'; did you mean line?",
            "3: ignore_case: expected true or false, found 'yes'",
            "4: sede: unknown key 'sede'; did you mean seed?",
            "6: limits.max_request: expected a finite number > 0, found 0",
            "7: limits.idle_timout: unknown key 'idle_timout'; did you mean idle_timeout?",
            "10: greeting.reply.hexx: unknown key 'hexx'; did you mean hex?",
            f"13: rule[0].matches[0]: {NO_PATTERN}",
            "13: rule[0].matches[2]: invalid RE2 pattern ')': unexpected ): )",
            "14: rule[0].replay: unknown key 'replay'; did you mean reply?",
            "15: rule[1]: reply and silent exclude each other",
            "16: rule[1].equals: expected a string, a table or a list, found 5",
            "20: rule[2].not.sise: unknown key 'sise'; did you mean size?",
            "21: rule[2].times: expected an integer >= 1, found 0",
            "22: rule[2].reply[0]: expected pairs of hex digits, found '0'",
            "22: rule[2].reply[2]: unknown name 'connectoin'; did you mean connection?",
            f"25: rule[3].do[0]: expected exactly one of {STEPS}",
            "25: rule[3].do[1].wait: expected seconds >= 0, found -1",
            "25: rule[3].do[2].close: expected true, found false",
            "26: rule[3].goto: unknown state 'nowhere'; expected one of: start",
            "27: rule[3].faults[0].size: expected an integer >= 1, found 0",
            "30: unmatched.delay: expected seconds, a number up to 1000000000, found inf",
            "34: fault[0].kind: unknown kind 'latncy'; did you mean latency?",
            f"35: fault[1].kind: the key is missing; expected one of: {KINDS}",
        )

    def test_the_same_in_every_process(self) -> None:
        """The order of problems does not depend on the hash seed."""
        script = """
            [[rule]]
            matches = '(?P<f>)(?P<e>)(?P<d>)(?P<peer>)(?P<count>)(?P<request>)'
            reply = { template = "{zzz}" }
            when = ["i", "h", "g"]
            goto = "zzz"
        """
        program = (
            "import sys; from tests.support.script_errors import *; print(problems_of(sys.argv[1]))"
        )
        said = {
            subprocess.run(
                [sys.executable, "-c", program, script],
                env={**os.environ, "PYTHONHASHSEED": seed},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2", "3")
        }
        self.assertEqual(said, {f"{problems_of(script)}\n"})
        self.assertEqual(len(problems_of(script)), 8)

    def test_as_an_exception(self) -> None:
        """A ScriptError is a ValueError and keeps its problems one by one."""
        with self.assertRaises(ValueError) as caught:
            Script.parse("sede = 1\nrule = 2", "it.toml")
        assert isinstance(caught.exception, ScriptError)
        self.assertEqual(
            caught.exception.problems,
            (
                Problem("it.toml", 1, "sede", "unknown key 'sede'; did you mean seed?"),
                Problem("it.toml", 2, "rule", "expected a list of tables, found 2"),
            ),
        )
        self.assertEqual(str(caught.exception), "\n".join(map(str, caught.exception.problems)))

    def test_a_consequence_of_a_problem_is_not_reported(self) -> None:
        """A problem that follows from another one is not reported."""
        self.assert_in_rule(
            'matches = "(", reply = { template = "{x}{1}" }', f".matches: {NO_PATTERN}"
        )
        self.assert_in_rule(
            "reply = 1, close = true", ".reply: expected a string, a table or a list, found 1"
        )
        self.assert_in_rule(
            "do = [{ wait = 'a' }]",
            ".do[0].wait: expected seconds, a number up to 1000000000, found 'a'",
        )
        self.assert_in_rule("silent = 1", ".silent: expected true or false, found 1")
        self.assert_problem(
            'framing = "lines"\ngreeting = "a\\nb"',
            "1: framing: unknown framing 'lines'; did you mean line?",
        )


class FileTests(ErrorsTestCase):
    """A file that is not a script."""

    def refused(self, path: Path) -> str:
        """Return the message for the script at *path*, without the path."""
        with self.assertRaises(ScriptError) as caught:
            Script.load(path)
        (problem,) = caught.exception.problems
        self.assertEqual((problem.file, problem.path), (str(path), ""))
        return str(caught.exception).removeprefix(printable(str(path)))

    def written(self, data: bytes) -> str:
        """Return the message for a script that contains *data*."""
        path = temporary(self) / "it.toml"
        path.write_bytes(data)
        return self.refused(path)

    def test_that_cannot_be_read(self) -> None:
        """A missing file, a directory, a pipe and an unusable name have one line each."""
        base = temporary(self)
        (base / "file").touch()
        os.mkfifo(base / "pipe")
        for name, reason in (
            ("missing.toml", "cannot be read: No such file or directory"),
            ("", "is not a regular file"),
            ("pipe", "is not a regular file"),
            ("file/it.toml", "cannot be read: Not a directory"),
            ("x" * 300, "cannot be read: File name too long"),
            ("a\0b", "is not a possible file name"),
        ):
            self.assertEqual(self.refused(base / name), f": {reason}")

    def test_that_is_no_utf8(self) -> None:
        """The message has the line and the first byte that is not UTF-8."""
        for data, line, byte in (
            (b'seed = 1\r\nstart = "\xff"\n', 2, r"b'\xff'"),
            ('start = "ü"'.encode("utf-16"), 1, r"b'\xff'"),
            (b'start = "\xed\xa0\x80"', 1, r"b'\xed'"),
        ):
            found = f":{line}: expected UTF-8, found the byte {byte}"
            self.assertEqual(self.written(data), found)

    def test_names_of_the_file_in_every_problem(self) -> None:
        """Each problem names the file as the caller did."""
        path = temporary(self) / "it.toml"
        path.write_text("\nsede = 1\nrules = []\n")
        with self.assertRaises(ScriptError) as caught:
            Script.load(str(path))
        self.assertEqual(
            str(caught.exception).split("\n"),
            [
                f"{path}:2: sede: unknown key 'sede'; did you mean seed?",
                f"{path}:3: rules: unknown key 'rules'; did you mean rule?",
            ],
        )


class TomlTests(ErrorsTestCase):
    """Text that TOML does not allow."""

    def test_with_line_and_column(self) -> None:
        """The message has the line and the column where the parser stopped."""
        for text, message in (
            (
                "seed = 1\nstart 'a'\n",
                "2: invalid TOML: Expected '=' after a key in a key/value pair, at column 7",
            ),
            (
                'start = "a\n"\n',
                r"1: invalid TOML: Illegal character '\n', at column 11;"
                ' the string has no closing quote (for several lines, use """)',
            ),
            ("seed = 1\nseed = 2\n", "2: invalid TOML: Cannot overwrite a value, at column 9"),
            (
                "[limits]\n[limits]\n",
                "2: invalid TOML: Cannot declare ('limits',) twice, at column 8",
            ),
            (
                'start = "\0"',
                r"1: invalid TOML: Illegal character '\x00', at column 10;"
                ' write bytes as { hex = "00" }',
            ),
            (
                'x = "\\ud800"',
                "1: invalid TOML: Escaped character is not a Unicode scalar value, at column 12",
            ),
        ):
            self.assert_problem(text, message)

    def test_at_the_end(self) -> None:
        """An error at the end is reported at the last line that is not blank."""
        for text in ("seed = 1\nrule = [", "seed = 1\nrule = [\n\n", "seed = 1\r\nrule = [ \r\n"):
            self.assertRegex(
                "\n".join(problems_of(text)), r"\Ait.toml:2: invalid TOML: .*, at the end\Z"
            )

    def test_nested_too_deeply(self) -> None:
        """Arrays and tables that are nested too deeply are refused with one line."""
        for opening in ("[", "{a=", "[{a="):
            self.assert_problem("rule = " + opening * 5000, "nested too deeply")

    def test_numbers_of_too_many_digits(self) -> None:
        """An integer that Python refuses to convert is one problem."""
        self.assert_problem("seed = " + "9" * 5000, "a number has too many digits")


class NumbersTests(ErrorsTestCase):
    """Numbers out of range."""

    def test_whole_numbers(self) -> None:
        """Huge integers, fractions and booleans are not integers."""
        for written, shown in (
            ("9223372036854775808", "a number of more than 64 bits"),
            ("0x" + "f" * 9999, "a number of more than 64 bits"),
            ("1.0", "1.0"),
            ("inf", "inf"),
            ("true", "true"),
            ("'1'", "'1'"),
            ("1979-05-27", "1979-05-27"),
        ):
            message = f"expected a 64-bit integer, found {shown}"
            self.assert_problem(f"seed = {written}", f"1: seed: {message}")
            self.assert_in_rule(f"silent = true, times = {written}", f".times: {message}")

    def test_seconds(self) -> None:
        """Infinite, NaN and huge numbers and booleans are not seconds."""
        for written, shown in (
            ("inf", "inf"),
            ("-inf", "-inf"),
            ("nan", "nan"),
            ("1e10", "10000000000.0"),
            ("1_000_000_001", "1000000001"),
            ("0x" + "f" * 9999, "a number of more than 64 bits"),
            ("true", "true"),
            ("07:32:00", "07:32:00"),
        ):
            message = f"expected seconds, a number up to 1000000000, found {shown}"
            self.assert_in_rule(f"close = true, delay = {written}", f".delay: {message}")
            self.assert_in_rule(f"do = [{{ wait = {written} }}]", f".do[0].wait: {message}")
            self.assert_problem(
                f'fault = [{{ kind = "latency", delay = {written} }}]',
                f"1: fault[0].delay: {message}",
            )
            self.assert_problem(
                f"limits = {{ idle_timeout = {written} }}", f"1: limits.idle_timeout: {message}"
            )

    def test_out_of_range(self) -> None:
        """The message has the expected range."""
        self.assert_in_rule(
            "close = true, delay = -0.5", ".delay: expected seconds >= 0, found -0.5"
        )
        self.assert_in_rule(
            "close = true, times = -1", ".times: expected an integer >= 1, found -1"
        )
        for size, sizes in (
            ("-1", "expected a size >= 0, found -1"),
            ("{ min = -1 }", "expected a size >= 0, found -1"),
            ("{ min = 3, max = 2 }", "expected max >= min, found min 3 and max 2"),
            ("{ max = -1 }", "expected max >= min, found min 0 and max -1"),
        ):
            self.assert_in_rule(f"close = true, size = {size}", f".size: {sizes}")
            self.assert_in_rule(f"close = true, not = {{ size = {size} }}", f".not.size: {sizes}")
        self.assert_problem(
            "[limits]\nmax_per_peer = 0\nmax_waiting = -1\nidle_timeout = 0",
            "2: limits.max_per_peer: expected a finite number > 0, found 0",
            "3: limits.max_waiting: expected a finite number > 0, found -1",
            "4: limits.idle_timeout: expected finite seconds >= 0.001, found 0",
        )

    def test_faults(self) -> None:
        """Each parameter of a fault has its type and its range."""
        for keys, message in (
            ('kind = "latency"', ".delay: the key is missing"),
            (
                'kind = "latency", delay = -1',
                ".delay: expected seconds from 0 to 1000000000, found -1",
            ),
            (
                'kind = "stop_reading", probability = 1.5',
                ".probability: expected a number from 0 to 1, found 1.5",
            ),
            (
                'kind = "bandwidth", rate = 1.5',
                ".rate: expected a 64-bit integer, found 1.5",
            ),
            (
                'kind = "slicer", size = 2, variation = 3',
                ".variation: expected at most size (2), found 3",
            ),
            ('kind = "corrupt", byte = 2', ".byte: unknown key 'byte'; did you mean bytes?"),
            (
                'kind = "timeout", seconds = 1, on = "x"',
                '.on: expected "reply" or "connect", found \'x\'',
            ),
            ("kind = 1", ".kind: expected a string, found 1"),
            ('kind = ""', f".kind: unknown kind ''; expected one of: {KINDS}"),
        ):
            self.assert_problem(f"fault = [{{ {keys} }}]", f"1: fault[0]{message}")
        on = 'silent = true, faults = [{ kind = "corrupt", on = "connect" }]'
        self.assert_in_rule(
            on, ".faults[0].on: unknown key 'on'; expected one of: probability, bytes"
        )
        self.assert_problem(
            "[fault]\nkind = 'corrupt'",
            "1: fault: expected a list of tables, found a table; write [[fault]]",
        )


class FramingTests(ErrorsTestCase):
    """Framings, and what they can express."""

    def test_what_is_no_framing(self) -> None:
        """A framing that is not usable is reported, for requests and for replies."""
        either = "expected either length, or head and body, or call"
        for framing, message in (
            ('"int9"', ": unknown framing 'int9'; did you mean int8?"),
            ("{}", f": {either}"),
            ('{ body = "(a)" }', f": {either}"),
            ('{ length = { size = 1 }, body_end = "a" }', f": {either}"),
            ('{ length = { size = 1 }, head = "line", body = "(a)" }', f": {either}"),
            ("{ length = {} }", ".length.size: expected 1, 2, 3, 4 or 8, found none"),
            (
                "{ length = { size = 5 } }",
                ".length.size: expected 1, 2, 3, 4 or 8, found 5",
            ),
            (
                "{ length = { size = 2, offset = -1 } }",
                ".length.offset: expected an integer >= 0, found -1",
            ),
            (
                "{ length = { size = 2, strip = 3 } }",
                ".length.strip: expected 0 to 2 bytes, found 3",
            ),
            (
                '{ length = { size = 2, encoding = "middle" } }',
                '.length.encoding: expected "big" or "little" or "ascii" or "bcd" or "varint" or'
                " \"ber\", found 'middle'",
            ),
            (
                '{ length = { size = 2, trailer = { template = "{0}" } } }',
                ".length.trailer: expected no template: this key takes only fixed bytes",
            ),
            (
                '{ head = "line" }',
                ": the key body is missing: a pattern that finds the body's size in the head",
            ),
            ('{ head = "line", body = "(" }', f".body: {NO_PATTERN}"),
            (
                '{ head = "line", body = "a" }',
                ".body: expected a pattern with a group for the size of the body, found b'a'",
            ),
            ("{ always_body = true }", f": {either}"),
            (
                '{ head = "line", body = "(a)", always_body = true }',
                ".body_end: expected what ends a body without a size, found nothing",
            ),
            ('{ head = "line", body = "(a)", chunked = "(" }', f".chunked: {NO_PATTERN}"),
            (
                '{ head = "line", body = "(a)", skip = { template = "{0}" } }',
                ".skip: expected no template: this key takes only fixed bytes",
            ),
            (
                '{ head = "chunk", body = "(a)" }',
                ".head: expected a line or a delimiter, found 'chunk'",
            ),
            (
                '{ head = "x", body = "(a)" }',
                ".head: unknown framing 'x'; expected one of: chunk, line, anyline, delimiter,"
                " between, netstring, int8, int16, int32, length, fixed, pause, eof, scpi, resp",
            ),
            (
                '{ head = "line", body = { template = "{0}" } }',
                ".body: expected no template: this key takes only fixed bytes",
            ),
            ("1", ": expected a string or a table, found 1"),
        ):
            for key in ("framing", "reply_framing"):
                self.assert_problem(f"{key} = {framing}", f"1: {key}{message}")

    def test_replies_that_cannot_be_framed(self) -> None:
        """A payload that the framing cannot express is a problem, unless it is sent raw."""
        self.assert_in_rule(r'reply = "a\nb"', f".reply: {NEWLINE}")
        self.assert_in_rule(r'reply = ["a", "b\r\n"]', f".reply[1]: {NEWLINE}")
        self.assert_in_rule(r'reply = { template = "{0}\n" }', f".reply: {NEWLINE}")
        self.assert_in_rule(r'cycle = ["a", ["b", "c\n"]]', f".cycle[1][1]: {NEWLINE}")
        self.assert_in_rule(r'do = [{ send = "\n" }]', f".do[0].send: {NEWLINE}")
        self.assert_problem(r'unmatched = "a\nb"', f"1: unmatched: {NEWLINE}")
        for framing, reply, message in (
            (
                "int8",
                "a" * 256,
                "expected a payload of at most 255 bytes, the most that its length can say,"
                " found 256",
            ),
            ("fixed:2", "a\\nb", "expected a payload of 2 bytes, found 3"),
            ("delimiter:;", "a;b", "expected a payload without the delimiter b';', found b'a;b'"),
            (
                "line:\\\\n",
                "a\\r",
                r"expected a line that does not end with CR (a client drops it), found b'a\r'",
            ),
            ("resp", "OK", "expected a RESP value such as b'+OK' in a reply, found b'OK'"),
        ):
            for key in ("framing", "reply_framing"):
                self.assert_in_rule(
                    f'reply = "{reply}"', f".reply: {message}", before=f'{key} = "{framing}"'
                )
            Script.parse(f'framing = "{framing}"\ngreeting = [{{ text = "{reply}", raw = true }}]')

    def test_parts_of_templates_that_a_framing_may_take(self) -> None:
        """A template is a problem only if it cannot be framed with any values."""
        for framing, text in (
            ("line:\\\\n", "a\\r{0}"),
            ("delimiter:;;", "a;{0}"),
            ("fixed:9", "{0}a"),
        ):
            Script.parse(f'framing = "{framing}"\nrule = [{{ reply = {{ template = "{text}" }} }}]')

    def test_requests_that_no_limit_allows(self) -> None:
        """A framing whose smallest request exceeds max_request is reported at that key."""
        self.assert_problem(
            'framing = "fixed:65537"',
            "limits.max_request: expected a limit of at least 65537 bytes for a request,"
            " found 65536",
        )
        self.assert_problem(
            'framing = "fixed:9"\n[limits]\nmax_request = 8',
            "3: limits.max_request: expected a limit of at least 9 bytes for a request, found 8",
        )


class LinesTests(ErrorsTestCase):
    """The lines of problems."""

    def test_the_nearest_line_that_is_known(self) -> None:
        """A missing key is reported at the line of the table around it."""
        self.assert_problem(
            """
            [[rule]]   # a comment

            [[rule]]
            reply = [
                "a",
                { hex = "0" },   # here
            ]
            """,
            f"2: rule[0]: expected one of {ANSWERS}",
            "7: rule[1].reply[1]: expected pairs of hex digits, found '0'",
        )

    def test_keys_of_any_spelling(self) -> None:
        """A key with special characters is quoted, so that a problem stays one line."""
        self.assert_problem(
            '"a\\nb" = 1\n"" = 2\nlimits."é" = 3',
            r"""1: "a\nb": unknown key 'a\nb'; expected one of: framing, reply_framing,"""
            " ignore_case, start, state_scope, seed, ordered, greeting, limits, accept,"
            " upstream, rule, unmatched, state, fault",
            "2: \"\": unknown key ''; expected one of: framing, reply_framing, ignore_case, start,"
            " state_scope, seed, ordered, greeting, limits, accept, upstream, rule, unmatched,"
            " state, fault",
            "3: limits.\"é\": unknown key 'é'; expected one of: max_request, max_connections,"
            " max_per_peer, max_waiting, idle_timeout, "
            "request_timeout",
        )
