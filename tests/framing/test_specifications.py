"""Framings as they are written on a command line and in a script."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import parse_framing
from tests.support.framings import SPECIFIED

#: Text that is not a framing.
MALFORMED = (
    *("", " ", ":", "lines", "LINE", " line", "int64", "int", "tcp"),
    *("chunk:1024", "netstring:9", r"line:\r", "line:x", r"line:\q"),
    *("delimiter", r"delimiter:\q", "delimiter:\\"),
    *("int8:8", "int8:middle", "int16:BIG", "int16:inclusive:big", "int16:big:little"),
    *("int32:big:inclusive:big", "int32:big,inclusive"),
    *("fixed", "fixed:0", "fixed:-1", "fixed:1.5", "fixed:x", "fixed:0x10", "fixed:1:2"),
)


class SpecificationTests(SynchronousTestCase):
    """`parse_framing`."""

    def test_every_form(self) -> None:
        """Each form makes the same framing as Python code."""
        for specification, framing in SPECIFIED.items():
            self.assertEqual(parse_framing(specification), framing, msg=specification)

    def assert_refused(self, specification: str) -> None:
        """Check that the error has the specification and the forms that are expected."""
        try:
            answer = repr(parse_framing(specification))
        except ValueError as error:
            answer = str(error)
        self.assertEqual(
            answer,
            f"unknown framing {specification!r}; expected one of: chunk, line[:ENDING],"
            " delimiter:TEXT, netstring, int8|int16|int32[:big|little][:inclusive], fixed:SIZE,"
            " resp",
        )

    def test_malformed_specifications_are_refused(self) -> None:
        """Unknown names, unknown arguments and wrong arguments are refused."""
        for specification in MALFORMED:
            self.assert_refused(specification)

    def test_a_colon_requires_an_argument(self) -> None:
        """A colon without an argument is refused."""
        for name in ("chunk", "line", "delimiter", "netstring", "fixed", "int16:big", "int8"):
            self.assert_refused(f"{name}:")

    def test_a_size_is_digits(self) -> None:
        """A size has digits only, although Python reads other text as a number, too."""
        for size in (" 5", "5 ", "+5", "1_0", "\u0663"):
            self.assert_refused(f"fixed:{size}")
