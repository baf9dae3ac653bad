"""Tests of reqresp.  Under trial, each has a time limit; under pytest, pyproject.toml sets it."""

import sys

from hypothesis import HealthCheck, settings

# How long a machine takes to draw inputs does not make a test fail.
settings.register_profile("reqresp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("reqresp")

if "twisted.scripts.trial" in sys.modules:  # trial runs the tests
    from tests.support.time_limit import limit_each_test

    limit_each_test()
