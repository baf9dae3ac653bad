"""
Recording: conversations as text, which people can read, cut and edit.

Reading and writing them loads no module of Twisted.
"""

from reqresp.recording.conversations import (
    Conversation,
    Data,
    End,
    Event,
    Header,
    Mark,
    Recording,
    Sender,
)
from reqresp.recording.notation import RecordingError, load, parse
from reqresp.recording.writing import write

__all__ = [
    "Conversation",
    "Data",
    "End",
    "Event",
    "Header",
    "Mark",
    "Recording",
    "RecordingError",
    "Sender",
    "load",
    "parse",
    "write",
]
