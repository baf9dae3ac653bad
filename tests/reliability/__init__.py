"""Reliability: real servers with hostile clients, full disks and signals."""
