"""
Scripts: scripts with many rules of one kind, and requests for them.

Knows TOML, and the keys of bench.clients.  It must not know how scripts are run or measured.
"""

from collections.abc import Mapping

from attrs import frozen

from bench.clients import key, value

#: The number of different lengths of prefixes, for the kind with several lengths.
LENGTHS = 50


@frozen
class Kind:
    """
    Rules with the same predicate and form.

    In *form* and *request*, ``KEY`` stands for the rule's key, ``PAD`` for 0 to 49 bytes, and
    ``TEXT`` for any other bytes.

    :param form: the value of the *predicate*.
    :param request: a request that matches.
    """

    predicate: str
    form: str
    request: str

    @property
    def title(self) -> str:
        return f"{self.predicate} = '{self.form}'"

    def script(self, rules: int) -> str:
        """Return a script with *rules* rules, each with its own reply."""
        return "\n".join(
            f"[[rule]]\n{self.predicate} = '{_fill(self.form, number)}'\n"
            f"reply = '{value(number).decode()}'\n"
            for number in range(rules)
        )

    def ask(self, number: int, text: str) -> bytes:
        """Return a request that only the rule with that number matches."""
        return _fill(self.request, number).replace("TEXT", text).encode()


def _fill(form: str, number: int) -> str:
    return form.replace("KEY", key(number).decode()).replace("PAD", "-" * (number % LENGTHS))


KINDS: Mapping[str, Kind] = {
    # Kinds with an index.
    "equals": Kind("equals", "KEY", "KEY"),
    "starts_with": Kind("starts_with", "KEY", "KEY TEXT"),
    "matches": Kind("matches", "KEY( .*)?", "KEY TEXT"),
    # Kinds that cost more.
    "lengths": Kind("starts_with", "KEYPAD", "KEYPAD TEXT"),
    "ends_with": Kind("ends_with", "KEY", "TEXT KEY"),
    "contains": Kind("contains", "KEY", "TEXT KEY TEXT"),
    "tail": Kind("matches", ".*KEY", "TEXT KEY"),
    "middle": Kind("matches", ".*KEY.*", "TEXT KEY TEXT"),
}
#: Templates that reply to every key, without filters and with them.
TEMPLATES: Mapping[str, str] = {"template": "+value{1}", "filters": "+value{1|upper|slice:0:6}"}
#: The kinds of which ten thousand rules should cost the same as ten.
INDEXED = ("equals", "starts_with", "matches")


def template_script(template: str) -> str:
    """Return a script with one rule, which answers every key with *template*."""
    return f"[[rule]]\nmatches = 'key(.*)'\nreply = {{ template = '{template}' }}\n"
