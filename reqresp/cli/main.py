r"""
The sub-commands of the command ``reqresp``.

Prints, and returns the exit status.  Imports what knows scripts only when a script is given.
"""

import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reqresp._text import escape, printable, printable_lines
from reqresp.cli import reading, rewriting, services, serving, starting
from reqresp.cli.client import MAX_REPLY, AskError, ask, suggest_framing
from reqresp.cli.parser import parse, requests
from reqresp.framing import BaseFraming

if TYPE_CHECKING:
    from reqresp.script import Script


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command with *arguments* (None: those of the process), and return its exit status.

    :raises SystemExit: an argument is wrong, or help was printed.
    """
    try:
        try:
            return _run(arguments)
        finally:
            if sys.stdout is not None:  # a shell can close it: reqresp ... >&-
                sys.stdout.flush()  # now, while an error can still be reported
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _print_error(f"reqresp: cannot print: {error.strerror}")
        # The reader is gone, as in `reqresp ... | head`: let Python's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As Python decodes arguments: what is printed can be passed as a REQUEST.
        sys.stdout.reconfigure(encoding=sys.getfilesystemencoding(), errors="backslashreplace")
    options = parse(arguments)
    return _COMMANDS[options.command](options)


def _ask(options: Namespace) -> int:
    sent: BaseFraming = options.framing
    received: BaseFraming = options.framing
    if options.script is not None:
        script = _load(options.script, warn=False)  # its rules are not used
        if script is None:
            return 1
        sent, received = script.framing, script.reply_framing
    frames = requests(options, sent.encode_request)
    try:
        decoder = received.reply_decoder(MAX_REPLY)
    except ValueError as error:
        options.error(str(error))
    how = {name: getattr(options, name) for name in ("replies", "greeting", "timeout")}
    try:
        ends = sent.ends_with_stream
        for reply in ask(options.address, frames, decoder, half_close=ends, **how):
            _print(reply.hex() if options.hex else escape(reply))
    except AskError as error:
        _print_error(f"reqresp: {error}{_hint(options, frames, error)}")
        return 1
    return 0


def _hint(options: Namespace, frames: Sequence[bytes], error: AskError) -> str:
    """Return a framing to try, if that of a reply was perhaps wrong."""
    if error.received is None or options.script is not None:
        return ""
    name = suggest_framing(frames[0], error.received)
    if name is None or name == options.framing.name:
        return ""
    reason = "" if error.received else "if the server waits for the end of a line, "
    return f"; {reason}try --framing {name}"


def _check(options: Namespace) -> int:
    from reqresp.recording.notation import is_recording

    status = 0
    for file in options.files:
        if is_recording(file):
            status |= reading.check(file, _print, _print_error)
            continue
        if services.is_services_file(file):
            status |= services.check(file, _print, _print_error)
            continue
        script = _load(file)
        if script is None or services.check_script(file, script, _print_error):
            status = 1
            continue
        from reqresp.script.summary import summarize  # late: recordings need no script

        _print(f"{printable(file)}: ok: {summarize(script)}")
    return status


def _explain(options: Namespace) -> int:
    from reqresp.script.explain import explain

    asked = requests(options)
    script = _load(options.file)
    if script is None:
        return 1
    if script.is_relay:
        _print_error(f"{printable(options.file)}: forwards all bytes, and has no rules")
        return 1
    _print(explain(script, asked))
    return 0


def _mark(options: Namespace) -> int:
    return rewriting.mark(options, _print, _print_error)


def _new(options: Namespace) -> int:
    return starting.new(options, _print, _print_error)


def _schema(options: Namespace) -> int:
    return starting.schema(options, _print, _print_error)


def _script(options: Namespace) -> int:
    return rewriting.script(options, _print, _print_error)


def _serve(options: Namespace) -> int:
    return serving.serve(options.arguments)


def _show(options: Namespace) -> int:
    has_colours = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return reading.show(options, _print_as_is, _print_error, has_colours=has_colours)


def _import(options: Namespace) -> int:
    return reading.import_capture(options, _print, _print_error)


_COMMANDS = {
    "ask": _ask,
    "check": _check,
    "explain": _explain,
    "import": _import,
    "mark": _mark,
    "new": _new,
    "schema": _schema,
    "script": _script,
    "serve": _serve,
    "show": _show,
}


def _load(file: str, *, warn: bool = True) -> "Script | None":
    """Load a script, and print its problems and warnings; return None after a problem."""
    from reqresp.script import Script, ScriptError

    try:
        script = Script.load(Path(file))
    except ScriptError as error:
        _print_error(str(error))
        return None
    for warning in script.warnings if warn else ():
        _print_error(f"warning: {warning}")
    return script


def _print(text: str) -> None:
    print(printable_lines(text), flush=True)  # noqa: T201 (its job; flushed, so that nothing is lost)


def _print_as_is(text: str) -> None:
    print(text)  # noqa: T201 (its job; colours are not printable)


def _print_error(text: str) -> None:
    if sys.stderr is not None:  # else print would use stdout
        print(printable_lines(text), file=sys.stderr)  # noqa: T201 (its job)
