"""
Verdicts: what a server in another process says of what has come so far, as text for a test.

Knows the route of verdicts.  Must not know HTTP.
"""

from collections.abc import Mapping
from typing import Any

from reqresp.control._service_api import ServiceApi
from reqresp.expectations.report import describe, report_or_error
from reqresp.script.rule_parts import PayloadsLike

#: Seconds that a verdict waits for missing requests, by default.
VERIFY_TIMEOUT = 1.0
#: Lines of the conversation that an error shows: the last ones.
MAX_SHOWN = 50

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


class Verdicts:
    """What is said of a service."""

    def __init__(self, api: ServiceApi) -> None:
        self._api = api

    def verdict(
        self,
        timeout: float | None = 0.0,
        *,
        strict: bool = True,
        unused_fails: bool = False,
        method_of_test: str = "",
    ) -> Mapping[str, Any]:
        """
        Return the ``report``, or None, the ``conversation``, and what is ``unused``.

        The parameters are those of `ControlClient.verify`.
        """
        body: dict[str, Any] = {"strict": strict, "unused_fails": unused_fails}
        if timeout is not None:
            body["timeout"] = timeout
        found: Mapping[str, Any] = self._api.ask(
            "POST",
            "verify",
            body=body,
            seconds=VERIFY_TIMEOUT if timeout is None else timeout,
            method_of_test=method_of_test,
        )
        return found

    def report(self) -> str:
        """Return the problems, or else the conversation; or why the server cannot be asked."""

        def text() -> str:
            verdict = self.verdict()
            return str(verdict["report"] or "\n".join(_last_lines(verdict)))

        return report_or_error(text)

    def not_so(self, problem: str) -> AssertionError:
        """Return the error that *problem* names, with the conversation."""
        return AssertionError(f"{problem}\n{self.report()}")

    def none_held(
        self, equals: PayloadsLike | None, predicates: Mapping[str, Any]
    ) -> AssertionError:
        """Return the error that no request with these predicates waits for the test."""
        wanted = describe(equals, predicates)
        return self.not_so(f"no request waits for the test: expected {wanted}")

    def wrong_number(
        self, equals: PayloadsLike | None, predicates: Mapping[str, Any], found: int, expected: str
    ) -> AssertionError:
        """Return the error that *found* matching requests are not as many as *expected*."""
        count = f"{found} time" if found == 1 else f"{found} times"
        wanted = describe(equals, predicates)
        head = f"reqresp {self._api.service}: received {wanted} {count}, expected {expected}"
        lines = [f"  {line}" for line in _last_lines(self.verdict())]
        return AssertionError("\n".join([head, *lines]))


def _last_lines(verdict: Mapping[str, Any]) -> list[str]:
    """Return the end of the conversation, one line or more."""
    lines: list[str] = verdict["conversation"].splitlines()
    last = lines[-MAX_SHOWN:] or ["no request received"]
    omitted = max(0, len(lines) - MAX_SHOWN)
    return [f"... {omitted} earlier lines omitted", *last] if omitted else last
