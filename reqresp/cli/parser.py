r"""
The arguments of the command ``reqresp``, and its help.

Parses and converts arguments.  Does not act on them: that is for `reqresp.cli.main`.
"""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from reqresp import __version__
from reqresp._text import printable, unescape, unknown
from reqresp.cli.client import ADDRESS_FORMS, parse_address
from reqresp.cli.starting import KINDS
from reqresp.framing import SPECIFICATIONS, parse_framing

T = TypeVar("T")

#: Upper bound of --timeout, in seconds: one day.
MAX_TIMEOUT = 86400

_MAIN = """
Run a TCP server, send requests to one, write and check scripts, and show recordings.
"""
_REQUEST = r"""
A REQUEST is text with the escapes \r, \n, \t, \0, \\ and \xNN, or hex digits with --hex. If the
first REQUEST starts with a dash, put -- before it.
"""
_ASK = rf"""
Send requests to a server, and print the replies. Each REQUEST is sent in a frame of its own. The
next REQUEST is sent after the replies to the one before have arrived.
{_REQUEST}
Each reply is printed on one line, with the escapes of a REQUEST.

With the framing chunk, a reply is what arrives at once. With the framing resp, the words of a
REQUEST are sent as an array of bulk strings, where quotes keep blanks ('SET key "two words"'), and
a reply is one value.
"""
_ASK_STATUS = """
Exit status: 0 if all replies arrived; 1 if not, with the reason on stderr; 2 if an argument is
wrong.
"""
_CHECK = """
Check scripts, services files and recordings, and print one line for each file without problems.
Problems and warnings are printed on stderr.
"""
_CHECK_STATUS = """
Exit status: 0 if there are no problems; 1 if there are; 2 if an argument is wrong.
"""
_EXPLAIN = f"""
Show how a script answers the REQUESTs of one connection, without starting a server. For each
REQUEST it prints the state, the rule that answers, and the reply. If no rule answers, it prints the
rules that come nearest.
{_REQUEST}"""
_SHOW = """
Show a recording: its conversations, with the time of each line since its conversation began. What
the client sends begins with >, what the service sends with <.
"""
_IMPORT = """
Print the conversations of a packet capture, pcap or pcapng, as a recording. Standard error
lists what the capture lacks. It needs dpkt, of the extra pcap: pip install 'reqresp[pcap]'.
"""
_FILE_STATUS = """
Exit status: 0 if the file has no problems; 1 if it has; 2 if an argument is wrong.
"""
_EXPLAIN_STATUS = """
Exit status: 0 if the script has no problems; 1 if it has; 2 if an argument is wrong.
"""
_MARK = r"""
Write marks into a recording, in place, for what differs at each run. What a pattern matches in the
bytes of clients becomes a mark such as \<name>, and so does the same value in later replies. If a
pattern has groups, only these become marks; the name of a group, as in (?P<nonce>[0-9a-f]+), is the
name of its marks. Everything else in the file stays as it is.
"""
_MARK_STATUS = """
Exit status: 0 if the recording has no problems; 1 if it has; 2 if an argument is wrong.
"""
_NEW = """
Write a starter script with comments into the file NAME.toml, for you to edit.
"""
_NEW_STATUS = """
Exit status: 0 if the file was written; 1 if not, for example because there is one; 2 if an argument
is wrong.
"""
_SCHEMA = """
Print the JSON Schema of scripts, or of services files. An editor with TOML support uses it to
complete keys and to mark wrong ones, if the first line of a file names it:

  #:schema ./script.schema.json
"""
_SCHEMA_STATUS = """
Exit status: 0 if the schema was printed; 2 if an argument is wrong.
"""
_SCRIPT = """
Print a script that answers as a recording does, for you to edit. It has a rule for each request.
If a request had several answers, the rule depends on a request before it, or has them in turn.
"""
_SCRIPT_STATUS = """
Exit status: 0 if the script was printed; 1 if the recording has problems, or bytes are not of the
framing; 2 if an argument is wrong.
"""


