"""
Scripts: texts of scripts with many rules, all of one kind, and requests for them.

Knows TOML, and the keys of bench.clients; nothing of who runs a script, or what that costs.
"""

from collections.abc import Mapping

from attrs import frozen

from bench.clients import key, value

#: As many lengths have the prefixes of rules that are of several.
LENGTHS = 50


@frozen
class Kind:
    """
    Rules that are alike.

    *form* is what their *predicate* compares a request with, and *request* one that fits.  In both
    ``KEY`` stands for the rule's own key, ``PAD`` for none to 49 bytes, ``TEXT`` for any others.
    """

    predicate: str
    form: str
    request: str

    @property
    def title(self) -> str:
        return f"{self.predicate} = '{self.form}'"

    def script(self, rules: int) -> str:
        """Write a script of so many rules, each with a reply of its own."""
        return "\n".join(
            f"[[rule]]\n{self.predicate} = '{_fill(self.form, number)}'\n"
            f"reply = '{value(number).decode()}'\n"
            for number in range(rules)
        )

    def ask(self, number: int, text: str) -> bytes:
        """Make a request that the rule of that number answers, and no other."""
        return _fill(self.request, number).replace("TEXT", text).encode()


def _fill(form: str, number: int) -> str:
    return form.replace("KEY", key(number).decode()).replace("PAD", "-" * (number % LENGTHS))


KINDS: Mapping[str, Kind] = {
    # Those that are looked up.
    "equals": Kind("equals", "KEY", "KEY"),
    "starts_with": Kind("starts_with", "KEY", "KEY TEXT"),
    "matches": Kind("matches", "KEY( .*)?", "KEY TEXT"),
    # Those that cost more.
    "lengths": Kind("starts_with", "KEYPAD", "KEYPAD TEXT"),
    "ends_with": Kind("ends_with", "KEY", "TEXT KEY"),
    "contains": Kind("contains", "KEY", "TEXT KEY TEXT"),
    "tail": Kind("matches", ".*KEY", "TEXT KEY"),
    "middle": Kind("matches", ".*KEY.*", "TEXT KEY TEXT"),
}
#: Of these, ten thousand should cost what ten do.
INDEXED = ("equals", "starts_with", "matches")
