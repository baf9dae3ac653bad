"""A recording as people see it."""

from reqresp.recording import parse
from reqresp.recording.page import show, summary

TEXT = r"""# reqresp recording 1 at=2026-11-28T09:30:00Z of=127.0.0.1:6379 redacted=password
-- 1 127.0.0.1:50000
> PASS \<password>\r\n
(0.25 s)
< +OK\r\n
< grün\r\n
-- 2
< \x1b[31m
(1 s)
>eof
<reset
"""


def page(**options: object) -> list[str]:
    """Return the lines of the page."""
    return [*show(parse(TEXT, "a.rec"), **options)]  # type: ignore[arg-type]


def test_a_page() -> None:
    """Each conversation has a title, and each line the time since its beginning."""
    assert page() == [
        "a.rec: 2 conversations, 7 bytes sent, 17 received, 1 mark",
        "  recorded 2026-11-28T09:30:00Z from 127.0.0.1:6379",
        "  redacted: password",
        "",
        "conversation 1 from 127.0.0.1:50000: 7 bytes sent, 12 received, 1 mark, 0.25 s, line 2",
        r"    0.0000  > PASS \<password>\r\n",
        r"    0.2500  < +OK\r\n",
        r"            < grün\r\n",
        "",
        "conversation 2: 0 bytes sent, 5 received, 1 s, line 7",
        r"    0.0000  < \x1b[31m",
        "    1.0000  > (EOF)",
        "    1.0000  < (reset)",
    ]


def test_one_conversation() -> None:
    """Only that is shown."""
    titles = [it for it in page(number=2) if it.startswith("conversation")]
    assert titles == ["conversation 2: 0 bytes sent, 5 received, 1 s, line 7"]


def test_hex() -> None:
    """Bytes are shown with their place, in hex and as characters."""
    lines = page(number=1, in_hex=True)
    assert lines[5:8] == [
        "    0.0000  > 000000  50 41 53 53 20                                   PASS ",
        r"            > \<password>",
        "            > 000000  0d 0a                                            ..",
    ]


def test_colours() -> None:
    """The two sides differ; what they send cannot act on the terminal."""
    lines = page(number=2, has_colours=True)
    assert lines[5:] == [
        "    0.0000  \x1b[33m< \\x1b[31m\x1b[0m",
        "    1.0000  \x1b[36m> (EOF)\x1b[0m",
        "    1.0000  \x1b[33m< (reset)\x1b[0m",
    ]


def test_a_header_that_says_nothing() -> None:
    """A recording that was written by hand may have none."""
    assert [*show(parse("# reqresp recording 1\n"))] == [
        "recording: 0 conversations, 0 bytes sent, 0 received"
    ]


def test_a_summary() -> None:
    """One conversation, several marks."""
    recording = parse("# reqresp recording 1\n> a\\<b:1>c\\<d:2>\n")
    assert summary(recording) == "1 conversation, 2 bytes sent, 0 received, 2 marks"
