"""The page about recordings: what it shows is read, shown and redacted as it says."""

import re

from twisted.trial.unittest import SynchronousTestCase

from reqresp.recording import Data, Mark, Recording, Sender, parse
from reqresp.recording.page import show
from reqresp.recording.redaction import Redactor, make_redactions
from tests.support.documents import ROOT, blocks

PAGE = (ROOT / "docs" / "recording.rst").read_text(encoding="utf-8")
TEXTS = [block.code for block in blocks(PAGE) if block.language == "text"]


class RecordingTests(SynchronousTestCase):
    """The examples of docs/recording.rst."""

    def recording(self, number: int) -> Recording:
        """Return the recording in a block of the page."""
        return parse(TEXTS[number] + "\n", "redis.rec")

    def test_the_page_that_is_shown(self) -> None:
        """``reqresp show`` prints the first recording as the page does."""
        shown = "\n".join(show(self.recording(0)))
        self.assertEqual(shown, TEXTS[2])

    def test_what_is_redacted(self) -> None:
        """The patterns of the page make the recording below them."""
        patterns = re.findall(r"--redact '(.*?)'", PAGE)
        recording = self.recording(1)
        client, server = recording.conversations[0].events
        sent = b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n"
        said = b"+OK\r\ntoken: 0123456789abcdef\r\n"
        redactor = Redactor(make_redactions(patterns))
        events = [(0.0, Sender.CLIENT, sent), (0.0, Sender.SERVER, said)]
        found = [data for _, _, data in redactor.redact(events, is_last=True)]
        self.assertEqual(found, [client.data, server.data])
        self.assertEqual(recording.header.redacted, ("password", "token"))

    def test_all_marks_are_those_of_secrets(self) -> None:
        """The header names each mark in the example."""
        recording = self.recording(1)
        data: list[Data] = [
            it.data for it in recording.conversations[0].events if isinstance(it.data, tuple)
        ]
        names = {part.name for parts in data for part in parts if isinstance(part, Mark)}
        self.assertEqual(names, {"password"})
