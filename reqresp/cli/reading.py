"""
Reading: what the command shows of recordings, and of captures of packets.

Prints, and returns the exit status.  It must not know how arguments are parsed.
"""

import os
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from reqresp._text import printable

if TYPE_CHECKING:
    from reqresp.recording import Recording

Print = Callable[[str], None]


def check(file: str, say: Print, warn: Print) -> int:
    """
    Check the recording *file*.

    :param say: prints a result.
    :param warn: prints a problem.
    """
    from reqresp.recording.page import summary

    recording = _load(file, warn)
    if recording is None:
        return 1
    say(f"{printable(file)}: ok: {summary(recording)}")
    return 0


def show(options: Namespace, say: Print, warn: Print, *, has_colours: bool) -> int:
    """
    Show a recording.

    :param say: prints a line as it is.
    :param warn: prints a problem.
    """
    from reqresp.recording.page import show

    recording = _load(options.file, warn)
    if recording is None:
        return 1
    number = options.conversation
    if number is not None and all(it.number != number for it in recording.conversations):
        warn(f"{options.file}: no conversation has the number {number}")
        return 1
    for line in show(recording, number, in_hex=options.hex, has_colours=has_colours):
        say(line)
    return 0


def import_capture(options: Namespace, say: Print, warn: Print) -> int:
    """
    Print a capture as a recording.

    :param say: prints the recording.
    :param warn: prints a problem.
    """
    from reqresp.recording import RecordingError, write

    try:
        from reqresp.recording.pcap import read_capture

        recording = read_capture(options.file, options.port)
    except ImportError as error:
        warn(f"reqresp: {error}")
        return 1
    except RecordingError as error:
        warn(str(error))
        return 1
    _warn_of(recording, warn)
    say(os.fsdecode(write(recording)).removesuffix("\n"))
    return 0


def _load(file: str, warn: Print) -> "Recording | None":
    """Load a recording, and print its problems and warnings; return None after a problem."""
    from reqresp.recording.notation import RecordingError, load

    try:
        recording = load(file)
    except RecordingError as error:
        warn(str(error))
        return None
    _warn_of(recording, warn)
    return recording


def _warn_of(recording: "Recording", warn: Print) -> None:
    for warning in recording.warnings:
        warn(f"warning: {warning}")
