r"""
Arguments: what the command ``reqresp`` takes, its help, and what of it is of no use.

Parses and converts; what is done with it is for `command`.
"""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from reqresp import __version__
from reqresp._text import unescape
from reqresp.cli.client import parse_address
from reqresp.framing import SPECIFICATIONS, parse_framing

T = TypeVar("T")

#: Seconds of patience, at most: a day.
LONGEST = 86400

_REQUEST = r"""
A REQUEST is text, which takes the escapes \r, \n, \t, \0, \\ and \xNN, or with --hex it is hex
digits. Put -- before the first if it starts with a dash.
"""
_ASK = rf"""
Connects to a server, sends each REQUEST in a frame of its own, and prints the replies to it, one a
line, before it sends the next.
{_REQUEST}
Replies are printed as a REQUEST is written, so that what was printed can be sent.

In the framing chunk, whatever is received at once is a reply. In resp, the words of a REQUEST are
sent as an array of bulk strings (quotes keep blanks: 'SET key "two words"'), and a reply is one
value.

Exit status: 0 if all replies came; 1, and a line on stderr, if they did not; 2 if the arguments are
of no use.
"""
_CHECK = """
Prints a line for each FILE that a server can run. Warnings and problems are on stderr.

Exit status: 0 if there are no problems, 1 if there are, 2 if the arguments are of no use.
"""
_EXPLAIN = f"""
Shows how a script answers the REQUESTs of one connection, without a server: which rule answers
each, in which state and with what, or which rules come near.
{_REQUEST}"""


def parse(arguments: Sequence[str] | None) -> Namespace:
    """
    Parse *arguments*, by default those of the process.

    Besides what was given, *command* is the name of the sub-command, and *error* a function that
    ends the process with a message about an argument.

    :raises SystemExit: they are of no use, or ask for help.
    """
    return _parser().parse_args(arguments)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "reqresp", description="Ask TCP servers, and try out the scripts of fake ones."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    asking = _command(commands, "ask", "send requests to a server, print its replies", _ASK)
    asking.add_argument(
        "address",
        metavar="ADDRESS",
        type=_argument(parse_address),
        help="HOST:PORT, [IPV6]:PORT, or the path of a UNIX socket with a slash in it",
    )
    _add_requests(asking)
    framing = asking.add_mutually_exclusive_group()
    framing.add_argument(
        "--framing",
        metavar="SPEC",
        type=_argument(parse_framing),
        default="chunk",
        help=f"where requests and replies end (default: chunk): {SPECIFICATIONS}",
    )
    framing.add_argument("--script", metavar="FILE", help="take the framing from a script")
    asking.add_argument(
        "--greeting", action="store_true", help="wait for a reply before the first REQUEST"
    )
    asking.add_argument(
        "--replies",
        metavar="N",
        type=_argument(_count),
        default=1,
        help="replies to wait for after each REQUEST (default: 1; 0: don't wait); those beyond N"
        " count for the next REQUEST",
    )
    asking.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_argument(_seconds),
        default=5.0,
        help="how long to wait for the connection, and for each reply (default: 5)",
    )

    checking = _command(commands, "check", "find the problems of scripts", _CHECK)
    checking.add_argument("files", metavar="FILE", nargs="+", help="a script")

    explaining = _command(commands, "explain", "show how a script answers", _EXPLAIN)
    explaining.add_argument("file", metavar="FILE", help="a script")
    _add_requests(explaining)
    return parser


def _command(commands: Any, name: str, summary: str, description: str) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=name, error=parser.error)
    return parser


def _add_requests(parser: ArgumentParser) -> None:
    parser.add_argument("requests", metavar="REQUEST", nargs="+", help="text or hex digits")
    parser.add_argument("--hex", action="store_true", help="a REQUEST is hex digits, not text")


def _argument(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Make errors of *convert* those of an argument, which argparse prints as they are."""

    def argument(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return argument


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"expected a whole number, 0 or more, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= LONGEST:
            return seconds
    raise ValueError(f"expected more than 0 seconds, {LONGEST} at most, not {text!r}")


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"expected pairs of hex digits, not {text!r}") from None


def requests(options: Namespace, make: Callable[[bytes], bytes] = bytes) -> list[bytes]:
    """
    Give what *make* makes of each REQUEST.

    :raises SystemExit: a REQUEST is neither text nor hex digits, or *make* raises a ValueError.
    """
    convert = _hex if options.hex else unescape
    made = []
    for number, text in enumerate(options.requests, 1):
        try:
            made.append(make(convert(text)))
        except ValueError as error:
            options.error(f"REQUEST {number}: {error}")
    return made
