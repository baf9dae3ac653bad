"""Errors that carry where they belong as a field, so that no message has to be parsed."""


class FieldError(ValueError):
    """
    A value is not what a field expects.

    :param field: the field's name as its class spells it, such as ``max_request``.
    :param problem: what is wrong, without the name: ``expected seconds >= 0, found -1``.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"
