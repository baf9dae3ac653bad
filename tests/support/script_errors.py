"""ErrorsTestCase: scripts that do not load, and their problems."""

from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script, ScriptError

ANSWERS = "reply, cycle, do, call, close, silent = true or forward = true"
STEPS = "send, wait, close, half_close, abort, hang, stop_reading, start_tls, forward"
NO_PATTERN = "invalid RE2 pattern '(': missing ): ("


def problems_of(text: str) -> list[str]:
    """Return the problems of a script that does not load, one line each."""
    try:
        script = Script.parse(dedent(text), "it.toml")
    except ScriptError as error:
        return str(error).split("\n")
    raise AssertionError(f"it loads: {script}")


class ErrorsTestCase(SynchronousTestCase):
    """Asserts which problems a script has."""

    def assert_problem(self, text: str, *expected: str) -> None:
        """Assert that *text* has exactly the *expected* problems, each with its line if known."""
        found = [it.removeprefix("it.toml:").removeprefix(" ") for it in problems_of(text)]
        self.assertEqual(found, [*expected])

    def assert_in_rule(self, keys: str, *expected: str, before: str = "") -> None:
        """Assert the problems of a script whose only rule has these *keys* and is on line 2."""
        self.assert_problem(
            f"{before}\nrule = [{{ {keys} }}]", *(f"2: rule[0]{message}" for message in expected)
        )
