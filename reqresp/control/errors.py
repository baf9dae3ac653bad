"""
Errors: why a request to the API is refused, as JSON.

Must not know routes.  The text of an error is one line, and what it quotes is escaped.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError

from reqresp._errors import FieldError, Problem, ProblemsError
from reqresp._text import printable, quote, similar
from reqresp.services.errors import ListenError, TakenError, UnknownServiceError

#: The longest text of an error or of a problem, in characters.
MAX_ERROR = 2000
#: The path of the problem that a request for an unknown service has: the name of its parameter.
SERVICE = "service"


class ApiError(Exception):
    """
    A request is refused.

    :param status: of HTTP.
    :param error: one line: what is wrong, and what is expected.
    :param problems: what is wrong in the request's body or query, all at once.
    :param headers: for the response, in addition.
    """

    def __init__(
        self,
        status: int,
        error: str,
        problems: Sequence[Problem] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = _shown(error)
        self.problems = problems
        self.headers = headers

    def as_json(self) -> dict[str, Any]:
        """Return the error as a dict that `json` accepts."""
        return {
            "error": self.error,
            "problems": [
                {"line": it.line, "path": _shown(it.path), "problem": _shown(it.message)}
                for it in self.problems
            ],
        }


def problems_error(problems: Sequence[Problem]) -> ApiError:
    """Return the error of a request that has *problems*, at least one."""
    first, *more = problems
    place = f"line {first.line}" if first.line else ""
    text = ": ".join(filter(None, (place, first.path, first.message)))
    return ApiError(422, f"{text} (and {len(more)} more)" if more else text, problems)


def unknown_path(path: bytes, known: Iterable[str] = ()) -> ApiError:
    """Return the error of a request for a *path* that is not there, with a similar one."""
    text = path.decode("utf-8", "backslashreplace")
    near = similar(text, known)
    hint = "" if near is None else f"; did you mean {near}?"
    return ApiError(404, f"unknown path {quote(text)}{hint}")


def refusal_of(error: Exception) -> ApiError | None:
    """Return why a request that raised *error* is refused; None: the error is ours."""
    match error:
        case ApiError():
            return error
        case ProblemsError(problems=problems) if problems:
            return problems_error(problems)
        case FieldError(field=field, problem=problem):
            return problems_error([Problem("request", None, field, problem)])
        case UnknownServiceError():
            text = str(error)
            return ApiError(404, text, [Problem("request", None, SERVICE, text)])
        case TakenError() | ListenError():
            return ApiError(409, str(error))
        case CancelledError():
            return ApiError(409, "the service was closed by another request before it listened")
        case _:
            return None


def unusable(error: Exception) -> Exception:
    """
    Return *error* so that `refusal_of` knows it, if it is how a service says what it cannot use.

    Anywhere else such an error is ours.
    """
    if refusal_of(error) is None and isinstance(error, ValueError | ImportError):
        return ApiError(422, str(error))
    return error


def _shown(text: str) -> str:
    text = printable(text[: MAX_ERROR + 1])
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]}..."
