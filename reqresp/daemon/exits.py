"""
Exits: the status with which a process ends that was started in a wrong way.

Must not know options.
"""

import sys

from reqresp._text import printable

#: The exit status after a wrong option or argument.  All else that prevents a start has status 1.
WRONG_USE = 2


class WrongUseError(SystemExit):
    """
    Ends the process with status `WRONG_USE`.

    :param message: one line, which `wrong_use` has printed.
    """

    def __init__(self, message: str) -> None:
        super().__init__(WRONG_USE)
        self.message = message

    def __str__(self) -> str:
        return self.message


def wrong_use(problem: str) -> WrongUseError:
    """Print *problem* as one line on standard error, and return the exception to raise."""
    message = f"reqresp: {printable(problem)}"
    # SystemExit itself prints a message, but only with status 1.
    print(message, file=sys.stderr)  # noqa: T201 (its job)
    return WrongUseError(message)
