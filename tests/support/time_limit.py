"""A time limit for each test under trial, like that of pytest-timeout under pytest."""

import faulthandler
import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

#: The number of seconds that a test can take, as in pyproject.toml.
SECONDS = 120.0
#: The environment variable with another number of seconds, for a debugger.
VARIABLE = "TRIAL_TIMEOUT"


def limit_each_test() -> None:
    """
    From now on, end the process if a test takes too long.

    The stacks of all threads are printed first.  trial's own ``timeout`` only stops waiting for a
    Deferred: it cannot end a test that blocks.
    """
    run = SynchronousTestCase.run
    seconds = float(os.environ.get(VARIABLE, SECONDS))

    def limited_run(self: SynchronousTestCase, result: Any) -> Any:
        faulthandler.dump_traceback_later(seconds, exit=True)
        try:
            return run(self, result)
        finally:
            faulthandler.cancel_dump_traceback_later()

    SynchronousTestCase.run = limited_run  # type: ignore[method-assign]  # trial has no hook
