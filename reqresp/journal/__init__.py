"""
The journal: what a server did, in memory, in a file and in the log.

Knows observers and what they receive.  It must not know connections, or how a server is configured.
"""

from reqresp.journal.entries import (
    Answered,
    Changed,
    Connected,
    Disconnected,
    Entry,
    Failed,
    Faulted,
    Incomplete,
    Passed,
    Refused,
    Sent,
    Unanswered,
    UpstreamEnded,
    UpstreamFailed,
    UpstreamOpened,
    as_json,
)
from reqresp.journal.journal import Journal
from reqresp.journal.jsonl import JournalFile
from reqresp.journal.lines import LogFormat
from reqresp.journal.request_log import RequestLog

__all__ = [
    "Answered",
    "Changed",
    "Connected",
    "Disconnected",
    "Entry",
    "Failed",
    "Faulted",
    "Incomplete",
    "Journal",
    "JournalFile",
    "LogFormat",
    "Passed",
    "Refused",
    "RequestLog",
    "Sent",
    "Unanswered",
    "UpstreamEnded",
    "UpstreamFailed",
    "UpstreamOpened",
    "as_json",
]
