"""Faults: what can go wrong with a reply, or on one direction of a relay, by name."""

from reqresp.faults.dice import FaultInjector, SeededDice
from reqresp.faults.directed import (
    REPLY_PARAMETERS,
    STREAM_KINDS,
    DirectedFault,
    Direction,
    Noop,
    change_fault,
    make_fault,
    unique_name,
)
from reqresp.faults.effects import effect_of
from reqresp.faults.faults import (
    KINDS,
    Bandwidth,
    Blackhole,
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
    "REPLY_PARAMETERS",
    "STREAM_KINDS",
    "Bandwidth",
    "Blackhole",
    "Corrupt",
    "Dice",
    "DirectedFault",
    "Direction",
    "Fault",
    "FaultInjector",
    "Latency",
    "LimitData",
    "Noop",
    "PlacedFault",
    "ResetPeer",
    "SeededDice",
    "Slicer",
    "SlowClose",
    "StopReadingFault",
    "Timeout",
    "change_fault",
    "effect_of",
    "make_fault",
    "unique_name",
]
