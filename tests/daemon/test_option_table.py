"""The table of options: each row is complete, and names nothing that is not there."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.option_table import GROUPS
from reqresp.daemon.option_types import Option

OPTIONS = [option for group in GROUPS.values() for option in group]


class TableTests(SynchronousTestCase):
    """All rows."""

    def test_names_and_letters_are_used_once(self) -> None:
        """Two options with one name would be one option."""
        names = [it.name for it in OPTIONS]
        letters = [it.letter for it in OPTIONS if it.letter is not None]
        self.assertEqual((len(set(names)), len(set(letters))), (len(names), len(letters)))

    def test_options_that_others_need_or_exclude_exist(self) -> None:
        """A misspelt name would have no effect."""
        names = {it.name for it in OPTIONS}
        for option in OPTIONS:
            needed = {*option.excludes, *option.requires}
            self.assertLessEqual(needed, names, option.name)

    def test_what_an_option_shows_as_its_default_is_one(self) -> None:
        """A default that is a number can be converted."""
        for option in OPTIONS:
            if isinstance(option, Option) and option.default and option.default.isdigit():
                option.convert(option.default)
