"""Faults: what can go wrong with a reply, by name."""

from reqresp.faults.dice import FaultInjector, SeededDice
from reqresp.faults.faults import (
    KINDS,
    Bandwidth,
    Corrupt,
    Dice,
    Fault,
    Latency,
    LimitData,
    PlacedFault,
    ResetPeer,
    Slicer,
    SlowClose,
    StopReadingFault,
    Timeout,
)

__all__ = [
    "KINDS",
    "Bandwidth",
    "Corrupt",
    "Dice",
    "Fault",
    "FaultInjector",
    "Latency",
    "LimitData",
    "PlacedFault",
    "ResetPeer",
    "SeededDice",
    "Slicer",
    "SlowClose",
    "StopReadingFault",
    "Timeout",
]
