"""Errors: why requests to the API are refused."""

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError, Problem
from reqresp.control.errors import ApiError, problems_error, refusal_of, unusable
from reqresp.services.errors import ListenError, TakenError, UnknownServiceError


class RefusalTests(SynchronousTestCase):
    """Which errors refuse a request, and with which status."""

    def test_statuses(self) -> None:
        """Errors of a request have a status; any other error is ours."""
        for error, status in (
            (ApiError(404, "no"), 404),
            (FieldError("delay", "expected seconds"), 422),
            (TakenError("taken"), 409),
            (ListenError("127.0.0.1:1", "in use"), 409),
            (CancelledError(), 409),
            (UnknownServiceError("unknown service 'a'"), 404),
        ):
            refusal = refusal_of(error)
            assert refusal is not None
            self.assertEqual(refusal.status, status)
        self.assertIsNone(refusal_of(ValueError("ours")))

    def test_the_line_of_a_problem(self) -> None:
        """The error begins with the line and the path of the first problem, if it has them."""
        self.assertEqual(problems_error([Problem("it", None, "", "wrong")]).error, "wrong")
        self.assertEqual(problems_error([Problem("it", 3, "a.b", "no")]).error, "line 3: a.b: no")

    def test_what_a_service_cannot_use(self) -> None:
        """Where a service says so, other errors of values and of packages refuse a request, too."""
        for error in (ValueError("no such file"), ImportError("no package")):
            refusal = unusable(error)
            assert isinstance(refusal, ApiError)
            self.assertEqual((refusal.status, refusal.error), (422, str(error)))
        taken = TakenError("taken")
        self.assertIs(unusable(taken), taken)
        ours = ZeroDivisionError("ours")
        self.assertIs(unusable(ours), ours)
