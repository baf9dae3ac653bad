"""
Page: a recording for people, conversation by conversation.

It must not know where it is printed.
"""

from collections.abc import Iterator, Sequence

from reqresp._text import escape_lines, printable
from reqresp.recording.conversations import Conversation, Data, End, Event, Mark, Recording, Sender

#: Bytes on a line in hex.
HEX_LINE_BYTES = 16

_COLOURS = {Sender.CLIENT: "\x1b[36m", Sender.SERVER: "\x1b[33m"}
_PLAIN = "\x1b[0m"
_ENDS = {End.EOF: "(EOF)", End.RESET: "(reset)"}


def show(
    recording: Recording,
    number: int | None = None,
    *,
    in_hex: bool = False,
    has_colours: bool = False,
) -> Iterator[str]:
    """
    Yield the lines of a page that shows *recording*.

    :param number: of the only conversation that is shown; None: all are.
    :param in_hex: whether bytes are shown in hex, too.
    :param has_colours: whether what clients send differs in colour from what the service sends.
    """
    yield printable(f"{recording.name}: {summary(recording)}")
    for line in _header(recording):
        yield f"  {line}"
    for conversation in recording.conversations:
        if number in (None, conversation.number):
            yield ""
            yield _title(conversation)
            yield from _events(conversation, in_hex, has_colours)


def summary(recording: Recording) -> str:
    """Return how much *recording* has, for example ``1 conversation, 6 bytes sent, ...``."""
    conversations = recording.conversations
    count = len(conversations)
    events = [event for it in conversations for event in it.events]
    return f"{count} conversation{'s' * (count != 1)}, {_sizes(events)}"


def _header(recording: Recording) -> Iterator[str]:
    header = recording.header
    if header.made or header.service:
        words = [f"recorded {header.made}".strip(), f"from {header.service}" * bool(header.service)]
        yield printable(" ".join(filter(None, words)))
    if header.redacted:
        yield f"redacted: {', '.join(map(printable, header.redacted))}"


def _title(conversation: Conversation) -> str:
    who = f" from {conversation.peer}" if conversation.peer else ""
    seconds = sum(it.after for it in conversation.events)
    sizes = _sizes(conversation.events)
    line = f", line {conversation.line}" if conversation.line else ""
    return f"conversation {conversation.number}{who}: {sizes}, {seconds:.4g} s{line}"


def _sizes(events: Sequence[Event]) -> str:
    sizes = dict.fromkeys(Sender, 0)
    marks = 0
    for event in events:
        if not isinstance(event.data, End):
            sizes[event.sender] += sum(len(it) for it in event.data if isinstance(it, bytes))
            marks += sum(isinstance(it, Mark) for it in event.data)
    text = f"{sizes[Sender.CLIENT]} bytes sent, {sizes[Sender.SERVER]} received"
    return text + f", {marks} mark{'s' * (marks != 1)}" * bool(marks)


def _events(conversation: Conversation, in_hex: bool, has_colours: bool) -> Iterator[str]:
    at = 0.0
    for event in conversation.events:
        at += event.after
        data = event.data
        lines = [_ENDS[data]] if isinstance(data, End) else [*(_hex if in_hex else _text)(data)]
        for number, line in enumerate(lines):
            time = f"{at:10.4f}" if not number else " " * 10
            shown = f"{event.sender.value} {printable(line)}"
            if has_colours:
                shown = f"{_COLOURS[event.sender]}{shown}{_PLAIN}"
            yield f"{time}  {shown}"


def _text(data: Data) -> Sequence[str]:
    text = "".join(it.text if isinstance(it, Mark) else escape_lines(it) for it in data)
    return text.removesuffix("\n").split("\n")


def _hex(data: Data) -> Iterator[str]:
    for part in data:
        if isinstance(part, Mark):
            yield part.text
            continue
        for at in range(0, len(part), HEX_LINE_BYTES):
            piece = part[at : at + HEX_LINE_BYTES]
            characters = "".join(chr(it) if 32 <= it < 127 else "." for it in piece)
            yield f"{at:06x}  {piece.hex(' '):<{3 * HEX_LINE_BYTES}} {characters}"
