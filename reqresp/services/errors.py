"""
Errors of services that a person can cause, each with a text of one line.

Those of a definition, all at once, are `reqresp._errors.ProblemsError`.
"""


class TakenError(ValueError):
    """A name or an address of a service is taken by another one."""

    #: The key of the service whose value is taken.
    key = "listen"


class NameTakenError(TakenError):
    """A name of a service is taken by another one."""

    key = "name"


class UnknownServiceError(KeyError):
    """There is no service with this name, or there is none any more."""

    def __str__(self) -> str:
        return str(self.args[0])  # not its repr, as of a KeyError


class ListenError(Exception):
    """
    A service cannot listen where its definition says.

    :param name: where that is.
    :param reason: why not, in the words of the system.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot listen on {name}: {reason}")
        self.name = name
        self.reason = reason
