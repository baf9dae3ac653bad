"""Bad days: ``python -m tests.reliability`` does to a real server what clients and disks may do."""
