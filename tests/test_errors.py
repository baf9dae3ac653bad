"""Errors that carry their place."""

from copy import copy

import pytest
from attrs import field, frozen

from reqresp._errors import FieldError, expect


def test_a_field_error_carries_its_place_and_its_problem() -> None:
    """The field and the problem are attributes; the text joins them."""
    error = FieldError("delay", "expected seconds >= 0, found -1")
    assert isinstance(error, ValueError)
    assert (error.field, error.problem) == ("delay", "expected seconds >= 0, found -1")
    assert str(error) == "delay: expected seconds >= 0, found -1"
    assert str(FieldError("", "the key delay is missing")) == "the key delay is missing"


def test_a_field_error_can_be_copied() -> None:
    """A copy has the same field and problem."""
    error = copy(FieldError("delay", "expected a number"))
    assert (error.field, error.problem) == ("delay", "expected a number")


def test_a_validator_names_its_field() -> None:
    """An attrs field whose validator is from `expect` refuses other values with `FieldError`."""

    @frozen
    class Sized:
        size: int = field(validator=expect("an integer >= 1", lambda it: it >= 1))

    assert Sized(1).size == 1
    with pytest.raises(FieldError) as raised:
        Sized(0)
    assert (raised.value.field, raised.value.problem) == (
        "size",
        "expected an integer >= 1, found 0",
    )


def test_a_value_that_cannot_be_compared() -> None:
    """A validator refuses it as any other value, also if its check raises TypeError."""

    @frozen
    class Waiting:
        seconds: float = field(validator=expect("seconds >= 0", lambda it: it >= 0))

    for value in ("1", None, object()):
        with pytest.raises(FieldError, match=r"^seconds: expected seconds >= 0, found "):
            Waiting(value)  # type: ignore[arg-type]
