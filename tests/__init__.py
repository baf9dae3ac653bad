"""Tests of reqresp.  Under trial, each has a time limit; under pytest, pyproject.toml sets it."""

import sys

if "twisted.scripts.trial" in sys.modules:  # trial runs the tests
    from tests.support.time_limit import limit_each_test

    limit_each_test()
