"""Scenarios: all scenarios by name, in the order in which they run."""

from tests.reliability import (
    descriptors,
    disk,
    endless_requests,
    floods,
    fuzz,
    half_headers,
    idle,
    journal,
    never_readers,
    pages,
    relay_faults,
    responders,
    sighup,
    sigkill,
    sigterm,
    slow_senders,
    soak,
    storms,
    tls,
    workers,
)
from tests.reliability.values import scenario

SCENARIOS = {
    one.name: one
    for one in map(
        scenario,
        (
            *(
                idle,
                slow_senders,
                endless_requests,
                half_headers,
                never_readers,
                floods,
                pages,
                tls,
                storms,
                descriptors,
                disk,
                journal,
                fuzz,
                responders,
                relay_faults,
            ),
            *(sigterm, sighup, sigkill, workers, soak),
        ),
    )
}
