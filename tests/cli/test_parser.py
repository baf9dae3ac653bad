"""The arguments of the command ``reqresp``, and its help."""

from reqresp import __version__
from tests.support.command import CommandTestCase


class ArgumentTests(CommandTestCase):
    """Arguments of all sub-commands."""

    def test_version(self) -> None:
        """``--version`` prints the version of the package."""
        self.assertEqual(self.good("--version"), [f"reqresp {__version__}"])

    def test_help(self) -> None:
        """Each sub-command has its own help, with paragraphs, and with escapes as typed."""
        self.assertIn("    ask ", "\n".join(self.good("--help")))
        for name in ("ask", "check", "explain", "import", "mark", "script", "show"):
            self.assertIn(f"usage: reqresp {name} ", self.good(name, "--help")[0])
        self.assertIn(r"\r, \n, \t, \0, \\ and \xNN", "\n".join(self.good("ask", "--help")))
        self.assertIn("\n\nA REQUEST is text", "\n".join(self.good("explain", "--help")))
        self.assertIn("delimiter:TEXT", " ".join(self.good("ask", "--help")))

    def test_help_is_grouped_by_purpose(self) -> None:
        """The help of each sub-command has titles for the purposes of its options."""
        titles = {
            "ask": ["arguments:", "framing:", "requests and replies:", "help:"],
            "check": ["arguments:", "help:"],
            "explain": ["arguments:", "requests:", "help:"],
            "import": ["arguments:", "connections:", "help:"],
            "mark": ["arguments:", "marks:", "help:"],
            "script": ["arguments:", "framing:", "help:"],
            "show": ["arguments:", "what is shown:", "help:"],
        }
        self.assertEqual(
            [line for line in self.good("--help") if line.endswith(":")],
            ["commands:", "version:", "help:"],
        )
        for name, expected in titles.items():
            lines = self.good(name, "--help")
            self.assertEqual([line for line in lines if line.endswith(":")], expected)

    def test_wrong_arguments(self) -> None:
        """The message has the argument, what was expected and what was found."""
        for arguments, message in (
            ((), "the following arguments are required: COMMAND"),
            (("what",), "argument COMMAND: invalid choice: 'what'"),
            (("ask", "a:1"), "the following arguments are required: REQUEST"),
            (("ask", "a", "b"), "argument ADDRESS: expected HOST:PORT, [IPV6]:PORT, or the path"),
            (
                ("ask", "a:1", "b", "--framing", "x"),
                "argument --framing: unknown framing 'x'; expected one of: chunk",
            ),
            (
                ("ask", "a:1", "b", "--framing", "line", "--script", "s"),
                "argument --script: not allowed with argument --framing",
            ),
            (
                ("ask", "a:1", "b", "--replies", "-1"),
                "argument --replies: expected an integer >= 0, found '-1'",
            ),
            (("ask", "a:1", "b", "--gree"), "unknown option '--gree'; did you mean --greeting?"),
            (("ask", "--framig=line", "a:1", "b"), "'--framig'; did you mean --framing?"),
            (("ask", "--framig", "line", "a:1", "b"), "'--framig'; did you mean --framing?"),
            (("--verson",), "unknown option '--verson'; did you mean --version?"),
            (
                ("ask", "a:1", "b", r"c\d"),
                r"REQUEST 2: unknown escape \d; expected one of: \r, \n, \t, \0, \\, \xNN",
            ),
            (
                ("ask", "a:1", "--hex", "ab", "abc"),
                "REQUEST 2: expected pairs of hex digits, found 'abc'",
            ),
            (
                ("ask", "a:1", r"a\nb", "--framing", "line"),
                r"REQUEST 1: expected a payload without the delimiter b'\n', found b'a\nb'",
            ),
            (
                ("ask", "--framing", "resp", "a:1", "abc", "'"),
                "REQUEST 2: expected balanced quotes in a line",
            ),
            (("explain", "it.toml"), "the following arguments are required: REQUEST"),
            (
                ("new", "it", "--kind=smpt"),
                "argument --kind: unknown kind 'smpt'; did you mean smtp?",
            ),
            (("new",), "the following arguments are required: NAME"),
            (("check",), "the following arguments are required: FILE"),
        ):
            self.assertIn(message, self.refused(*arguments))

    def test_wrong_seconds(self) -> None:
        """A timeout is a number above 0, and at most one day."""
        for text in ("0", "-1", "nan", "inf", "1e9", "", "x", "5s"):
            self.assertEqual(
                self.refused("ask", "a:1", "b", f"--timeout={text}"),
                f"argument --timeout: expected seconds > 0 and <= 86400, found {text!r}",
            )

    def test_a_framing_without_possible_replies_is_refused(self) -> None:
        """A framing without replies in the limit is refused, and nothing is sent."""
        script = self.script('framing = "line"\nreply_framing = "fixed:67108865"')
        self.assertEqual(
            self.refused("ask", "a:1", "b", "--script", script),
            "expected a limit of at least 67108865 bytes for a request, found 67108864",
        )