def parse(arguments: Sequence[str] | None) -> Namespace:
    """
    Parse *arguments*; None: those of the process.

    Besides the arguments, the result has *command*, the name of the sub-command, and *error*, a
    function that ends the process with a message about an argument.  The arguments of ``serve`` are
    for twistd to parse, and stay as they are in *arguments*.

    :raises SystemExit: an argument is wrong, or help was printed.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] == "serve":
        return Namespace(command="serve", arguments=given[1:])
    return make_parser().parse_args(given)


class _Parser(ArgumentParser):
    """A parser whose errors are one line."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse *args*, unless an option among them is unknown; argparse takes its value first."""
        self._check_options(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def _check_options(self, arguments: Sequence[str]) -> None:
        known = list(self._option_string_actions)
        for argument in arguments:
            is_command = self._subparsers is not None and not argument.startswith("-")
            if argument == "--" or is_command:  # what follows is not for this parser
                return
            name = argument.partition("=")[0]
            if name.startswith("--") and name not in known:
                self.error(unknown("option", name, [it for it in known if it.startswith("--")]))

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {printable(message)} (see {self.prog} --help)\n")


def make_parser() -> ArgumentParser:
    """Return the parser of all commands; that of ``serve`` knows none of its options."""
    parser = _Parser("reqresp", description=_MAIN, add_help=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser.add_argument_group("version").add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {__version__}",
        help="show the version and exit",
    )
    _add_ask(_command(commands, "ask", "send requests to a server", _ASK, _ASK_STATUS))
    check = _command(commands, "check", "find the problems of files", _CHECK, _CHECK_STATUS)
    check.add_argument_group("arguments").add_argument(
        "files", metavar="FILE", nargs="+", help="a script, a services file or a recording"
    )
    explain = _command(
        commands, "explain", "show how a script answers requests", _EXPLAIN, _EXPLAIN_STATUS
    )
    positional = explain.add_argument_group("arguments")
    positional.add_argument("file", metavar="FILE", help="a script")
    _add_requests(positional)
    _add_hex(explain.add_argument_group("requests"))
    mark = _command(commands, "mark", "mark what differs at each run", _MARK, _MARK_STATUS)
    mark.add_argument_group("arguments").add_argument("file", metavar="FILE", help="a recording")
    mark.add_argument_group("marks").add_argument(
        "--ignore",
        metavar="PATTERN",
        type=_argument(_ignored),
        action="append",
        required=True,
        help="a pattern of RE2; repeatable",
    )
    new = _command(commands, "new", "write a starter script", _NEW, _NEW_STATUS)
    new.add_argument_group("arguments").add_argument(
        "name", metavar="NAME", help="the file, with or without .toml"
    )
    new.add_argument_group("contents").add_argument(
        "--kind",
        type=_argument(_kind),
        default=KINDS[0],
        help=f"what the script describes: {', '.join(KINDS)} (default: {KINDS[0]})",
        metavar="KIND",
    )
    schema = _command(
        commands, "schema", "print the schema of scripts, for editors", _SCHEMA, _SCHEMA_STATUS
    )
    schema.add_argument_group("files").add_argument(
        "--services", action="store_true", help="the schema of services files"
    )
    commands.add_parser("serve", help="serve in the foreground, as twistd reqresp does")
    show = _command(commands, "show", "show a recording", _SHOW, _FILE_STATUS)
    show.add_argument_group("arguments").add_argument("file", metavar="FILE", help="a recording")
    shown = show.add_argument_group("what is shown")
    shown.add_argument(
        "--conversation",
        metavar="N",
        type=_argument(_count),
        help="show only this conversation",
    )
    shown.add_argument("--hex", action="store_true", help="show bytes in hex, too")
    import_ = _command(
        commands, "import", "make a recording of a packet capture", _IMPORT, _FILE_STATUS
    )
    import_.add_argument_group("arguments").add_argument(
        "file", metavar="CAPTURE", help="a file of tcpdump or Wireshark"
    )
    import_.add_argument_group("connections").add_argument(
        "--port",
        metavar="PORT",
        type=_argument(_port),
        help="import only connections to this port",
    )
    script = _command(commands, "script", "make a script of a recording", _SCRIPT, _SCRIPT_STATUS)
    script.add_argument_group("arguments").add_argument("file", metavar="FILE", help="a recording")
    script.add_argument_group("framing").add_argument(
        "--framing",
        metavar="SPEC",
        type=_argument(lambda text: (text, parse_framing(text))),
        required=True,
        help=f"where requests and replies end; one of: {SPECIFICATIONS}",
    )
    for each in (parser, *(it for name, it in commands.choices.items() if name != "serve")):
        each.add_argument_group("help").add_argument(
            "-h", "--help", action="help", help="show this help and exit"
        )
    return parser


def _add_ask(parser: ArgumentParser) -> None:
    positional = parser.add_argument_group("arguments")
    positional.add_argument(
        "address", metavar="ADDRESS", type=_argument(parse_address), help=ADDRESS_FORMS
    )
    _add_requests(positional)
    framings = parser.add_argument_group("framing").add_mutually_exclusive_group()
    framings.add_argument(
        "--framing",
        metavar="SPEC",
        type=_argument(parse_framing),
        default="chunk",
        help=f"where requests and replies end (default: chunk). SPEC is one of: {SPECIFICATIONS}",
    )
    framings.add_argument("--script", metavar="FILE", help="use the framing of a script")
    requests = parser.add_argument_group("requests and replies")
    _add_hex(requests)
    requests.add_argument(
        "--greeting", action="store_true", help="wait for a reply before the first REQUEST"
    )
    requests.add_argument(
        "--replies",
        metavar="N",
        type=_argument(_count),
        default=1,
        help="wait for N replies to each REQUEST (default: 1). Further replies count for the next"
        " REQUEST. With 0, do not wait",
    )
    requests.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_argument(_seconds),
        default=5.0,
        help="how long to wait for the connection, and for each reply (default: 5)",
    )


