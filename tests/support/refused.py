"""Errors of framings, as tests compare them."""

from collections.abc import Callable

from reqresp.framing import FrameError


def message(refused: Callable[..., object], *arguments: object) -> str:
    """Return the text of the `FrameError` that *refused* raises for *arguments*."""
    try:
        refused(*arguments)
    except FrameError as error:
        return str(error)
    raise AssertionError("expected a FrameError")
