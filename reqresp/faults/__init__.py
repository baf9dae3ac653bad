"""Faults: what goes wrong with a reply, by name."""