def _command(
    commands: Any, name: str, summary: str, description: str, epilog: str
) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.set_defaults(command=name, error=parser.error)
    return parser


def _add_requests(group: Any) -> None:
    group.add_argument("requests", metavar="REQUEST", nargs="+", help="text, or hex digits")


def _add_hex(group: Any) -> None:
    group.add_argument("--hex", action="store_true", help="each REQUEST is hex digits")


def _argument(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return *convert* with the errors of an argument type: argparse prints their messages."""

    def argument(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return argument


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"expected an integer >= 0, found {text!r}")
    return int(text)


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(unknown("kind", text, KINDS))
    return text


def _port(text: str) -> int:
    number = _count(text)
    if not 0 < number < 2**16:
        raise ValueError(f"expected a port number from 1 to {2**16 - 1}, found {text!r}")
    return number


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= MAX_TIMEOUT:
            return seconds
    raise ValueError(f"expected seconds > 0 and <= {MAX_TIMEOUT}, found {text!r}")


def _ignored(text: str) -> Any:
    from reqresp.recording.marks import make_ignored  # late: it needs RE2

    return make_ignored(text)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"expected pairs of hex digits, found {text!r}") from None


def requests(options: Namespace, make: Callable[[bytes], bytes] = bytes) -> list[bytes]:
    """
    Return the result of *make* for the bytes of each REQUEST.

    :raises SystemExit: a REQUEST is not text or hex digits, or *make* raises a ValueError.
    """
    convert = _hex if options.hex else unescape
    made = []
    for number, text in enumerate(options.requests, 1):
        try:
            made.append(make(convert(text)))
        except ValueError as error:
            options.error(f"REQUEST {number}: {error}")
    return made
