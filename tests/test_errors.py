"""Errors that carry their place."""

from copy import copy

from reqresp._errors import FieldError


def test_a_field_error_carries_its_place_and_its_problem() -> None:
    """The field and the problem are attributes; the text joins them."""
    error = FieldError("delay", "expected seconds >= 0, found -1")
    assert isinstance(error, ValueError)
    assert (error.field, error.problem) == ("delay", "expected seconds >= 0, found -1")
    assert str(error) == "delay: expected seconds >= 0, found -1"


def test_a_field_error_can_be_copied() -> None:
    """A copy has the same field and problem."""
    error = copy(FieldError("delay", "expected a number"))
    assert (error.field, error.problem) == ("delay", "expected a number")
